"""Rows with a single target: as right as plain labels, however the target is told.

One-hot floats, a class weight that leaves one class, smoothing with one class weight: a clear
winner's small loss has its digits, and its gradient at the target is -(1 - p), not 0.
"""

import cases
import ml_dtypes
import mpmath
import numpy as np
import pytest
from against_reference import assert_right, expected
from ulp import BUDGETS

import fastce

DTYPES = (*cases.DTYPES, np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
MARGINS = (0, 2, 5, 8, 12, 13, 14, 16, 17, 20, 33, 36.5, 50, 80)


def softplus(x: float) -> float:
    """Return ln(1 + exp(x)), the loss of two classes."""
    with mpmath.workprec(200):
        return float(mpmath.log1p(mpmath.exp(x)))


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_two_classes(dtype, isa) -> None:
    budget = BUDGETS[dtype]
    for margin in MARGINS:
        x = np.array([[margin, 0]], dtype)
        right = softplus(-margin)
        allowed = (budget.small + margin) * budget.eps
        for scale in (1.0, 0.25, 3.0):
            # A mean divides by the sum of sample weights, here 1, not by the total of the targets.
            one_hot = np.array([[scale, 0]], dtype)
            for reduction in ("mean", "sum"):
                loss = fastce.softmax_cross_entropy(x, one_hot, reduction=reduction)
                assert loss == pytest.approx(scale * right, rel=allowed)
            loss, grad = fastce.softmax_cross_entropy(
                x, one_hot, reduction="none", return_grad=True
            )
            assert loss[0] == pytest.approx(scale * right, rel=allowed)
            slope = scale * -np.expm1(-right)  # 1 - p, since the loss is -ln p
            assert grad[0] == pytest.approx([-slope, slope], rel=allowed)
        # Smoothing over classes of which one has a weight; the target is half of it.
        loss = fastce.softmax_cross_entropy(
            x, [0], class_weight=[1, 0], label_smoothing=1.0, reduction="sum"
        )
        assert loss == pytest.approx(0.5 * right, rel=allowed)


def rows_and_labels(n: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return clear winners and ordinary rows, with labels that win and labels that lose."""
    rng = cases.seeded(n, 9)
    x = rng.normal(size=(4 * len(MARGINS), n)) + rng.choice([0, -20, 30], 4 * len(MARGINS))[:, None]
    y = rng.integers(n, size=len(x))
    winner = np.where(np.arange(len(x)) % 4, y, rng.integers(n, size=len(x)))
    for row, at, margin in zip(x, winner, np.repeat(MARGINS, 4), strict=True):
        row[at] = row.max() + margin
    return x.astype(dtype), y


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("n", [2, 3, 10, 21, 64, 100, 128, 320, 1000])
def test_every_way_to_tell_a_single_target(n, dtype, each_isa) -> None:
    x, y = rows_and_labels(n, dtype)
    rng = cases.seeded(n, 10)
    one_hot = (np.arange(n) == y[:, None]).astype(np.float32)
    scaled = one_hot * (0.25 + rng.random((len(x), 1))).astype(np.float32)
    only = np.zeros(n)
    only[y[0]] = 0.7  # a class weight of 0 takes a target away
    w, s = 0.2 + rng.random(n), 0.2 + rng.random(len(x))
    calls = [
        (one_hot, {"reduction": "none"}),
        (scaled, {"reduction": "none"}),
        (scaled.astype(np.float64), {"reduction": "none", "sample_weight": s}),
        (one_hot, {"class_weight": w, "sample_weight": s}),
        (one_hot + np.float32(0.1), {"reduction": "none", "class_weight": only}),
        (y, {"reduction": "none", "class_weight": only, "label_smoothing": 0.1}),
        (y, {"reduction": "sum", "class_weight": only, "label_smoothing": 1.0}),
    ]
    calls += [(one_hot[k : k + 1], {"reduction": "mean"}) for k in (1, 21, 33, 45, 53)]
    rows = {k: x[k : k + 1] for k in (1, 21, 33, 45, 53)}
    given = [x] * 7 + list(rows.values())
    for axis in (-1, 0):
        arranged = [
            (a, b, o) if axis else (np.ascontiguousarray(a.T), b.T, o | {"axis": 0})
            for a, (b, o) in zip(given, calls, strict=True)
        ]
        true = [expected(a, b, **o) for a, b, o in arranged]
        for isa in each_isa():
            for k, ((a, b, o), right) in enumerate(zip(arranged, true, strict=True)):
                assert_right(a, b, f"call {k}, axis {axis}, {isa}", right, **o)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("n", [2, 10, 100, 320])
def test_the_same_number_as_plain_labels(n, dtype, isa) -> None:
    """Means of clear winners alone: one-hot rows and indices agree to the budget of both."""
    x, y = rows_and_labels(n, dtype)
    wins = x.astype(np.float64).argmax(axis=1) == y
    for margin in MARGINS:
        rows = np.flatnonzero(wins & (np.repeat(MARGINS, 4) == margin))
        one_hot = (np.arange(n) == y[rows, None]).astype(dtype)
        a = fastce.softmax_cross_entropy(x[rows], y[rows])
        b = fastce.softmax_cross_entropy(x[rows], one_hot)
        spread = BUDGETS[dtype].small + margin + 16
        assert b == pytest.approx(a, rel=2 * spread * BUDGETS[dtype].eps)
