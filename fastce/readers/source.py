"""What comes out of a file: an array with a name, whole where it is mapped, or by blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fastce.readers.errors import InputError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_MOST_NAMES = 12  # of the names that a file holds, in a message


class Source(Protocol):
    """An array in a file or in memory.

    Where `array` is None, `read` is best called for one block after the other, by one thread at a
    time: files that are packed are unpacked from their beginning. Any order gives the same arrays.
    """

    @property
    def name(self) -> str:
        """What messages call it: ``file``, ``file[member]`` or ``file and 2 more``."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Any dtype of NumPy, in any byte order, or the bfloat16 of ml_dtypes."""

    @property
    def array(self) -> npt.NDArray[Any] | None:
        """The whole array, in C or Fortran order, where it is mapped or in memory."""

    @property
    def block_rows(self) -> int:
        """Entries of the first axis that are best read together; 1 where it does not matter."""

    @property
    def note(self) -> str:
        """What whoever reads the numbers should know of the file, or nothing."""

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the entries `start` to `stop` of the first axis; a view where it is mapped.

        An array without axes is returned as it is.
        """

    def check(self) -> None:
        """Raise InputError if the file changed, or could not be read, since it was opened."""


class ArraySource:
    """An array in memory.

    Parameters
    ----------
    array : numpy.ndarray
        Any array; one that is neither in C nor in Fortran order is copied where that is needed.
    name : str
        What messages call it.
    note : str, optional
        What should be known of it.
    """

    block_rows = 1

    def __init__(self, array: npt.NDArray[Any], name: str, note: str = "") -> None:
        self.array, self.name, self.note = array, name, note
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype[Any] = array.dtype

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return a view of the entries `start` to `stop`."""
        return self.array[start:stop] if self.shape else self.array

    def check(self) -> None:
        """Nothing can have changed that the caller does not know of."""


class Report(Protocol):
    """Who is told how far a long step has come."""

    def progress(self, task: str, total: int) -> AbstractContextManager[Callable[[int], object]]:
        """Begin a step; the function returned is told of each part that is done."""


class Silence:
    """A report that nobody reads."""

    @contextmanager
    def progress(self, task: str, total: int) -> Iterator[Callable[[int], object]]:
        """Begin a step."""
        yield lambda done: None


class Wanted(NamedTuple):
    """Which array of a file is wanted, if there are several."""

    role: str
    named: bool = False  # whether it must have the role as its name, even if it is the only one
    key: str | None = None  # its name, where it was given

    def choose(self, names: Iterable[str], file: str) -> str:
        """Return the one of the names that is wanted."""
        names = list(names)
        name = self.role if self.key is None else self.key
        if name in names:
            return name
        if self.key is None and not self.named and len(names) == 1:
            return names[0]
        exactly = self.named or self.key is not None
        expected = f"an array named {name!r}" if exactly else f"one array, or one named {name!r}"
        found = ", ".join(names[:_MOST_NAMES]) or "none"
        if len(names) > _MOST_NAMES:
            found += f" and {len(names) - _MOST_NAMES} more"
        raise InputError(f"{file}: expected {expected}, found {found}")

    def only(self, file: str) -> None:
        """Refuse a key where there are no names."""
        if self.key is not None:
            raise InputError(
                f"{file}: holds one array without a name, expected no key {self.key!r}"
            )


def check_numbers(dtype: np.dtype[Any], name: str) -> None:
    """Refuse what a format can hold beside numbers."""
    if dtype.kind not in "biuf":
        raise InputError(f"{name}: holds {dtype}, expected numbers")


def check_logits(logits: Source) -> None:
    """Refuse logits that are not floating-point numbers of a dtype that fastce has kernels for."""
    dtype = logits.dtype
    if (dtype.kind == "f" and dtype.itemsize <= 8) or dtype.name == "bfloat16":
        return
    cure = ""
    if dtype.itemsize == 2 and dtype.kind in "uV":
        cure = ", which is bfloat16 if the dtype bfloat16 is asked for"
    raise InputError(
        f"{logits.name}: logits have dtype {dtype}{cure}, expected float32, float64, float16 or "
        "bfloat16"
    )


def check_labels(labels: Source) -> None:
    """Refuse labels that are not integers."""
    if labels.dtype.kind not in "iu":
        raise InputError(
            f"{labels.name}: labels have dtype {labels.dtype}, expected an integer dtype"
        )
