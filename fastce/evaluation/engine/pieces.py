"""The logits of a pair, piece by piece, whether they are mapped or have to be read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastce.evaluation.engine.labels import Numbers
from fastce.evaluation.engine.pairs import Pair
from fastce.evaluation.engine.rows import PIECE_BYTES, PIECE_ROWS, Rows

CHUNK_BYTES = 1 << 24  # that are read together where a file is not mapped


class Piece(NamedTuple):
    """Consecutive rows of a pair."""

    logits: npt.NDArray[Any]  # shape (n, m, C) with n m rows
    first_row: int  # in the order of memory
    numbers: Numbers  # of the rows, in the order of C

    @property
    def rows(self) -> int:
        """Number of rows."""
        return math.prod(self.logits.shape[:2])


def pieces(pair: Pair) -> Iterator[Piece]:
    """Yield all rows of a pair; their cut depends on the shape, the dtype and the layout alone."""
    logits = pair.logits
    if logits.array is not None:
        yield from _of_array(logits.array, pair, 0)
        return
    entries = logits.shape[0]
    rows = pair.rows // max(1, entries)
    size = max(1, math.prod(logits.shape[1:]) * logits.dtype.itemsize)
    natural = max(1, logits.block_rows)
    height = max(1, CHUNK_BYTES // size // natural) * natural
    for start in range(0, entries, height):
        chunk = logits.read(start, min(start + height, entries))
        yield from _of_array(chunk, pair, start * rows)


def _of_array(array: npt.NDArray[Any], pair: Pair, base: int) -> Iterator[Piece]:
    rows = Rows(array[..., np.newaxis] if pair.axis == array.ndim else array, pair.axis)
    for start, stop in rows.pieces():
        numbers = rows.numbers(start, stop)
        if isinstance(numbers, slice):
            numbers = slice(base + start, base + stop)
        else:
            numbers += base
        yield Piece(rows.logits(start, stop), base + start, numbers)


def needs_map(shape: tuple[int, ...], axis: int) -> bool:
    """Whether logits of this shape cannot be read entry by entry of their first axis."""
    return len(shape) < 2 or axis in (0, -len(shape))


def count_pieces(pair: Pair) -> int:
    """Return about how many pieces there are."""
    nbytes = math.prod(pair.logits.shape) * pair.logits.dtype.itemsize
    return max(1, nbytes // PIECE_BYTES, pair.rows // PIECE_ROWS)


def row_number(pair: Pair, row: int) -> int:
    """Return the C-order number of a row that is known by its place in memory."""
    array = pair.logits.array
    if array is None or pair.axis == array.ndim:
        return row
    numbers = Rows(array, pair.axis).numbers(row, row + 1)
    return row if isinstance(numbers, slice) else int(numbers[0])
