"""How far confidences are from accuracies, from the histogram of confidences."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple, TypeAlias

import numpy as np

from fastce.evaluation.sums.exact import as_fraction, rounded
from fastce.evaluation.sums.histogram import UNIFORM, ConfidenceHistogram, bucket_edges


class Bin(NamedTuple):
    """Rows with a confidence in (lower, upper].

    Attributes
    ----------
    lower, upper : float
    rows, hits : float
        Whole numbers for bins of equal width. A bin of equal mass may have a share of a bucket.
    confidence, accuracy : float
        Means over the rows; NaN where there are none.
    """

    lower: float
    upper: float
    rows: float
    hits: float
    confidence: float
    accuracy: float


class Part(NamedTuple):
    """What a bin adds up, exactly."""

    lower: float
    upper: float
    rows: Fraction
    hits: Fraction
    confidence: Fraction

    @property
    def gap(self) -> Fraction:
        """How far hits and confidences are apart, added over the rows."""
        return abs(self.hits - self.confidence)


Parts: TypeAlias = list[Part]


def equal_width(histogram: ConfidenceHistogram, bins: int) -> Parts:
    """Cut (0, 1] into bins of equal width.

    Exact if `bins` divides 3600; else a bucket of width 1/3600 that lies in two bins counts in that
    of its middle.
    """
    buckets = np.minimum(np.arange(len(histogram.rows)), UNIFORM - 1)
    of = (2 * buckets + 1) * bins // (2 * UNIFORM)
    confidence = histogram.confidence.cells()
    sums = [[0, 0, 0] for _ in range(bins)]
    for bucket in np.flatnonzero(histogram.rows):
        total = sums[of[bucket]]
        total[0] += int(histogram.rows[bucket])
        total[1] += int(histogram.hits[bucket])
        total[2] += confidence[bucket]
    return [
        Part(i / bins, (i + 1) / bins, Fraction(rows), Fraction(hits), as_fraction(units))
        for i, (rows, hits, units) in enumerate(sums)
    ]


def equal_mass(histogram: ConfidenceHistogram, bins: int) -> Parts:
    """Cut the rows, sorted by confidence, into bins with equally many.

    A bucket that lies in two bins is divided between them in proportion.
    """
    edges = bucket_edges()
    confidence = histogram.confidence.cells()
    share = Fraction(int(histogram.rows.sum()), bins)
    found: Parts = []
    room = share
    rows = hits = total = Fraction(0)
    lower = 0.0
    for bucket in np.flatnonzero(histogram.rows):
        whole = left = Fraction(int(histogram.rows[bucket]))
        while left:
            taken = min(left, room)
            part = taken / whole
            rows += taken
            hits += part * int(histogram.hits[bucket])
            total += part * as_fraction(confidence[bucket])
            left -= taken
            room -= taken
            if not room:
                upper = float(edges[bucket + 1])
                found.append(Part(lower, upper, rows, hits, total))
                room, lower = share, float(edges[bucket]) if left else upper
                rows = hits = total = Fraction(0)
    return found


def as_bins(sums: Parts) -> tuple[Bin, ...]:
    """Round what bins add up."""
    return tuple(
        Bin(
            part.lower,
            part.upper,
            float(part.rows),
            float(part.hits),
            rounded(part.confidence / part.rows) if part.rows else math.nan,
            rounded(part.hits / part.rows) if part.rows else math.nan,
        )
        for part in sums
    )


def expected_error(sums: Parts) -> float:
    """Return the mean over rows of how far accuracy and confidence of their bin are apart."""
    rows = sum(part.rows for part in sums)
    return rounded(sum((part.gap for part in sums), Fraction(0)) / rows) if rows else math.nan


def largest_error(sums: Parts) -> float:
    """Return how far accuracy and confidence are apart in the worst bin."""
    return max((rounded(part.gap / part.rows) for part in sums if part.rows), default=math.nan)
