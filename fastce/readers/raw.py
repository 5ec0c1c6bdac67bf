"""An array whose bytes lie in a file as they would in memory."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fastce.readers.errors import InputError
from fastce.readers.file import File

_MOST_AXES = 32  # of an array of every version of NumPy that fastce runs with
_LONGEST = 2**63 - 1


class Layout(NamedTuple):
    """Shape, dtype and order of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"] = "C"

    @property
    def nbytes(self) -> int:
        """Bytes that the array takes up."""
        return math.prod(self.shape) * self.dtype.itemsize

    def check(self, name: str) -> None:
        """Raise InputError for a shape that an array cannot have."""
        lengths = math.prod(length for length in self.shape if length) * self.dtype.itemsize
        if len(self.shape) > _MOST_AXES or lengths > _LONGEST:
            raise InputError(
                f"{name}: shape {self.shape} is not usable: an array has at most {_MOST_AXES} axes "
                "and less than 2**63 bytes"
            )

    def array(self, buffer: Any, offset: int, name: str) -> npt.NDArray[Any]:
        """Return the array that begins at `offset` of a buffer."""
        self.check(name)
        if self.nbytes == 0:  # there may be no byte in the buffer
            return np.empty(self.shape, self.dtype, self.order)
        # Not np.memmap: its subclass makes every slice of a block slower.
        try:
            return np.ndarray(self.shape, self.dtype, buffer, offset, order=self.order)
        except (TypeError, ValueError) as error:  # the file shrank between two looks at it
            raise InputError(f"{name}: changed while it was opened") from error


class RawArray:
    """An array whose bytes begin at `offset` of a file: mapped, or read where there are no maps."""

    block_rows = 1

    def __init__(
        self, file: File, name: str, layout: Layout, offset: int = 0, note: str = ""
    ) -> None:
        layout.check(name)
        self.name, self.note = name, note
        self.shape, self.dtype, self._order = layout
        self._file, self._offset = file, offset
        pages = file.map() if layout.nbytes else b""
        self.array = None if pages is None else layout.array(pages, offset, name)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the entries `start` to `stop`: a view of the map, or a new array."""
        if self.array is not None:
            return self.array[start:stop] if self.shape else self.array
        if not self.shape:
            whole = np.empty((), self.dtype)
            self._file.read_into(as_bytes(whole), self._offset)
            return whole
        start, stop, _ = slice(start, stop).indices(self.shape[0])
        entries = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype, self._order)
        if entries.size == 0:
            return entries
        if self._order == "C":
            size = entries.nbytes // len(entries)
            self._file.read_into(as_bytes(entries), self._offset + start * size)
            return entries
        # In Fortran order the entries of the first axis lie together for each index of the others.
        columns = entries.reshape(len(entries), -1, order="F")
        size = self.dtype.itemsize
        for index in range(columns.shape[1]):
            place = self._offset + (index * self.shape[0] + start) * size
            self._file.read_into(as_bytes(columns[:, index]), place)
        return entries

    def check(self) -> None:
        """Raise InputError if the file changed since it was opened."""
        self._file.check()


def as_bytes(array: npt.NDArray[Any]) -> memoryview:
    """Return the bytes of an array that is contiguous: arrays of some dtypes are no buffers."""
    flat: Any = array.reshape(-1).view(np.uint8)
    return memoryview(flat)
