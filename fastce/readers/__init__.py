"""Files as arrays: what lies in a file, its shape and dtype, and its entries block by block.

Nothing here imports the rest of fastce: only NumPy, and what a format needs when one is read.
"""

from fastce.readers.errors import InputError
from fastce.readers.formats.arrow import open_table
from fastce.readers.opening import holds_several, open_source
from fastce.readers.several import concatenated, open_sources, read_manifest
from fastce.readers.source import ArraySource, Report, Source, check_labels, check_logits

__all__ = [
    "ArraySource",
    "InputError",
    "Report",
    "Source",
    "check_labels",
    "check_logits",
    "concatenated",
    "holds_several",
    "open_source",
    "open_sources",
    "open_table",
    "read_manifest",
]
