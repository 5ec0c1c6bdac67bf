"""Row statistics, measured."""
