"""Row blocks of arrays that no kernel can walk as they lie: copied one block at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from fastce._validation.arrays import Array, native

BLOCK_ELEMENTS = 1 << 14  # it stays in the second-level cache

Index = tuple[int | slice, ...]


def row_blocks(rows: tuple[int, ...], classes: int) -> Iterator[Index]:
    """Yield indices of the row axes, in row order, each of at most BLOCK_ELEMENTS or one row."""
    if not rows:
        yield ()
        return
    beneath = math.prod(rows[1:]) * classes
    if beneath > BLOCK_ELEMENTS and len(rows) > 1:
        for i in range(rows[0]):
            for rest in row_blocks(rows[1:], classes):
                yield (i, *rest)
        return
    step = max(1, BLOCK_ELEMENTS // max(1, beneath))
    for i in range(0, rows[0], step):
        yield (slice(i, i + step),)


def native_rows(x: Array, index: Index, width: int) -> Array:
    """Return a block of an array, class axis last, as a contiguous native copy [rows, width]."""
    return np.array(x[index], dtype=native(x.dtype), order="C").reshape(-1, width)
