"""Logits of any layout as rows of classes, in the order in which they lie in memory.

Design: rows are read in pieces that are fixed by the shape. A piece is long enough that the steps
in Python do not count beside the kernel, and short enough that several threads have work. Nothing
is copied: a piece is a view with the classes on its last axis, whatever their stride.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

PIECE_BYTES = 1 << 25  # of logits
PIECE_ROWS = 1 << 15

Array = npt.NDArray[Any]


class Rows:
    """The rows of an array of logits.

    Rows are counted in the order of memory: that of C for arrays in C order, whichever axis holds
    the classes; for arrays in Fortran order the first axis changes fastest.

    Parameters
    ----------
    logits : ndarray, shape (..., C, ...)
        Any strides; an array whose other axes are neither in C nor in Fortran order is copied.
    axis : int
        Axis of the classes, from 0 on.
    """

    def __init__(self, logits: Array, axis: int) -> None:
        values = np.moveaxis(logits, axis, -1)
        self.shape = values.shape[:-1]
        self.count, self.classes = math.prod(self.shape), int(values.shape[-1])
        self._axes = _by_stride(values)
        values = values.transpose(*self._axes, values.ndim - 1)
        groups = _runs(values)
        if len(groups) > 2:
            values = np.ascontiguousarray(values)
            groups = [self.count]
        outer, self._inner = (1, *groups)[-2:]
        self._values = values.reshape(outer, self._inner, self.classes)
        row_bytes = max(1, self.classes * values.itemsize)
        self._height = max(1, min(PIECE_BYTES // row_bytes, PIECE_ROWS))

    def pieces(self) -> Iterator[tuple[int, int]]:
        """Yield the first row of each piece and the one behind its last."""
        if self._inner <= self._height:
            height = max(1, self._height // max(1, self._inner)) * self._inner
            for start in range(0, self.count, max(1, height)):
                yield start, min(start + height, self.count)
        else:
            for outer in range(0, self.count, self._inner):
                for start in range(outer, outer + self._inner, self._height):
                    yield start, min(start + self._height, outer + self._inner)

    def logits(self, start: int, stop: int) -> Array:
        """Return the logits of a piece, shape (n, m, C) with n m rows."""
        first, last = start // self._inner, -(-stop // self._inner)
        if last - first > 1 or stop - start == self._inner:
            return self._values[first:last]
        start -= first * self._inner
        return self._values[first:last, start : stop - first * self._inner]

    def numbers(self, start: int, stop: int) -> slice | npt.NDArray[np.intp]:
        """Return the C-order numbers, in the shape without classes, of the rows of a piece."""
        if self.in_order:
            return slice(start, stop)
        lengths = [self.shape[axis] for axis in self._axes]
        index = dict(
            zip(self._axes, np.unravel_index(np.arange(start, stop), lengths), strict=True)
        )
        found: Any = np.ravel_multi_index([index[i] for i in range(len(index))], self.shape)
        return np.asarray(found, np.intp)

    @property
    def in_order(self) -> bool:
        """Whether rows lie in memory in the order of C."""
        longer = [axis for axis in self._axes if self.shape[axis] > 1]
        return longer == sorted(longer)


def _by_stride(values: Array) -> list[int]:
    """Return the axes before the last, the one with the largest stride first."""
    return sorted(range(values.ndim - 1), key=lambda axis: -abs(values.strides[axis]))


def _runs(values: Array) -> list[int]:
    """Return the lengths of the axes before the last, those merged that one stride can serve."""
    runs: list[int] = []
    stride = 0
    for length, step in zip(values.shape[:-1], values.strides, strict=False):
        if length == 1:
            continue
        if runs and stride == length * step:
            runs[-1] *= length
        else:
            runs.append(length)
        stride = step
    return runs or [math.prod(values.shape[:-1])]
