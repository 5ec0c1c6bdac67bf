"""Means of the replicates of a Poisson bootstrap."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fastce.evaluation.sums.bootstrap import poisson_counts
from fastce.evaluation.sums.exact import EXPONENT, ExactTable, Integers, rounded
from fastce.evaluation.sums.sums import HITS, ROWS, UNDEFINED, Sums

_DRAWN = 1 << 20  # counts that are drawn at a time


def replicate_means(sums: Sums, name: str) -> NDArray[np.float64]:
    """Return the mean loss or the accuracy of each replicate; NaN for one without rows."""
    drawn, tables = (sums.drawn, sums.replicates) if not sums.grouped else _of_groups(sums)
    x, w = drawn[HITS].tolist(), drawn[ROWS].tolist()
    if name == "loss":
        x = tables[0].cells()
        w = tables[1].cells() if len(tables) > 1 else [rows << EXPONENT for rows in w]
    return np.array([rounded(Fraction(a, b)) if b else math.nan for a, b in zip(x, w, strict=True)])


def _of_groups(sums: Sums) -> tuple[Integers, list[ExactTable]]:
    """Add up the groups, each as often as it is drawn."""
    replicates = sums.options.bootstrap
    keys, counts, of_groups = sums.groups.sorted()
    drawn = np.zeros((2, replicates), np.int64)
    tables = [ExactTable(replicates) for _ in of_groups]
    height = max(1, min(1 << 16, _DRAWN // replicates))
    for start in range(0, len(keys), height):
        part = slice(start, start + height)
        often = poisson_counts(sums.options.seed, "", keys[part], replicates)
        ranked = np.stack([counts[ROWS, part] - counts[UNDEFINED, part], counts[HITS, part]])
        drawn += ranked @ often.astype(np.int64)
        for table, of_group in zip(tables, of_groups, strict=True):
            table.add_products(often, of_group, part)
    return drawn, tables
