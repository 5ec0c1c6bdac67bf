"""Arrays that bytes decide on, in memory that knows whether anything else than they was written.

Every array lies in memory of its own: with a margin before and behind it, or without one, so that
AddressSanitizer sees the first byte that is read past its end. Where a layout leaves gaps between
elements, these are watched like the margins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import ml_dtypes
import numpy as np

T = TypeVar("T")
Array = np.ndarray

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = (*(np.dtype(t) for t in (np.float32, np.float64, np.float16)), BFLOAT16)
INTEGERS = tuple(np.dtype(t) for t in "bhilBHIL")
# On either side of vectors, tiles, blocks of vectors and chunks of classes.
CLASSES = (1, 2, 3, 4, 5, 7, 8, 9, 10, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 126, 127, 128, 129)
CLASSES += (130, 191, 193, 255, 256, 257, 258, 300, 383, 384, 385, 511, 512, 513)
CLASSES += (319, 320, 1000, 1025, 2049)
LENGTHS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 66, 100, 129, 257, 0)
LARGEST = 5000  # elements


class Decisions:
    """Decisions, one byte each; the first of the choices when the bytes have run out."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        """Return the next byte."""
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def choice(self, options: Sequence[T]) -> T:
        """Return one of at most 256 options."""
        return options[self.byte() % len(options)]

    def below(self, n: int) -> int:
        """Return a number in [0, n), n up to 65536."""
        return (self.byte() << 8 | self.byte()) % n

    def random(self) -> np.random.Generator:
        """Return a generator for what need not be decided in detail."""
        return np.random.default_rng(self.byte())


class Placed:
    """A copy of an array within memory that is watched."""

    def __init__(self, d: Decisions, array: Array, *, swap: bool = True) -> None:
        plain = d.byte() % 4 < 2
        margin = d.choice((0, 64))
        shift, order, steps, dtype = 0, list(range(array.ndim)), [1] * array.ndim, array.dtype
        if not plain:
            shift = d.choice((0, 0, 1, array.itemsize // 2))
            order = [order.pop(d.byte() % len(order)) for _ in range(array.ndim)]
            steps = [d.choice((1, 1, 1, 2, 3, -1, -2)) for _ in order]
            if swap and dtype != BFLOAT16 and d.byte() % 4 == 3:
                dtype = dtype.newbyteorder()
        extents = [(array.shape[axis] - 1) * abs(steps[axis]) + 1 for axis in order]
        if array.size == 0:
            extents, steps = [array.shape[axis] for axis in order], [1] * array.ndim
        begin, n_bytes = margin + shift, int(np.prod(extents)) * array.itemsize
        self.memory = np.empty(begin + n_bytes + margin, np.uint8)
        self.memory[:] = 37 * np.arange(self.memory.size) + 11
        whole = self.memory[begin : begin + n_bytes].view(dtype).reshape(extents)
        picked = whole[(..., *(slice(None, None, steps[axis]) for axis in order))]
        self.array = picked.transpose(np.argsort(order))
        self.array[...] = array
        self.before = self.memory.copy()
        self.original = self.array.copy()

    def assert_untouched(self, what: str) -> None:
        """Assert that nothing was written."""
        assert np.array_equal(self.memory, self.before), f"{what} was written to"

    def taken(self, what: str) -> Array:
        """Return what was written to the array; assert that nothing was written beside it."""
        result = self.array.copy()
        self.array[...] = self.original
        self.assert_untouched(f"memory around {what}")
        return result


def shape_of(d: Decisions) -> tuple[tuple[int, ...], int]:
    """Return a shape, with a class axis that is not empty, and this axis."""
    classes = d.choice(CLASSES)
    others: list[int] = []
    for _ in range(d.choice((1, 1, 2, 0, 3))):
        n = d.choice(LENGTHS)
        room = LARGEST // (classes * int(np.prod([max(k, 1) for k in others])))
        others.append(min(n, max(room, 1)))
    axis = len(others) if d.byte() % 2 == 0 else d.byte() % (len(others) + 1)
    return (*others[:axis], classes, *others[axis:]), axis


def floats_of(
    d: Decisions, shape: tuple[int, ...], dtype: np.dtype[Any], most: float = 1e300
) -> Array:
    """Return logits: noise, some of them replaced by what goes wrong."""
    spread = d.choice((1.0, 0.0, 5.0, 30.0, 200.0, 1e4, 1e30))
    x = spread * d.random().standard_normal(shape)
    x = x + d.choice((0.0, 0.0, 50.0, -50.0, -1000.0, 1e30))
    largest = min(float(ml_dtypes.finfo(dtype).max), most)  # sums of 1e300 are still numbers
    special = (np.inf, -np.inf, np.nan, 0.0, largest, -largest, 1e-40, 88.5, -88.5, 710.0, 20.0)
    for _ in range(d.byte() % 8 if x.size else 0):
        value, way = d.choice(special), d.byte() % 4
        at = d.below(min(x.size, 65536))
        if way == 3:
            x[..., : at % x.shape[-1] + 1] = value
        else:
            x.flat[at] = value
    with np.errstate(over="ignore"):
        return x.astype(dtype)


def weights_of(d: Decisions, shape: tuple[int, ...]) -> Array | None:
    """Return weights that are finite and not negative, or None."""
    way = d.byte() % 6
    if way < 2:
        return None
    weights = 3 * d.random().random(shape)
    if way == 2:
        weights = np.full(shape, d.choice((1.0, 0.0, 0.3)))
    if way > 3:
        weights = np.where(d.random().random(shape) < 0.4, 0, weights)
    return weights.astype(d.choice((np.float64, np.float64, np.float32, np.int32)))
