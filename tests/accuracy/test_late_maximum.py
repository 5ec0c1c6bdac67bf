"""Rows whose maximum comes late: whatever a row begins with, its differences are not rounded.

Between 16 and 32, and beyond, floats have coarser steps than small differences: exp(x - s) with a
shift s that is not 0 and lies far below the maximum rounds each difference.
"""

import cases
import numpy as np
import oracle
import pytest
import wide_elements
from against_reference import assert_right, expected
from ulp import assert_within, tolerance

import fastce

F32, F64 = cases.DTYPES
OPTIONS = ("none", "sum", "mean", "class_weight", "sample_weight", "z_loss", "smoothing")


def example(dtype):
    """Return a row that begins 32 to 34 below its maximum, and its label."""
    if dtype == F32:
        x = np.full((1, 1000), -90, F32)
        x[0, :64], x[0, 100], x[0, 101] = 23.6, 55.9, 55.6
    else:
        x = np.full((1, 128), -90.0)
        x[0, :64], x[0, 100], x[0, 101] = -25.0, 8.3, 8.2
    return x, np.array([101])


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_the_rows_that_were_found(dtype, isa) -> None:
    x, y = example(dtype)
    loss, gradient = oracle.softmax_cross_entropy(x, y)
    assert float(loss) == pytest.approx(0.8543569975 if dtype == F32 else 0.74439666007368764)
    right = oracle.softmax(x)
    hessian = right * (1 - right)
    got, grad, hess = fastce.softmax_cross_entropy(x, y, return_grad=True, return_hess=True)
    assert_within(got, loss, tolerance(loss, 1, dtype, rounded=False), dtype, "loss")
    assert_within(grad, gradient, tolerance(gradient, 1, dtype), dtype, "gradient")
    assert_within(hess, hessian, tolerance(hessian, 1, dtype), dtype, "Hessian")
    assert_within(fastce.softmax(x), right, tolerance(right, 1, dtype), dtype, "softmax")


def late_rows(n: int, dtype: np.dtype) -> np.ndarray:
    """Return rows that begin low, at many levels, and rise by up to 34.6 later."""
    rng = cases.seeded(n, 5)
    rows = []
    for level in (-60, -30.3, -25, -22, -18, -16.5, 16.5, 18, 23.6, 25, 30.9, 40.2, 100.7):
        for growth in (5, 16.1, 20, 31, 33.3, 34.6, 35, 50):
            row = level - 10 * rng.random(n)
            begin = int(rng.integers(1, n))
            row[: max(1, begin)] = level + rng.random(begin)
            first, second = rng.integers(begin, n, 2)
            row[first] = level + growth
            row[second] = level + growth - rng.random()
            rows.append(row)
    for spread in (5, 10, 15, 20, 30, 50):
        rows += list(spread * rng.normal(size=(8, n)))
    rows += list(np.cumsum(rng.exponential(40 / n, (4, n)), axis=1) - 30)  # rising all the way
    rng.shuffle(rows)
    return np.array(rows).astype(dtype)


def choose_options(name: str, rows: int, n: int) -> dict[str, object]:
    rng = cases.seeded(rows, n)
    return {
        "none": {"reduction": "none"},
        "sum": {"reduction": "sum"},
        "mean": {},
        "class_weight": {"reduction": "none", "class_weight": 0.2 + rng.random(n)},
        "sample_weight": {"reduction": "sum", "sample_weight": rng.random(rows)},
        "z_loss": {"reduction": "none", "z_loss": 1e-3},
        "smoothing": {"reduction": "none", "label_smoothing": 0.1},
    }[name]


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("n", [16, 64, 100, 128, 200, 320, 1000, 4097])
def test_late_maxima(n, dtype, each_isa) -> None:
    x = late_rows(n, dtype)
    order = np.argsort(x, axis=1)
    calls = []
    for k, option in enumerate(OPTIONS):
        y = order[:, -1 - k % 3]  # the label is the largest, the second or the third
        options = choose_options(option, *x.shape)
        calls.append((y, option, options, expected(x, y, **options)))
    for isa in each_isa():
        for y, option, options, true in calls:
            assert_right(x, y, f"{option}, {n} classes, {isa}", true, **options)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_activations(name, dtype, each_isa) -> None:
    for n in (100, 128, 320, 1000):
        x = late_rows(n, dtype)
        true = getattr(wide_elements, name)(x)
        allowed = wide_elements.activation_tolerance(true, dtype)
        for isa in each_isa():
            assert_within(getattr(fastce, name)(x), true, allowed, dtype, f"{name}, {n}, {isa}")
            across = np.asfortranarray(x).T.copy()
            got = getattr(fastce, name)(across, axis=0)
            assert_within(got, true.T, allowed.T, dtype, f"{name}, {n}, axis 0, {isa}")


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_unused_tokens_first(dtype, each_isa) -> None:
    """Rows of 32,000 classes, the first 259 of which no text ever holds."""
    rng = cases.seeded(32000)
    x = 2 * rng.normal(size=(24, 32000))
    x[:, :259] = -20 + rng.normal(size=(24, 259)) - 2 * rng.random((24, 1))
    x[np.arange(24), rng.integers(259, 32000, 24)] = 12 * rng.random(24)
    x = x.astype(dtype)
    y = np.where(np.arange(24) % 2, x.argmax(axis=1), rng.integers(259, 32000, 24))
    true = expected(x, y, reduction="none")
    for isa in each_isa():
        assert_right(x, y, isa, true, reduction="none")
