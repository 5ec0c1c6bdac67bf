"""Poisson bootstrap: how often a row or document counts in each replicate.

A count is a Poisson(1) number that depends on the seed, the row (or document) and the replicate
alone, so the replicates of two evaluations are added like everything else. The generator is NumPy's
Philox, which is based on a counter: row i uses the numbers from ``i * stride`` on.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fastce.evaluation.sums.exact import Floats, Integers

_BLOCK = 8  # numbers of 32 bits for each value of the counter
# A number below the k-th bound is a count of at most k.
_BOUNDS = np.array(
    [round(2**32 * sum(math.exp(-1) / math.factorial(i) for i in range(k + 1))) for k in range(13)]
)
_BOUNDS = np.minimum(_BOUNDS, 2**32 - 1).astype(np.uint32)
# The count by the upper half of a number, unless a bound has the same upper half.
_BY_HALF = np.searchsorted(_BOUNDS, np.arange(1 << 16, dtype=np.uint32) << 16, side="right")
_BY_HALF = _BY_HALF.astype(np.uint8)
_UNCLEAR = np.isin(np.arange(1 << 16), _BOUNDS >> 16)
_GAP = 64  # ids that are skipped rather than that the generator is started anew


def poisson_counts(seed: int, source: str, ids: Integers, replicates: int) -> Floats:
    """Return the counts of rows or documents, shape (len(ids), replicates), as float64."""
    stride = -(-replicates // _BLOCK)
    counts = np.empty((len(ids), replicates))
    for start, stop in _runs(ids):
        # 128 bits: 64 of the name and the seed, which is below 2**64.
        name = int.from_bytes(
            hashlib.sha256(source.encode("utf-8", "surrogatepass")).digest()[:8], "big"
        )
        first = int(ids[start])
        generator = np.random.Philox(key=seed << 64 | name, counter=first % 2**64 * stride)
        raw = generator.random_raw((int(ids[stop - 1]) - first + 1) * stride * _BLOCK // 2)
        numbers = raw.astype("<u8", copy=False).view("<u4").reshape(-1, stride * _BLOCK)
        counts[start:stop] = _poisson(numbers[ids[start:stop] - first, :replicates])
    return counts


def _poisson(numbers: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Turn uniform numbers of 32 bits into Poisson(1) numbers."""
    half = numbers >> 16
    counts: NDArray[np.uint8] = _BY_HALF[half]
    unclear = _UNCLEAR[half]
    counts[unclear] = np.searchsorted(_BOUNDS, numbers[unclear], side="right")
    return counts


def _runs(ids: Integers) -> Iterator[tuple[int, int]]:
    """Yield the ranges in which ids rise without large gaps."""
    steps = np.diff(ids)
    ends = np.flatnonzero((steps < 1) | (steps > _GAP)) + 1
    bounds = [0, *ends.tolist(), len(ids)]
    yield from ((a, b) for a, b in pairwise(bounds) if a < b)
