"""Cross-entropy losses under the names and conventions of other libraries."""
