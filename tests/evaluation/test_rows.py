"""Every row of logits of any layout is in one piece, with its number."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fastce.evaluation.engine import rows as module
from fastce.evaluation.engine.rows import Rows

LAYOUTS = {
    "C": lambda x: x,
    "Fortran": np.asfortranarray,
    "reversed": lambda x: x[::-1],
    "strided": lambda x: np.repeat(x, 2, axis=0)[::2],
    "swapped": lambda x: x.swapaxes(0, 1) if x.ndim > 1 else x,
}
SHAPES = [(3, 4, 5), (5,), (3, 1, 2, 7), (2, 3, 4, 5), (0, 3), (4, 0, 3), (1, 6), (6, 1)]
CASES = [(shape, axis) for shape in SHAPES for axis in range(len(shape))]


@pytest.mark.parametrize("height", [1, 5, 1000])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("shape", "axis"), CASES)
def test_each_row_once(monkeypatch, shape, axis, layout, height):
    monkeypatch.setattr(module, "PIECE_ROWS", height)
    x = LAYOUTS[layout](np.arange(float(np.prod(shape))).reshape(shape))
    rows = Rows(x, axis)
    expected = np.moveaxis(x, axis, -1).reshape(rows.count, x.shape[axis])
    seen = []
    for start, stop in rows.pieces():
        logits = rows.logits(start, stop)
        assert logits.ndim == 3
        numbers = rows.numbers(start, stop)
        if isinstance(numbers, slice):
            numbers = np.arange(numbers.start, numbers.stop)
        assert len(numbers) == stop - start
        np.testing.assert_array_equal(logits.reshape(len(numbers), -1), expected[numbers])
        seen += numbers.tolist()
    assert sorted(seen) == list(range(rows.count))
    ends = [0, *itertools.chain.from_iterable(rows.pieces())]
    assert all(a == b for a, b in zip(ends[::2], ends[1::2], strict=False)), (
        "pieces are consecutive"
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("order", "CF")
def test_nothing_is_copied(order, axis):
    x = np.zeros((4, 5, 6), order=order)
    rows = Rows(x, axis)
    if axis == 1 and order == "F":
        assert rows.numbers(0, 2).tolist() == [0, 6]  # the first axis changes fastest
    for start, stop in rows.pieces():
        assert np.shares_memory(rows.logits(start, stop), x)
