"""What a mean divides by, and sums in Python."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple


class Sums(NamedTuple):
    """What the items of a call add up to but for their losses, as the kernels return it."""

    weight: float
    valid: int
    nonzero: int


def exact_sum(values: Iterable[float]) -> float:
    """Return the correctly rounded sum of float64 numbers; inf where it overflows."""
    values = list(values)
    try:
        return math.fsum(values)
    except OverflowError:  # fsum refuses, whatever it could do with an intermediate infinity
        return sum(values)


def divisor(normalizer: str | float, items: int, sums: Sums) -> float:
    """Return what a mean divides by."""
    if not isinstance(normalizer, str):
        return normalizer
    if normalizer == "all":
        return float(items)
    return float(getattr(sums, normalizer))


def gradient_divisor(reduction: str, d: float) -> float:
    """Return what gradients are divided by; those of an empty mean are those of the sum."""
    return d if reduction == "mean" and d else 1.0
