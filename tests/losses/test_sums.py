"""Sums of losses in Python: exact, and inf where they overflow."""

import math

import numpy as np
import pytest

import fastce
from fastce._dispatch.reduction import exact_sum


@pytest.mark.parametrize("n", [0, 1, 4097])
@pytest.mark.parametrize("spread", [0, 3, 300])
def test_as_exact_as_fsum(n, spread) -> None:
    rng = np.random.default_rng(n)
    values = (rng.random(n) * 10.0 ** rng.integers(-spread, spread + 1, n)).tolist()
    assert exact_sum(values) == math.fsum(values)


def test_overflow() -> None:
    for values in ([1e308] * 3, [math.inf, 1.0], [math.inf, 1e308, 1e308]):
        assert exact_sum(values) == math.inf
    assert math.isnan(exact_sum([math.nan, 1.0]))


def test_sums_of_blocks_that_overflow() -> None:
    """In a layout that is copied block by block: no exception, and no warning."""
    ones = np.ones((9, 9000))
    losses = fastce.sigmoid_cross_entropy(-1e308 * ones[:, ::-1], ones, reduction="sum")
    assert losses == math.inf
