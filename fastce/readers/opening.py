"""Opening a file of any format."""

from __future__ import annotations

from pathlib import Path

from fastce.readers import formats
from fastce.readers.bfloat16 import Reinterpreted, reinterpret
from fastce.readers.file import File, Folder
from fastce.readers.formats.format import Format
from fastce.readers.refused import say_how_to_convert
from fastce.readers.source import Report, Silence, Source, Wanted

_HEAD = 64  # bytes by which a format is told


def open_source(
    path: str | Path,
    role: str,
    report: Report | None = None,
    *,
    key: str | None = None,
    dtype: str | None = None,
    named: bool = False,
) -> Source:
    """Open the array in a file.

    Parameters
    ----------
    path : str or Path
        File of any format of `fastce.readers.formats.FORMATS`, told by its first bytes.
    role : str
        What the array is for: ``logits``, ``labels``. Where a file holds several arrays, this is
        the one with that name, or the only one.
    report : Report, optional
        Who is told of steps that may be long.
    key : str, optional
        Name of the array in the file, instead of the role.
    dtype : str, optional
        As which the bits are to be read: ``bfloat16``, of which NumPy keeps but the two bytes.
    named : bool, default False
        Whether the array must have the role as its name, even if it is the only one.

    Returns
    -------
    Source

    Raises
    ------
    InputError
        If the file cannot be read; one line that says which file, where, and what was expected.
    """
    file, found = _opened(Path(path))
    if found is None:
        say_how_to_convert(file, formats.NAMES)
    source = found.read(file, Wanted(role, named, key), report or Silence())
    meant = reinterpret(source.dtype, dtype, source.name)
    return source if meant is source.dtype else Reinterpreted(source, meant)


def holds_several(path: str | Path) -> bool:
    """Whether the file can hold several arrays."""
    found = _opened(Path(path))[1]
    return found is not None and found.holds_several


def _opened(path: Path) -> tuple[File, Format | None]:
    """Open a file, or a folder that is one to its format."""
    if path.is_dir():
        found = _format(b"", path)
        if found is not None:
            return Folder(path), found
    file = File(path)
    head = bytearray(min(_HEAD, file.size))
    file.read_into(head, 0)
    return file, _format(bytes(head), path)


def _format(head: bytes, path: Path) -> Format | None:
    return next((known for known in formats.FORMATS if known.is_format(head, path)), None)
