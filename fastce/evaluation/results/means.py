"""Means over the rows of an evaluation, and their standard errors."""

from __future__ import annotations

import decimal
import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from fastce._validation.scalars import Integer, Number, as_integer, as_number
from fastce.evaluation.options import Options
from fastce.evaluation.results import standard_error
from fastce.evaluation.results.tables import group_rows
from fastce.evaluation.sums.exact import EXPONENT, as_fraction, rounded
from fastce.evaluation.sums.sums import HITS, INFINITE, ROWS, UNDEFINED, Sums

_UNIT = Fraction(1, 1 << EXPONENT)
_ONE = Fraction(1)


@dataclass(frozen=True, eq=False, repr=False)
class RowMeans:
    """Losses, hits and probabilities, as means over the rows."""

    options: Options
    _sums: Sums = field(repr=False)

    @property
    def rows(self) -> int:
        """Number of rows that are not ignored; of labels, for ``loss="sigmoid"``."""
        return int(self._sums.classes[ROWS].sum())

    @property
    def nonfinite_rows(self) -> int:
        """Number of rows whose loss is NaN or infinite."""
        return int(self._sums.classes[[INFINITE, UNDEFINED]].sum())

    @property
    def ranked_rows(self) -> int:
        """Number of rows with a prediction: all but those with NaN. Accuracies are over these."""
        return self.rows - int(self._sums.classes[UNDEFINED].sum())

    # Loss

    @property
    def loss_sum(self) -> float:
        """Sum of the losses in nats, under `class_weight` and `label_smoothing`."""
        return self._loss(rounded(as_fraction(self._loss_units)))

    @property
    def weight_sum(self) -> float:
        """Sum of the rows' class weights: their number, without `class_weight`."""
        return rounded(self._weight)

    @property
    def loss(self) -> float:
        """Mean loss in nats: `loss_sum` divided by `weight_sum`."""
        if not self._weight:
            return math.nan
        return self._loss(rounded(as_fraction(self._loss_units) / self._weight))

    @property
    def loss_standard_error(self) -> float:
        """Standard error of the loss: between documents where there are groups, else of rows."""
        if not self._sums.grouped:
            return self.loss_row_standard_error
        if self.nonfinite_rows:
            return math.nan
        _, counts, tables = self._sums.groups.sorted()
        if self.options.class_weight is None:
            weights, unit = counts[ROWS].tolist(), _ONE
        else:
            weights, unit = tables[1].cells(), _UNIT
        return standard_error.clustered_ratio(tables[0].cells(), weights, _UNIT, unit)

    @property
    def loss_row_standard_error(self) -> float:
        """Standard error of the loss if the rows were independent."""
        squares = self._sums.totals["loss_square"]
        if self.nonfinite_rows or squares.limit is not None:
            return math.nan
        total, xx = as_fraction(self._loss_units), as_fraction(squares.units)
        if self.options.class_weight is None:
            return standard_error.independent(self.rows, total, xx)
        counts = self._sums.classes[ROWS].tolist()
        weights = [Fraction(w) for w in self.options.class_weight]
        xw = sum(w * u for w, u in zip(weights, self._sums.class_loss.cells(), strict=True)) * _UNIT
        ww = sum((n * w * w for n, w in zip(counts, weights, strict=True)), Fraction(0))
        return standard_error.independent_ratio(self.rows, total, self._weight, (xx, xw, ww))

    @property
    def perplexity(self) -> float:
        """``exp(loss)``, correctly rounded."""
        return _exp(self.loss)

    @property
    def document_perplexity(self) -> float | None:
        """``exp`` of the mean over documents of their mean losses; None without groups."""
        if not self._sums.grouped:
            return None
        losses = [row.loss for row in group_rows(self._sums) if not math.isnan(row.loss)]
        if not losses or self._sums.classes[UNDEFINED].any():
            return math.nan
        if math.inf in losses:
            return math.inf
        return _exp(rounded(sum(map(Fraction, losses), Fraction(0)) / len(losses)))

    @property
    def documents(self) -> int | None:
        """Number of groups; None if there are none."""
        return len(self._sums.groups) if self._sums.grouped else None

    @property
    def bits_per_byte(self) -> float | None:
        """Sum of the losses in bits by the bytes of the labels' texts; None without those."""
        if self.options.token_bytes is None or self.options.class_weight is not None:
            return None
        counts = self._sums.classes[ROWS].tolist()
        size = sum(n * b for n, b in zip(counts, self.options.token_bytes, strict=True))
        return self.loss_sum / size / math.log(2) if size else math.nan

    def loss_quantile(self, q: Number) -> float:
        """Return the least loss that is not below a share q of the losses, within 0.2 %.

        That is ``numpy.quantile(losses, q, method="inverted_cdf")``.
        """
        q = as_number(q, "q", 0, 1, "in [0, 1]")
        if self._sums.classes[UNDEFINED].any() or not self.rows:
            return math.nan
        position = max(0, math.ceil(q * self.rows) - 1)
        if position >= self.rows - int(self._sums.classes[INFINITE].sum()):
            return math.inf
        return self._sums.loss_histogram.quantile(position)

    # Hits

    @property
    def hits(self) -> int:
        """Number of rows whose label is predicted."""
        return int(self._sums.classes[HITS].sum())

    @property
    def accuracy(self) -> float:
        """Share of the rows whose label is predicted."""
        return self.top_k(1)

    @property
    def accuracy_standard_error(self) -> float:
        """Standard error of the accuracy: between documents where there are groups."""
        if not self._sums.grouped:
            return self.standard_error("accuracy")
        _, counts, _ = self._sums.groups.sorted()
        ranked = counts[ROWS] - counts[UNDEFINED]
        return standard_error.clustered_ratio(counts[HITS].tolist(), ranked.tolist(), _ONE, _ONE)

    def top_k(self, k: Integer) -> float:
        """Return the share of the rows with fewer than k classes before the label."""
        k = as_integer(k, "k", "an integer >= 1")
        if k < 1:
            raise ValueError(f"k is {k}, accepted is an integer >= 1")
        return self._share(int(self._sums.ranks[:k].sum()))

    @property
    def mrr(self) -> float:
        """Mean reciprocal rank: the mean of ``1 / (rank + 1)``."""
        if not self.ranked_rows:
            return math.nan
        # Rounded down at the 200th bit: sums of such fractions have no small denominator.
        scale = 1 << 200
        at = np.flatnonzero(self._sums.ranks)
        total = sum(int(self._sums.ranks[rank]) * scale // (int(rank) + 1) for rank in at)
        return rounded(Fraction(total, scale * self.ranked_rows))

    # Probabilities

    @property
    def brier(self) -> float:
        """Mean of ``sum((p - onehot)**2)`` over the classes; of ``(p - y)**2`` for sigmoids."""
        return self._mean("brier")

    @property
    def entropy(self) -> float:
        """Mean entropy of the predicted distributions, in nats."""
        return self._mean("entropy")

    @property
    def confidence(self) -> float:
        """Mean probability of the predicted class."""
        return self._mean("confidence")

    @property
    def margin(self) -> float:
        """Mean of how far the largest logit is above the second largest."""
        return self._mean("margin")

    def standard_error(self, name: str) -> float:
        """Return the standard error of the mean of rows that are independent.

        Parameters
        ----------
        name : {"loss", "accuracy", "brier", "entropy", "confidence", "margin"}
        """
        if name == "loss":
            return self.loss_row_standard_error
        if name == "accuracy":
            hits = Fraction(self.hits)
            return standard_error.independent(self.ranked_rows, hits, hits)
        names = ("brier", "entropy", "confidence", "margin")
        if name not in names:
            accepted = ", ".join(map(repr, ("loss", "accuracy", *names)))
            raise ValueError(f"name is {name!r}, accepted are {accepted}")
        squares = self._sums.totals[f"{name}_square"]
        if not math.isfinite(self._mean(name)) or squares.limit is not None:
            return math.nan
        return standard_error.independent(
            self.rows, as_fraction(self._units(name)), as_fraction(squares.units)
        )

    # What the numbers are formed from

    @property
    def _loss_units(self) -> int:
        return self._sums.class_loss.total()

    @property
    def _weight(self) -> Fraction:
        if self.options.class_weight is None:
            return Fraction(self.rows)
        counts = self._sums.classes[ROWS].tolist()
        weights = map(Fraction, self.options.class_weight)
        return sum((n * w for n, w in zip(counts, weights, strict=True) if n), Fraction(0))

    def _loss(self, finite: float) -> float:
        """Return NaN or infinity where there are such losses."""
        if self._sums.classes[UNDEFINED].any():
            return math.nan
        return math.inf if self._sums.classes[INFINITE].any() else finite

    def _share(self, rows: int) -> float:
        return rounded(Fraction(rows, self.ranked_rows)) if self.ranked_rows else math.nan

    def _units(self, name: str) -> int:
        if name == "confidence":
            return self._sums.confidences.confidence.total()
        return self._sums.totals[name].units

    def _mean(self, name: str) -> float:
        if self._sums.classes[UNDEFINED].any() or not self.rows:
            return math.nan
        limit = None if name == "confidence" else self._sums.totals[name].limit
        return rounded(as_fraction(self._units(name)) / self.rows) if limit is None else limit


def _exp(x: float) -> float:
    """Return the float64 next to exp(x), which libraries round differently."""
    if not math.isfinite(x):
        return math.exp(x)
    with decimal.localcontext() as context:
        context.prec = 40
        context.traps[decimal.Overflow] = False
        return float(decimal.Decimal(x).exp(context))
