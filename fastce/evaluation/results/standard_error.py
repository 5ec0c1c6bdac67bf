"""Standard errors of means of rows, from exact sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from fastce.evaluation.sums.exact import root


def independent(rows: int, total: Fraction, squares: Fraction) -> float:
    """Return the standard error of the mean of independent rows.

    That is the root of ``(n * sum(x**2) - sum(x)**2) / (n**2 * (n - 1))``.
    """
    if rows < 2:
        return math.nan
    return root((rows * squares - total**2) / (rows**2 * (rows - 1)))


def independent_ratio(
    rows: int, total: Fraction, weight: Fraction, squares: tuple[Fraction, Fraction, Fraction]
) -> float:
    """Return the standard error of ``sum(x) / sum(w)`` of independent rows.

    That of the linearised ratio: the root of ``n / (n - 1) * sum((x - r * w)**2) / sum(w)**2``.

    Parameters
    ----------
    rows : int
    total, weight : Fraction
        Sums of x and w.
    squares : tuple of three Fractions
        Sums of ``x**2``, ``x * w`` and ``w**2``.
    """
    if rows < 2 or not weight:
        return math.nan
    ratio = total / weight
    xx, xw, ww = squares
    return root(Fraction(rows, rows - 1) * (xx - 2 * ratio * xw + ratio**2 * ww) / weight**2)


def clustered_ratio(
    x: Sequence[int], w: Sequence[int], x_unit: Fraction, w_unit: Fraction
) -> float:
    """Return the standard error of ``sum(x) / sum(w)`` where only clusters are independent.

    That is the root of ``G / (G - 1) * sum((x_g - r * w_g)**2) / sum(w)**2`` over G clusters.

    Parameters
    ----------
    x, w : sequence of int
        Sums of each cluster, in units of `x_unit` and `w_unit`.
    """
    total, weight, clusters = sum(x), sum(w), len(x)
    if clusters < 2 or not weight:
        return math.nan
    scattered = sum((a * weight - total * b) ** 2 for a, b in zip(x, w, strict=True))
    variance = Fraction(clusters * scattered, (clusters - 1) * weight**4)
    return root(variance * x_unit**2 / w_unit**2)
