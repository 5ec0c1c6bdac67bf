"""What a file format is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fastce.readers.file import File
from fastce.readers.source import Report, Source, Wanted


class Format(NamedTuple):
    """A file format: one module, and a line in formats/__init__.py."""

    suffix: str  # as messages call it
    is_format: Callable[[bytes, Path], bool]  # told by a file's first bytes, or by its name
    holds_several: bool  # arrays, by name
    read: Callable[[File, Wanted, Report], Source]
