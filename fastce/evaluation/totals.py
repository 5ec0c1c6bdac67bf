"""What blocks of rows contribute, added up exactly and in their order."""

from __future__ import annotations

import math
from array import array
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class PartByClass(NamedTuple):
    """Sums by class: arrays of one length, `of` the classes they are for, in any order."""

    of: npt.NDArray[np.intp]
    rows: npt.NDArray[np.int64]
    hits: npt.NDArray[np.int64]
    loss: npt.NDArray[np.float64]


class Part(NamedTuple):
    """What a block contributes."""

    rows: int
    hits: int
    loss: float
    weight: float
    classes: PartByClass | None


class ClassTotals(NamedTuple):
    """Sums over the rows of each class, arrays of shape (C,)."""

    rows: npt.NDArray[np.int64]
    hits: npt.NDArray[np.int64]
    loss: npt.NDArray[np.float64]


class Totals(NamedTuple):
    """Sums over all rows that are not ignored; `weight` is what a mean loss divides by."""

    rows: int
    hits: int
    loss: float
    weight: float
    classes: ClassTotals | None


class Sums:
    """The parts added so far.

    Parameters
    ----------
    classes : int
        The number of classes of which each is counted by itself; 0 for none.
    """

    def __init__(self, classes: int) -> None:
        self._rows = self._hits = 0
        # Exact sums of the blocks' sums: 16 bytes for each block.
        self._losses, self._weights = array("d"), array("d")
        counted = np.zeros((2, classes), np.int64)
        self._classes = ClassTotals(counted[0], counted[1], np.zeros(classes))

    def add(self, part: Part) -> None:
        """Add what the next block contributes."""
        self._rows += part.rows
        self._hits += part.hits
        self._losses.append(part.loss)
        self._weights.append(part.weight)
        if part.classes is not None:
            of, *sums = part.classes
            for whole, of_part in zip(self._classes, sums, strict=True):
                np.add.at(whole, of, of_part)

    def totals(self, per_class: bool) -> Totals:
        """Return the sums of all parts."""
        classes = self._classes if per_class else None
        return Totals(self._rows, self._hits, _sum(self._losses), _sum(self._weights), classes)


def _sum(parts: array[float]) -> float:
    try:
        return math.fsum(parts)
    except OverflowError:  # finite parts, but beyond float64 in between
        return sum(parts)
