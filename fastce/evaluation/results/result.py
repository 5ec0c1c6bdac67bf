"""What an evaluation has found: every number, rounded once from exact sums."""

from __future__ import annotations

import copy
import decimal
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastce._validation.scalars import Integer, Number, as_flag, as_integer, as_number
from fastce.evaluation.options import Options
from fastce.evaluation.results import reliability, standard_error
from fastce.evaluation.results.replicates import replicate_means
from fastce.evaluation.results.tables import (
    ClassRow,
    Confusion,
    GroupRow,
    class_rows,
    confusions,
    group_rows,
)
from fastce.evaluation.serialization import STATE_VERSION, receipt
from fastce.evaluation.sums.exact import EXPONENT, as_fraction, rounded
from fastce.evaluation.sums.hardest import Row
from fastce.evaluation.sums.ledger import Ledger
from fastce.evaluation.sums.sums import HITS, INFINITE, ROWS, UNDEFINED, Sums

_UNIT = Fraction(1, 1 << EXPONENT)
_ONE = Fraction(1)


@dataclass(frozen=True, eq=False, repr=False)
class EvaluationResult:
    """The numbers of an evaluation at one time.

    All are means over the rows that are not ignored. A row with NaN makes the mean losses NaN (and
    everything else that needs its probabilities) but counts as a miss in accuracies; a label whose
    logit is -inf makes them infinite. A mean over no rows is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> import fastce
    >>> evaluation = fastce.Evaluation(3)
    >>> evaluation.update(np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]]), np.array([0, 2]))
    >>> result = evaluation.result()
    >>> result.accuracy, result.top_k(2), round(result.loss, 4)
    (0.5, 1.0, 1.2887)
    """

    options: Options
    _sums: Sums = field(repr=False)
    _ledger: Ledger = field(repr=False)

    @classmethod
    def of(cls, options: Options, sums: Sums, ledger: Ledger) -> EvaluationResult:
        """Return the result of a settled state, which may change afterwards."""
        return cls(options, copy.deepcopy(sums), copy.deepcopy(ledger))

    # Rows

    @property
    def rows(self) -> int:
        """Number of rows that are not ignored; of labels, for ``loss="sigmoid"``."""
        return int(self._sums.classes[ROWS].sum())

    @property
    def ignored_rows(self) -> int:
        """Number of rows whose label was `ignore_index`, without those that a rule removed."""
        return self._sums.ignored - sum(self._sums.removed.values())

    @property
    def removed_rows(self) -> dict[str, int]:
        """Number of rows that each rule of the caller's removed."""
        return dict(sorted(self._sums.removed.items()))

    @property
    def nonfinite_rows(self) -> int:
        """Number of rows whose loss is NaN or infinite."""
        return int(self._sums.classes[[INFINITE, UNDEFINED]].sum())

    @property
    def nonfinite_places(self) -> tuple[tuple[str, int], ...]:
        """Source and row of the first ten of them."""
        return tuple(self._sums.nonfinite.rows)

    @property
    def sources(self) -> dict[str, tuple[tuple[int, int], ...]]:
        """Ranges (start, stop) of the rows that were seen of each source, ignored ones too."""
        return {name: tuple(ranges) for name, ranges in sorted(self._ledger.ranges.items())}

    @property
    def gaps(self) -> dict[str, tuple[tuple[int, int], ...]]:
        """Ranges that are missing before the last row of each source."""
        return {name: tuple(ranges) for name, ranges in sorted(self._ledger.gaps().items())}

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
        losses = [row.loss for row in self.per_group() if not math.isnan(row.loss)]
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
        position = max(0, math.ceil(Fraction(q) * self.rows) - 1)
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
            hits = Fraction(self.hits)
            return standard_error.independent(self.rows, hits, hits)
        _, counts, _ = self._sums.groups.sorted()
        return standard_error.clustered_ratio(
            counts[HITS].tolist(), counts[ROWS].tolist(), _ONE, _ONE
        )

    def top_k(self, k: Integer) -> float:
        """Return the share of the rows with fewer than k classes before the label."""
        k = as_integer(k, "k", "an integer >= 1")
        if k < 1:
            raise ValueError(f"k is {k}, accepted is an integer >= 1")
        return self._share(int(self._sums.ranks[:k].sum()))

    @property
    def mrr(self) -> float:
        """Mean reciprocal rank: the mean of ``1 / (rank + 1)``."""
        if not self.rows:
            return math.nan
        # Rounded down at the 200th bit: sums of such fractions have no small denominator.
        scale = 1 << 200
        at = np.flatnonzero(self._sums.ranks)
        total = sum(int(self._sums.ranks[rank]) * scale // (int(rank) + 1) for rank in at)
        return rounded(Fraction(total, scale * self.rows))

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
            return standard_error.independent(self.rows, Fraction(self.hits), Fraction(self.hits))
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

    def ece(self, bins: Integer = 15, *, adaptive: bool = False) -> float:
        """Return the expected calibration error.

        The mean over the rows of ``abs(accuracy - confidence)`` of their bin; see
        :meth:`reliability` for the bins.
        """
        return self._calibration(bins, adaptive, reliability.expected_error)

    def mce(self, bins: Integer = 15, *, adaptive: bool = False) -> float:
        """Return the largest ``abs(accuracy - confidence)`` of a bin."""
        return self._calibration(bins, adaptive, reliability.largest_error)

    def reliability(
        self, bins: Integer = 15, *, adaptive: bool = False
    ) -> tuple[reliability.Bin, ...]:
        """Return the bins of a reliability diagram.

        Parameters
        ----------
        bins : int, default 15
            In [1, 3600].
        adaptive : bool, default False
            Bins with equally many rows instead of bins of equal width (lower, upper]. The latter
            are exact where `bins` divides 3600, as 10, 15 and 20 do; elsewhere, and for equally
            many rows, the few rows of a bucket that lies in two bins count as its middle does, or
            in proportion.
        """
        return reliability.as_bins(self._bins(bins, adaptive))

    # Tables

    def per_class(self) -> list[ClassRow]:
        """Return a line for each class; for sigmoids, for each column of the labels."""
        return class_rows(self._sums)

    def per_group(self) -> list[GroupRow]:
        """Return a line for each document, in the order of their ids."""
        return group_rows(self._sums)

    def confusions(self, most: Integer = 20) -> list[Confusion] | None:
        """Return the most frequent confusions; None where they were not kept."""
        most = as_integer(most, "most", "an integer >= 0")
        return confusions(self._sums, most) if self._sums.confusions_kept else None

    @property
    def hardest(self) -> tuple[Row, ...]:
        """The rows with the largest losses, the largest first."""
        return tuple(self._sums.hardest.rows)

    def bootstrap(self, name: str = "loss") -> NDArray[np.float64]:
        """Return the mean of each replicate of the Poisson bootstrap.

        Parameters
        ----------
        name : {"loss", "accuracy"}, default "loss"
        """
        if name not in ("loss", "accuracy"):
            raise ValueError(f"name is {name!r}, accepted are 'loss' and 'accuracy'")
        if not self.options.bootstrap:
            raise ValueError("bootstrap is 0, accepted is an evaluation with replicates")
        if name == "loss" and self.nonfinite_rows:
            return np.full(self.options.bootstrap, math.nan)
        return replicate_means(self._sums, name)

    def bootstrap_interval(self, name: str = "loss", level: Number = 0.95) -> tuple[float, float]:
        """Return the percentile interval of the replicates."""
        level = as_number(level, "level", 0, 1, "in [0, 1]")
        low, high = np.quantile(self.bootstrap(name), [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    # The whole

    @property
    def receipt(self) -> str:
        """The receipt of the evaluation, see :attr:`Evaluation.receipt`."""
        return receipt(self._sums, self.options)

    @property
    def instruction_set(self) -> str:
        """The instruction set that rows were computed with; several are joined by "+"."""
        return "+".join(sorted({isa for _, isa in self._sums.arithmetic}))

    @property
    def version(self) -> str:
        """The version of fastce that rows were computed with; several are joined by "+"."""
        return "+".join(sorted({version for version, _ in self._sums.arithmetic}))

    def as_dict(self, top: Sequence[Integer] = (1, 5), bins: Integer = 15) -> dict[str, Any]:
        """Return the numbers by name, as JSON has them.

        Parameters
        ----------
        top : sequence of int, default (1, 5)
            For which k the shares of `top_k` are given.
        bins : int, default 15
            Of the calibration errors.
        """
        loss = self.loss
        return {
            "classes": self.options.classes,
            "rows": self.rows,
            "ignored_rows": self.ignored_rows,
            "nonfinite_rows": self.nonfinite_rows,
            "removed_rows": self.removed_rows,
            "loss_nats": loss,
            "loss_bits": loss / math.log(2),
            "loss_standard_error": self.loss_standard_error,
            "loss_sum": self.loss_sum,
            "weight_sum": self.weight_sum,
            "perplexity": self.perplexity,
            "accuracy": self.accuracy,
            "accuracy_standard_error": self.accuracy_standard_error,
            "top_k": {str(as_integer(k, "top", "integers")): self.top_k(k) for k in top},
            "mrr": self.mrr,
            "brier": self.brier,
            "entropy_nats": self.entropy,
            "confidence": self.confidence,
            "margin": self.margin,
            "ece": self.ece(bins),
            "mce": self.mce(bins),
            "adaptive_ece": self.ece(bins, adaptive=True),
            "ece_bins": as_integer(bins, "bins", "an integer"),
            "bits_per_byte": self.bits_per_byte,
            "documents": self.documents,
            "document_perplexity": self.document_perplexity,
            "receipt": self.receipt,
            "state_version": STATE_VERSION,
            "version": self.version,
            "instruction_set": self.instruction_set,
        }

    def __repr__(self) -> str:
        return (
            f"<EvaluationResult: {self.rows} rows, loss {self.loss:.6g}, "
            f"accuracy {self.accuracy:.6g}>"
        )

    # What the numbers are formed from

    @cached_property
    def _loss_units(self) -> int:
        return self._sums.class_loss.total()

    @cached_property
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
        return rounded(Fraction(rows, self.rows)) if self.rows else math.nan

    def _units(self, name: str) -> int:
        if name == "confidence":
            return self._sums.confidences.confidence.total()
        return self._sums.totals[name].units

    def _mean(self, name: str) -> float:
        if self._sums.classes[UNDEFINED].any() or not self.rows:
            return math.nan
        limit = None if name == "confidence" else self._sums.totals[name].limit
        return rounded(as_fraction(self._units(name)) / self.rows) if limit is None else limit

    def _bins(self, bins: Integer, adaptive: bool) -> list[reliability.BinSums]:
        count = as_integer(bins, "bins", "an integer in [1, 3600]")
        if not 1 <= count <= 3600:
            raise ValueError(f"bins is {count}, accepted is an integer in [1, 3600]")
        cut = reliability.equal_mass if as_flag(adaptive, "adaptive") else reliability.equal_width
        return cut(self._sums.confidences, count)

    def _calibration(
        self, bins: Integer, adaptive: bool, error: Callable[[list[reliability.BinSums]], float]
    ) -> float:
        found = error(self._bins(bins, adaptive))
        return math.nan if self._sums.classes[UNDEFINED].any() else found


def _exp(x: float) -> float:
    """Return the float64 next to exp(x), which libraries round differently."""
    if not math.isfinite(x):
        return math.exp(x)
    with decimal.localcontext() as context:
        context.prec = 40
        return float(decimal.Decimal(x).exp(context))
