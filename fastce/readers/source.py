"""What a format is, and what comes out of one of its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy.typing as npt

from fastce.readers.errors import InputError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class Report(Protocol):
    """Who is told how far a long step has come."""

    def progress(self, task: str, total: int) -> AbstractContextManager[Callable[[int], object]]:
        """Begin a step; the function returned is told of each part that is done."""


class Source(NamedTuple):
    """An array and the name that messages call it by: ``file`` or ``file[member]``."""

    name: str
    array: npt.NDArray[Any]


class Wanted(NamedTuple):
    """Which array of a file is wanted, if there are several."""

    role: str
    named: bool  # whether it must have the role as its name, even if it is the only one


class Format(NamedTuple):
    """A file format; what is in formats.py can be read."""

    suffix: str  # as messages call it
    is_format: Callable[[bytes], bool]  # told by a file's first bytes
    holds_several: bool  # arrays, by name
    read: Callable[[IO[bytes], Path, Wanted, Report], Source]


def check_labels(labels: Source) -> None:
    """Refuse labels that are not integers."""
    dtype = labels.array.dtype
    if dtype.kind not in "iu":
        raise InputError(f"{labels.name}: labels have dtype {dtype}, expected an integer dtype")
