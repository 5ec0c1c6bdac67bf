"""Mapped logits and their labels as rows, and how these are cut into blocks.

A block is small enough to stay in a core's cache, because it is read twice, once for the loss and
once for the largest class. Blocks are fixed by the shape of the logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastce.readers.errors import InputError
from fastce.readers.source import Source, check_labels, check_logits

BLOCK_BYTES = 1 << 21  # the second-level cache of a common core
BLOCK_ROWS = 1 << 15  # arrays with an element for each row want to stay there too
BLOCKS_AT_A_TIME = 8  # that a thread takes
PAGE_BYTES = 4096


class Rows:
    """Logits as a matrix of rows and classes, with their labels, in the order they lie in memory.

    Parameters
    ----------
    logits : Source
        Array of shape (..., C), in C or Fortran order.
    labels : Source
        Integer array of shape (...).
    """

    def __init__(self, logits: Source, labels: Source) -> None:
        _check(logits, labels)
        values, of_rows = logits.array, labels.array
        assert values is not None
        assert of_rows is not None
        self._labels = of_rows
        # Fortran order: with the leading axes reversed, neighbours in memory are neighbours here,
        # and the axes can be merged without a copy.
        self._reversed = not values.flags.c_contiguous
        if self._reversed:
            values = values.transpose(*reversed(range(values.ndim - 1)), values.ndim - 1)
            self._labels = self._labels.transpose()
        self.count = int(self._labels.size)
        self.classes = int(values.shape[-1])
        self.logits = values.reshape(self.count, self.classes)
        self.names = logits.name, labels.name
        height = max(1, BLOCK_BYTES // max(1, values.itemsize * self.classes))
        if self._reversed:
            # A page holds many rows of one class; take them all while the page is there.
            height = max(height, PAGE_BYTES // max(1, values.itemsize))
        self._height = min(height, BLOCK_ROWS)

    @property
    def most_threads(self) -> int:
        """Number of threads that all have something to do, at least 1."""
        return max(1, -(-self.count // (self._height * BLOCKS_AT_A_TIME)))

    def blocks(self) -> Iterator[slice]:
        """Rows that are read together; one empty block when there are no rows."""
        for start in range(0, max(1, self.count), self._height):
            yield slice(start, min(start + self._height, self.count))

    def labels(self, block: slice) -> npt.NDArray[Any]:
        """Return the labels of a block, shape (rows,)."""
        if self._labels.flags.c_contiguous:
            return self._labels.reshape(-1)[block]
        rows = np.arange(block.start, block.stop)
        labels: npt.NDArray[Any] = self._labels[np.unravel_index(rows, self._labels.shape)]
        return labels

    def place(self, row: int) -> str:
        """Return a row's index in the file, as it is written between brackets."""
        index = np.unravel_index(row, self._labels.shape)
        return ", ".join(map(str, reversed(index) if self._reversed else index)) or "()"


def _check(logits: Source, labels: Source) -> None:
    if not logits.shape:
        raise InputError(f"{logits.name}: logits have shape (), expected (..., classes)")
    check_labels(labels)
    check_logits(logits)
    if labels.shape != logits.shape[:-1]:
        raise InputError(
            f"{labels.name}: labels have shape {labels.shape}, expected "
            f"{logits.shape[:-1]} for logits of shape {logits.shape}"
        )
