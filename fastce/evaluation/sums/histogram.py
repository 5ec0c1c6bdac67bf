"""Counts over buckets of losses and of confidences, from which any quantile or binning follows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastce.evaluation.sums.exact import ExactTable, Floats, Integers

LOSS_BUCKETS = 1 << 16
UNIFORM = 3600  # buckets of equal width: a multiple of 10, 12, 15, 16, 18, 20, 25, 30, 50 and 100
CONFIDENCE_BUCKETS = 4096
_NEAR_ONE = 4  # bits of a float32's mantissa that tell confidences near 1 apart


def loss_bucket(loss: Floats) -> NDArray[np.intp]:
    """Return the bucket of each loss >= 0: the first 16 bits behind the sign of it as a float32.

    A bucket is 1/256 of a power of two wide, so its middle is within 0.2 % of whatever it holds.
    """
    with np.errstate(over="ignore", under="ignore"):
        bits = np.maximum(loss, 0.0).astype(np.float32).view(np.int32)
    return (bits >> 15).astype(np.intp)


def bucket_middle(bucket: int) -> float:
    """Return the middle of a bucket of losses."""
    low, high = np.array([bucket << 15, (bucket + 1) << 15], np.int32).view(np.float32).tolist()
    return float((low + high) / 2)


def confidence_bucket(confidence: Floats) -> NDArray[np.intp]:
    """Return the bucket of each confidence in (0, 1].

    Bucket k below 3599 holds the confidences in (k/3600, (k+1)/3600]. The last such interval, where
    sure classifiers have most of their rows, is divided again by the leading bits of 1 - p.
    """
    scaled = confidence * UNIFORM
    np.ceil(scaled, out=scaled)
    buckets = scaled.astype(np.intp)
    buckets -= 1
    high = np.flatnonzero(buckets >= UNIFORM - 1)
    if high.size:
        rest = (1.0 - confidence[high]).astype(np.float32).view(np.int32) >> (23 - _NEAR_ONE)
        # rest falls as p rises; its largest value here is that of 1/3600.
        buckets[high] = np.clip(UNIFORM - 1 + _largest_rest() - rest, UNIFORM - 1, None)
        np.minimum(buckets, CONFIDENCE_BUCKETS - 1, out=buckets)
    return np.maximum(buckets, 0, out=buckets)


def bucket_edges() -> Floats:
    """Return the edges of the buckets of confidences, shape (CONFIDENCE_BUCKETS + 1,)."""
    edges = np.ones(CONFIDENCE_BUCKETS + 1)
    edges[:UNIFORM] = np.arange(UNIFORM) / UNIFORM
    rest = _largest_rest() - np.arange(CONFIDENCE_BUCKETS - UNIFORM)
    below = (rest << (23 - _NEAR_ONE)).astype(np.int32).view(np.float32)
    edges[UNIFORM:-1] = 1.0 - below.astype(np.float64)
    return edges


def _largest_rest() -> int:
    largest = np.array([1 / UNIFORM], np.float32).view(np.int32)
    return int(largest[0]) >> (23 - _NEAR_ONE)


class ConfidenceHistogram:
    """Rows, hits and the exact sum of the confidences in each bucket."""

    def __init__(self) -> None:
        self.rows: Integers = np.zeros(CONFIDENCE_BUCKETS, np.int64)
        self.hits: Integers = np.zeros(CONFIDENCE_BUCKETS, np.int64)
        self.confidence = ExactTable(CONFIDENCE_BUCKETS, unit=-36)

    def add(self, confidence: Floats, hits: NDArray[np.bool_]) -> None:
        """Add rows."""
        buckets = confidence_bucket(confidence)
        both = np.bincount(2 * buckets + hits, minlength=2 * CONFIDENCE_BUCKETS).reshape(-1, 2)
        self.rows += both[:, 0] + both[:, 1]
        self.hits += both[:, 1]
        self.confidence.add(buckets, confidence)

    def merge(self, other: ConfidenceHistogram) -> None:
        """Add another histogram."""
        self.rows += other.rows
        self.hits += other.hits
        self.confidence.merge(other.confidence)


class LossHistogram:
    """Rows in each bucket of losses, with the least and the largest finite loss."""

    def __init__(self) -> None:
        self.rows: Integers = np.zeros(LOSS_BUCKETS, np.int64)
        self.least, self.largest = np.inf, -np.inf

    def add(self, loss: Floats) -> None:
        """Add rows with finite losses."""
        if not loss.size:
            return
        buckets = loss_bucket(loss)
        first = int(buckets.min())
        counts = np.bincount(buckets - first)
        self.rows[first : first + len(counts)] += counts
        self.least = min(self.least, float(loss.min()))
        self.largest = max(self.largest, float(loss.max()))

    def merge(self, other: LossHistogram) -> None:
        """Add another histogram."""
        self.rows += other.rows
        self.least = min(self.least, other.least)
        self.largest = max(self.largest, other.largest)

    def quantile(self, position: int) -> float:
        """Return the loss at a position of the sorted finite losses: within 0.2 %, ends exactly."""
        below = np.cumsum(self.rows)
        if position in (0, below[-1] - 1):
            return self.largest if position else self.least
        bucket = int(np.searchsorted(below, position, side="right"))
        return min(max(bucket_middle(bucket), self.least), self.largest)
