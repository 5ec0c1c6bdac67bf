"""The rows with the largest losses, and the first rows whose loss is not finite."""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastce.evaluation.sums.exact import Floats


class Row(NamedTuple):
    """A row: where it is, and what was found there.

    Attributes
    ----------
    loss : float
        Loss under the options of the evaluation, in nats.
    group : int or None
        The document, if groups were given.
    row : int
        Number of the row in its source, from 0 on.
    source : str
        Name of the source; "" for one without a name.
    label, predicted : int
        -1 for the prediction of a row with NaN. For `loss="sigmoid"` 0 or 1.
    confidence : float
        Probability of the prediction.
    column : int or None
        The label's column, for `loss="sigmoid"`.
    """

    loss: float
    group: int | None
    row: int
    source: str
    label: int
    predicted: int
    confidence: float
    column: int | None = None


class HardestRows:
    """The rows with the largest losses, as many as `most`; equal losses by their place."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.rows: list[Row] = []

    def candidates(self, loss: Floats) -> NDArray[np.intp]:
        """Return which rows of a block may be among the hardest."""
        if not self.most:
            return np.zeros(0, np.intp)
        least = self.rows[-1].loss if len(self.rows) == self.most else -np.inf
        if len(loss) > 4 * self.most:  # all that equal the last one of the block's own hardest
            least = max(least, np.partition(loss, len(loss) - self.most)[-self.most])
        return np.flatnonzero(loss >= least)

    def add(self, rows: list[Row]) -> None:
        """Add rows."""
        if rows:
            self.rows = heapq.nsmallest(self.most, [*self.rows, *rows], key=_order)


class FirstRows:
    """The first rows of a kind, by source and row: as many as `most`."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.rows: list[tuple[str, int]] = []

    def add(self, rows: list[tuple[str, int]]) -> None:
        """Add rows."""
        self.rows = heapq.nsmallest(self.most, {*self.rows, *rows})


def _order(row: Row) -> tuple[object, ...]:
    group = -(2**63) if row.group is None else row.group
    return (-row.loss, group, row.row, row.source, row.column or 0)
