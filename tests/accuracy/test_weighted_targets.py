"""Weights, soft labels, smoothing and divisors together: every result is within its budget."""

from collections.abc import Iterator

import cases
import numpy as np
import pytest
import wide
from against_reference import assert_right, expected
from ulp import assert_within

import fastce

F32, F64 = cases.DTYPES
CLASSES = (2, 3, 5, 8, 10, 12, 16, 21, 40, 100)
NORMALIZERS = ("weight", "valid", "all", "nonzero", 7.3)


def test_the_row_that_was_found(isa) -> None:
    x, q = np.float32([[-0.65], [-5.99]]), np.float32([[1], [0]])
    options = {"axis": 0, "sample_weight": [0.3], "reduction": "none"}
    assert_right(x, q, isa, **options)


def targets_of(kind: str, rows: int, n: int) -> np.ndarray:
    """Return labels of a kind; floats are (rows, n)."""
    rng = cases.seeded(rows, n, 12)
    y = rng.integers(n, size=rows)
    if kind == "labels":
        return y
    if kind == "one-hot":
        return (np.arange(n) == y[:, None]).astype(np.float32)
    q = rng.random((rows, n))
    if kind == "sparse":
        q[rng.random(q.shape) < 0.6] = 0
    if kind == "probabilities":
        q /= q.sum(axis=1, keepdims=True)
    if kind == "large":
        q *= 50
    return q.astype(np.float32)


KINDS = ("labels", "one-hot", "probabilities", "sparse", "large")


def calls(n: int, dtype: np.dtype, rows: int) -> Iterator[tuple[np.ndarray, np.ndarray, dict]]:
    """Yield logits, labels and options: each kind of target with some of the weights."""
    rng = cases.seeded(n, rows, 13)
    for number, kind in enumerate(KINDS * 2):
        spread = (1, 3, 6, 12)[number % 4]
        x = (spread * rng.normal(size=(rows, n))).astype(dtype)
        options: dict[str, object] = {}
        if rng.random() < 0.6:
            options["class_weight"] = rng.random(n) * 10.0 ** rng.integers(-2, 3)
        if rng.random() < 0.6:
            options["sample_weight"] = rng.random(rows) * 10.0 ** rng.integers(-2, 3)
        if rng.random() < 0.5:
            options["label_smoothing"] = float(rng.choice([0.01, 0.1, 0.5, 1.0]))
        options["reduction"] = ("none", "mean", "sum")[number % 3]
        options["normalizer"] = NORMALIZERS[int(rng.integers(5))]
        yield x, targets_of(kind, rows, n), options


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("n", CLASSES)
def test_weights_and_targets(n, axis, dtype, each_isa) -> None:
    made = []
    for rows in (1, 40, 400):
        for x, y, options in calls(n, dtype, rows):
            if axis == 0:
                x, y = np.ascontiguousarray(x.T), np.ascontiguousarray(y.T)
            options = options | {"axis": axis}
            made.append((x, y, options, expected(x, y, **options)))
    for isa in each_isa():
        for x, y, options, true in made:
            assert_right(x, y, f"{isa}, {cases.described(options)}", true, **options)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_weighted_sums(kind, dtype, each_isa) -> None:
    """The budget of a sum with weights: no term of it is negative, so nothing cancels.

    Relative to its own size 1e-7 (1e-15), or what its rows may be wrong by, if that is more.
    """
    for n, rows in ((2, 1), (2, 1000), (3, 17), (10, 1), (10, 400), (40, 100), (320, 17)):
        rng = cases.seeded(n, rows, 14)
        x, y = cases.random_logits((rows, n), dtype), targets_of(kind, rows, n)
        known = wide.softmax_rows(x)
        weights = {
            "class_weight": 10.0 ** rng.integers(-6, 7, n),
            "sample_weight": 10.0 ** rng.integers(-6, 7, rows),
        }
        for names in (("class_weight",), ("sample_weight",), tuple(weights)):
            for reduction in ("sum", "mean"):
                options = {name: weights[name] for name in names} | {"reduction": reduction}
                true = wide.softmax_cross_entropy(x, y, rows=known, **options)
                for isa in each_isa():
                    loss = fastce.softmax_cross_entropy(x, y, **options)
                    what = f"{isa}, {rows} rows of {n} classes, {cases.described(options)}"
                    assert_within(loss, true.loss, true.loss_tolerance, F64, what)
