"""Tables of an evaluation: classes, documents, confusions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from fastce.evaluation.sums.exact import as_fraction, rounded
from fastce.evaluation.sums.sums import HITS, INFINITE, ROWS, UNDEFINED, Sums


class ClassRow(NamedTuple):
    """The rows of one class; for sigmoids, of one column of the labels.

    Attributes
    ----------
    label : int
        The class, or the column.
    rows, hits : int
    positives, predicted : int
        Rows whose label, and whose prediction, is this class (or 1).
    loss : float
        Mean loss in nats: the sum of the losses divided by that of the weights.
    precision, recall, f1 : float
        NaN where nothing was predicted, or where there is no such label.
    """

    label: int
    rows: int
    hits: int
    positives: int
    predicted: int
    loss: float
    precision: float
    recall: float
    f1: float

    @property
    def accuracy(self) -> float:
        """Share of the rows that are hits."""
        return _share(self.hits, self.rows)


class GroupRow(NamedTuple):
    """The rows of one document."""

    group: int
    rows: int
    hits: int
    loss: float
    perplexity: float


class Confusion(NamedTuple):
    """How many rows with a label are predicted to be of another class."""

    label: int
    predicted: int
    rows: int


def class_rows(sums: Sums) -> list[ClassRow]:
    """Return a line for each class."""
    weights = sums.options.class_weight
    sigmoid = sums.options.loss == "sigmoid"
    found = []
    columns = zip(
        sums.classes.T.tolist(), sums.predictions.tolist(), sums.class_loss.cells(), strict=True
    )
    for index, (counts, predicted, units) in enumerate(columns):
        rows, hits = counts[ROWS], counts[HITS]
        positives, both = rows, hits
        if sigmoid:
            # Rows are right in both ways: hits = both + (rows - positives - predicted + both).
            positives = int(sums.positives[index])
            defined = rows - counts[UNDEFINED]
            seen = positives - int(sums.undefined_positives[index])
            both = (hits - defined + seen + predicted) // 2
        weight = rows * (1 if weights is None else Fraction(weights[index]))
        found.append(
            ClassRow(
                index,
                rows,
                hits,
                positives,
                predicted,
                _mean(units, weight, counts),
                _share(both, predicted),
                _share(both, positives),
                _share(2 * both, positives + predicted),
            )
        )
    return found


def group_rows(sums: Sums) -> list[GroupRow]:
    """Return a line for each group."""
    keys, counts, tables = sums.groups.sorted()
    losses = tables[0].cells()
    weights = None if len(tables) == 1 else tables[1].cells()
    found = []
    for at, (key, of_group) in enumerate(zip(keys.tolist(), counts.T.tolist(), strict=True)):
        weight = Fraction(of_group[ROWS]) if weights is None else as_fraction(weights[at])
        loss = _mean(losses[at], weight, of_group)
        perplexity = math.exp(loss) if not loss > 709 else math.inf
        found.append(GroupRow(key, of_group[ROWS], of_group[HITS], loss, perplexity))
    return found


def confusions(sums: Sums, most: int) -> list[Confusion]:
    """Return the most frequent confusions, equally frequent ones by their classes."""
    keys, counts = sums.confusions.sorted()
    order = np.argsort(-counts, kind="stable")[:most]
    return [
        Confusion(*divmod(int(keys[at]), sums.options.classes), int(counts[at])) for at in order
    ]


def _mean(units: int, weight: int | Fraction, counts: list[int]) -> float:
    if counts[UNDEFINED] or not weight:
        return math.nan
    return math.inf if counts[INFINITE] else rounded(as_fraction(units) / weight)


def _share(part: int, whole: int) -> float:
    return rounded(Fraction(part, whole)) if whole else math.nan
