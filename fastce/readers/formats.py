"""The formats that can be read, and opening a file of any of them."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fastce.readers import npy, npz
from fastce.readers.errors import InputError
from fastce.readers.source import Format, Report, Source, Wanted

# A new format is its module and a line here; messages name it.
FORMATS = (
    npy.FORMAT,
    npz.FORMAT,
)
_HEAD = 64  # bytes by which a format is told


def _listed(suffixes: list[str]) -> str:
    """Return ".a", ".a or .b", ".a, .b or .c"."""
    return " or ".join(filter(None, (", ".join(suffixes[:-1]), suffixes[-1])))


NAMES = _listed([known.suffix for known in FORMATS])
SEVERAL = _listed([known.suffix for known in FORMATS if known.holds_several])


def open_array(path: Path, role: str, report: Report, *, named: bool = False) -> Source:
    """Map the array in a file.

    Where a file can hold several, this is the one named `role`, or the only one unless it must be
    `named` so.
    """
    with _opened(path) as file:
        found = _format(file)
        if found is not None:
            return found.read(file, path, Wanted(role, named), report)
    none = "neither" if len(FORMATS) == 2 else "none"
    raise InputError(f"{path}: expected a {NAMES} file, found {none}'s first bytes")


def holds_several(path: Path) -> bool:
    """Whether the file can hold several arrays."""
    with _opened(path) as file:
        found = _format(file)
        return found is not None and found.holds_several


def _format(file: IO[bytes]) -> Format | None:
    head = file.read(_HEAD)
    file.seek(0)
    return next((known for known in FORMATS if known.is_format(head)), None)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open the file for reading; whatever the system says against it becomes an InputError."""
    try:
        # Opening a named pipe would wait for a writer, so look before opening.
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{path}: is a directory, expected a {NAMES} file")
        if not stat.S_ISREG(mode):
            raise InputError(f"{path}: is not a regular file, so it cannot be memory-mapped")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path}: {reason}, expected a readable {NAMES} file") from error
