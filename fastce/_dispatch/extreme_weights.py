"""Weights whose sum, or the inverse of it, float64 does not have: the same mean by other weights.

Weights are divided by powers of two, which takes no digit from them, and what the mean divides by
is divided by the same.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastce._dispatch.outcome import CHECKED, SUMS_ONLY
from fastce._dispatch.reduction import Sums, divisor
from fastce._validation.arrays import without
from fastce._validation.dtypes import Array, is_float

LARGEST_EXPONENT = 900  # of a weight that has been divided


def exponent_of(weights: Array, total: float, count: int) -> int:
    """Return e for which 2**e is about the mean weight, or the largest where the sum tells nothing.

    Divided by 2**e no weight overflows.
    """
    largest = math.frexp(float(np.asarray(weights, np.float64).max(initial=0)))[1]
    if not 0 < total < math.inf:
        return largest
    return max(math.frexp(total / count)[1], largest - LARGEST_EXPONENT)


def divided(weights: Any, exponent: int) -> Array:
    """Return weights divided by 2**exponent."""
    with np.errstate(all="ignore"):
        return np.asarray(np.ldexp(np.asarray(weights, np.float64), -exponent))


def sums_of(call: Any) -> Sums:
    """Return what the weights of a call add up to."""
    return Sums(*call.run(CHECKED | SUMS_ONLY))


def scaled(call: Any) -> Any:
    """Return a call for the same mean whose weights are neither too large nor too small."""
    given, by_class, by_item = call, call.class_weight, call.sample_weight
    counts_class = by_class is not None and not is_float(call.labels.dtype)
    of_class = of_item = 0
    if by_class is not None:
        sums = sums_of(call._replace(sample_weight=None))
        total = sums.weight if counts_class else math.nan
        of_class = exponent_of(by_class, total, sums.valid)
        by_class = divided(by_class, of_class)
        call = call._replace(class_weight=by_class)
    if by_item is not None:
        sums = sums_of(call)
        of_item = exponent_of(by_item, sums.weight, sums.valid)
        call = call._replace(sample_weight=divided(by_item, of_item))
    if sums_of(call).weight == 0:
        return given  # nothing is divided by what an empty mean divides by
    by_weight = call.normalizer == "weight"
    if by_weight and (by_class is None or counts_class):
        return call  # the sum of the weights is what it should be by itself
    items = math.prod(without(call.inputs.shape, call.axis))
    d = divisor(call.normalizer, items, sums_of(call))
    if not 0 < d < math.inf:
        return call
    # Both the weights and what is divided by come as near to 1 as the other lets them.
    of_divisor = of_item if by_weight else 0
    middle = (of_class + of_item + math.frexp(d)[1] + of_divisor) // 2
    weights = divided(1.0 if by_item is None else by_item, middle - of_class)
    smallest = np.finfo(np.float64).smallest_normal
    d = max(float(divided(d, middle - of_divisor)), float(smallest))
    return call._replace(sample_weight=weights, normalizer=d)
