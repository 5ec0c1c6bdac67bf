"""Sums of weights and of losses in Python: exact, and inf where they overflow."""

import math

import numpy as np
import pytest

import fastce
from fastce._dispatch.reduction import LANES, exact_sum


@pytest.mark.parametrize("n", [0, 1, LANES - 1, LANES, LANES + 1, 5 * LANES, 5 * LANES + 17])
@pytest.mark.parametrize("spread", [0, 3, 300])
def test_as_exact_as_fsum(n, spread) -> None:
    rng = np.random.default_rng(n)
    values = rng.random(n) * 10.0 ** rng.integers(-spread, spread + 1, n)
    true = math.fsum(values)
    assert abs(exact_sum(values) - true) <= math.ulp(true)


def test_overflow() -> None:
    for values in ([1e308] * 3, np.full(3, 1e308), np.full(3 * LANES, 1e308), [math.inf, 1.0]):
        assert exact_sum(values) == math.inf
    assert math.isnan(exact_sum([math.nan, 1.0]))


def test_weights_whose_sum_overflows() -> None:
    """A mean over a sum of weights that is inf: no exception, and no warning."""
    x, z, y = np.ones((3, 2)), np.ones((3, 2)), np.ones(3, int)
    huge = [1e308] * 3
    calls = (
        lambda: fastce.softmax_cross_entropy(x, y, sample_weight=huge, return_grad=True),
        lambda: fastce.softmax_cross_entropy(x, z, sample_weight=huge, return_grad=True),
        lambda: fastce.sigmoid_cross_entropy(x[:, 0], y, sample_weight=huge, return_grad=True),
        lambda: fastce.binary_cross_entropy(x[:, 0], y, sample_weight=huge, return_grad=True),
    )
    for call in calls:
        loss, _ = call()
        assert not 0 < loss < math.inf
    weights = {"class_weight": huge[:2], "label_smoothing": 0.1}
    assert not 0 < fastce.softmax_cross_entropy(x, y, **weights) < math.inf
    ones = np.ones((9, 9000))
    losses = fastce.sigmoid_cross_entropy(-1e308 * ones[:, ::-1], ones, reduction="sum")
    assert losses == math.inf
