"""What a mean divides by, and how sums become the returned loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastce._validation.scalars import LARGEST, Number, as_number

Array = npt.NDArray[np.float64]
LANES = 4096  # sums that are kept side by side; each takes some 60 bytes meanwhile

REDUCTIONS = ("none", "sum", "mean")
NORMALIZERS = ("weight", "valid", "all", "nonzero")
SMALLEST = math.ulp(0.0)


class Tally(NamedTuple):
    """What the rows of a call add up to; the order is that of the kernels' return value."""

    loss: float = 0.0
    weight: float = 0.0
    valid: int = 0
    nonzero: int = 0
    bad_row: int = -1

    def plus(self, other: Tally, first_row: int) -> Tally:
        """Add the tally of the block that begins at `first_row`."""
        bad = self.bad_row if self.bad_row >= 0 or other.bad_row < 0 else first_row + other.bad_row
        return Tally(
            self.loss + other.loss,
            self.weight + other.weight,
            self.valid + other.valid,
            self.nonzero + other.nonzero,
            bad,
        )


def exact_sum(values: Array | Sequence[float]) -> float:
    """Return the sum of float64 numbers to about twice their precision; inf where it overflows."""
    if isinstance(values, np.ndarray) and values.size > LANES:
        values = _two_sums(values)
    try:
        return math.fsum(values)
    except OverflowError:  # fsum refuses, whatever it could do with an intermediate infinity
        return float(sum(map(float, values)))


def _two_sums(values: Array) -> Array:
    """Return some numbers whose sum is that of many more: sums, and what rounding took from them.

    fsum takes 40 ns a number, these a few (D. E. Knuth's two-sum).
    """
    total, lost = np.zeros(LANES), np.zeros(LANES)
    whole = values.size // LANES * LANES
    with np.errstate(all="ignore"):
        for i in range(0, whole, LANES):
            x = values[i : i + LANES]
            new = total + x
            back = new - total
            lost += (total - (new - back)) + (x - back)
            total = new
        lost[~np.isfinite(lost)] = 0  # of sums that are not finite
    return np.concatenate((total, lost, values[whole:]))


def check(reduction: str, normalizer: str | Number) -> None:
    """Refuse an unknown reduction or normalizer."""
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        raise ValueError(
            f"reduction is {reduction!r}, accepted are {', '.join(map(repr, REDUCTIONS))}"
        )
    if isinstance(normalizer, str) and normalizer in NORMALIZERS:
        return
    accepted = f"> 0 and finite, or one of {', '.join(map(repr, NORMALIZERS))}"
    if isinstance(normalizer, str):
        raise ValueError(f"normalizer is {normalizer!r}, accepted is a number {accepted}")
    as_number(normalizer, "normalizer", SMALLEST, LARGEST, accepted)


def denominator(normalizer: str | Number, rows: int, tally: Tally) -> float:
    """Return what a mean divides by."""
    if not isinstance(normalizer, str):
        return float(normalizer)
    if normalizer == "weight":
        return tally.weight
    if normalizer == "valid":
        return float(tally.valid)
    if normalizer == "all":
        return float(rows)
    return float(tally.nonzero)


def needs_labels(reduction: str, normalizer: str | Number) -> bool:
    """Whether the denominator is known only after the labels and weights have been read."""
    return reduction == "mean" and isinstance(normalizer, str) and normalizer != "all"


def mean(total: float, d: float) -> float:
    """Return total / d, NaN for an empty mean."""
    return total / d if d else math.nan


def gradient_divisor(reduction: str, d: float) -> float:
    """Return what row gradients are divided by; those of an empty mean are those of the sum."""
    return d if reduction == "mean" and d else 1.0


def reduced(losses: Any, total: float, reduction: str, d: float) -> Any:
    """Return what is asked for of losses: themselves, their sum, or their mean."""
    if losses is not None:
        return losses
    return total if reduction == "sum" else mean(total, d)


def result(loss: Any, grad: Any, hess: Any) -> Any:
    """Return the loss, followed by what else was asked for."""
    if grad is None and hess is None:
        return loss
    asked = tuple(part for part in (grad, hess) if part is not None)
    return (loss, *asked)
