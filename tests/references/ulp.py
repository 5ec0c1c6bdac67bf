"""The error budget (section 8 of the contract), written once.

All arithmetic here is in long double, so that the yardstick does not add to what it measures.
"""

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Budget:
    """What a result of one dtype may be wrong by."""

    ulps: int  # of the true value
    absolute: float  # in units of the row's scale
    small: int  # a small result: (small + spread) * eps of its own size, for each factor
    eps: float
    reduced: float  # a sum or mean over rows, of its own size
    tiny: float  # smallest normal number: below it results may be flushed to zero


BUDGETS = {
    np.dtype(np.float32): Budget(2, 1e-7, 4, 2.0**-23, 1e-7, float(np.finfo(np.float32).tiny)),
    np.dtype(np.float64): Budget(4, 4e-16, 8, 2.0**-52, 1e-15, float(np.finfo(np.float64).tiny)),
}


def ulp(value: Any, dtype: Any) -> Array:
    """Return the distance between numbers of a dtype around a value of higher precision."""
    info = np.finfo(dtype)
    value = np.maximum(np.abs(np.asarray(value, dtype=np.longdouble)), info.smallest_normal)
    exponent = np.frexp(value)[1] - 1  # value = 1.xxx * 2**exponent
    return np.ldexp(np.longdouble(1), exponent - info.nmant)


def ulps(actual: Any, true: Any, dtype: Any) -> Array:
    """Return how many ulp of the true value results are away from it."""
    return distance(actual, true, dtype) / ulp(true, dtype)


def distance(actual: Any, true: Any, dtype: Any) -> Array:
    """Return abs(actual - true): 0 where both are the same inf or NaN, inf where only one is."""
    actual, true = np.broadcast_arrays(
        np.asarray(actual, dtype=np.longdouble), np.asarray(true, dtype=np.longdouble)
    )
    with np.errstate(invalid="ignore", over="ignore"):
        # A true value past the largest number of the dtype can only be returned as inf.
        largest = np.finfo(dtype).max
        past = np.abs(true) >= np.longdouble(largest) + ulp(largest, dtype) / 2
        true = np.where(past, np.copysign(np.inf, true), true)
        apart = np.abs(actual - true)
    same = (actual == true) | (np.isnan(actual) & np.isnan(true))
    return np.where(same, 0, np.where(np.isnan(apart), np.inf, apart))


def tolerance(
    true: Any,
    scale: Any,
    dtype: Any,
    spread: Any = np.inf,
    terms: int = 1,
    rounded: bool = True,
    factors: int = 1,
) -> Array:
    """Return the largest error allowed for results whose true values are given.

    Parameters
    ----------
    true
        True values.
    scale
        What the row weighs: total weight of its targets times its own weight, over the divisor
        of a mean.
    dtype
        Of the result.
    spread
        ``max abs(x_c - x_y)`` over the classes that matter, where small results must be right
        relative to their own size; inf elsewhere.
    terms
        How many terms, each possibly flushed to zero, a result is the sum of.
    rounded
        Whether the result has been rounded to the dtype: only then do ulp count.
    factors
        How many numbers, each right to the budget, a result is the product of: 2 for an entry of
        a Hessian, p (1 - p).

    """
    budget = BUDGETS[np.dtype(dtype)]
    true = np.abs(np.asarray(true, dtype=np.longdouble))
    allowed = factors * budget.absolute * np.asarray(scale, dtype=np.longdouble)
    with np.errstate(invalid="ignore"):
        each = (budget.small + np.asarray(spread, dtype=np.longdouble)) * budget.eps
        relative = factors * each * true
        allowed = np.fmin(allowed, np.where(np.isinf(spread), np.inf, relative))
        if rounded:
            allowed = np.maximum(allowed, budget.ulps * ulp(true, dtype))
        flushed = budget.tiny * terms * np.maximum(1, scale)
    return np.where(np.isfinite(true), allowed + flushed, 0)


def used(actual: Any, true: Any, allowed: Any, dtype: Any) -> Array:
    """Return the part of its budget that every result uses: past 1 it is wrong."""
    apart = distance(actual, true, dtype)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(apart == 0, 0, apart / np.asarray(allowed, dtype=np.longdouble))


def assert_within(actual: Any, true: Any, allowed: Any, dtype: Any, what: str = "") -> None:
    """Assert that every result is within its budget, and show the worst where one is not."""
    actual = np.asarray(actual)
    assert actual.shape == np.shape(true), f"{what}: shape {actual.shape}, not {np.shape(true)}"
    with np.errstate(invalid="ignore", over="ignore"):
        if np.all(np.abs(actual - true) <= allowed):
            return  # the usual case, quickly; what is inf or NaN is looked at below
    parts = np.atleast_1d(used(actual, true, allowed, dtype))
    worst = np.unravel_index(np.argmax(parts), parts.shape)
    if parts[worst] <= 1:
        return
    got, expected = np.atleast_1d(actual)[worst], np.atleast_1d(true)[worst]
    raise AssertionError(
        f"{what}: at {tuple(int(i) for i in worst)} got {got!r}, not {expected!r}: "
        f"{float(parts[worst]):.3g} times the budget, "
        f"{float(np.atleast_1d(ulps(got, expected, dtype))[0]):.3g} ulp; "
        f"{int((parts > 1).sum())} of {parts.size} results are past their budget"
    )


def rounding(values, dtype) -> np.ndarray:
    """Return half an ulp of a half-precision dtype around values: the error of one rounding."""
    info = ml_dtypes.finfo(dtype)
    least = np.longdouble(info.smallest_normal)
    exponent = np.frexp(np.maximum(np.abs(values), least))[1] - 1
    return np.ldexp(np.longdouble(0.5), exponent - info.nmant)
