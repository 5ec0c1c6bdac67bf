"""Arrays that no kernel can walk as they lie: copied one block at a time, never as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastce._validation.dtypes import Array, native

BLOCK_ELEMENTS = 1 << 14  # it stays in the second-level cache

Index = tuple[int | slice, ...]


class Block(NamedTuple):
    """A part of an array whose last axis is that of the classes, or of the elements of an item."""

    rows: Index
    columns: slice
    items: slice  # the number of its rows among all

    def of(self, array: Array) -> Array:
        """Return this part as a contiguous native copy [rows, columns]."""
        part = array[..., self.columns][self.rows]
        copy = np.array(part, dtype=native(array.dtype), order="C")
        return copy.reshape(-1, part.shape[-1] if part.ndim else 1)

    def of_rows(self, array: Array) -> Array:
        """Return this part of an array with one number a row."""
        return np.array(array[self.rows], order="C").reshape(-1)

    def put(self, array: Array, made: Array) -> None:
        """Write this part of an array."""
        target = array[..., self.columns]
        target[self.rows] = made.reshape(target[self.rows].shape)


def row_blocks(rows: tuple[int, ...], width: int) -> Iterator[Index]:
    """Yield indices of the row axes, in row order, each of at most BLOCK_ELEMENTS or one row."""
    if not rows:
        yield ()
        return
    beneath = math.prod(rows[1:]) * width
    if beneath > BLOCK_ELEMENTS and len(rows) > 1:
        for i in range(rows[0]):
            for rest in row_blocks(rows[1:], width):
                yield (i, *rest)
        return
    step = max(1, BLOCK_ELEMENTS // max(1, beneath))
    for i in range(0, rows[0], step):
        yield (slice(i, i + step),)


def blocks_of(shape: tuple[int, ...], longest: int) -> Iterator[Block]:
    """Yield the blocks of an array of this shape, its last axis in parts that are not longer."""
    *rows, width = shape
    first = 0
    for index in row_blocks(tuple(rows), min(width, longest)):
        spans = (
            len(range(*k.indices(n)))
            for k, n in zip(index, rows, strict=False)
            if isinstance(k, slice)
        )
        count = math.prod(spans) * math.prod(rows[len(index) :])
        for begin in range(0, width, longest):
            yield Block(index, slice(begin, begin + longest), slice(first, first + count))
        first += count


def last(array: Any, axis: int | None) -> Any:
    """Return the array with this axis last; without one, with one more of a single element."""
    return array[..., None] if axis is None else np.moveaxis(array, axis, -1)
