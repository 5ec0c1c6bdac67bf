"""What an evaluation has found: every number, rounded once from exact sums."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastce._validation.scalars import Integer, Number, as_flag, as_integer, as_number
from fastce.evaluation.options import Options
from fastce.evaluation.results import reliability
from fastce.evaluation.results.means import RowMeans
from fastce.evaluation.results.reliability import Bin, Parts
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
from fastce.evaluation.sums.hardest import Row
from fastce.evaluation.sums.ledger import Ledger
from fastce.evaluation.sums.sums import UNDEFINED, Sums


@dataclass(frozen=True, eq=False, repr=False)
class EvaluationResult(RowMeans):
    """The numbers of an evaluation at one time.

    All are means over the rows that are not ignored. A row with NaN makes the mean losses NaN (and
    everything else that needs its probabilities); accuracies are over the other rows. A label whose
    logit is -inf makes the losses infinite. A mean over no rows is NaN.

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

    _ledger: Ledger = field(repr=False)

    @classmethod
    def of(cls, options: Options, sums: Sums, ledger: Ledger) -> EvaluationResult:
        """Return the result of a settled state, which may change afterwards."""
        return cls(options, copy.deepcopy(sums), copy.deepcopy(ledger))

    # Rows

    @property
    def all_rows(self) -> int:
        """Number of rows that were seen, ignored ones too."""
        return self.rows + self._sums.ignored

    @property
    def ignored_rows(self) -> int:
        """Number of rows whose label was `ignore_index`, without those that a rule removed."""
        return self._sums.ignored - sum(self._sums.removed.values())

    @property
    def removed_rows(self) -> dict[str, int]:
        """Number of rows that each rule of the caller's removed."""
        return dict(sorted(self._sums.removed.items()))

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

    def ece(self, bins: Integer = 15, *, adaptive: bool = False) -> float:
        """Return the expected calibration error.

        The mean over the rows of ``abs(accuracy - confidence)`` of their bin; see
        :meth:`reliability` for the bins.
        """
        return self._calibration(bins, adaptive, reliability.expected_error)

    def mce(self, bins: Integer = 15, *, adaptive: bool = False) -> float:
        """Return the largest ``abs(accuracy - confidence)`` of a bin."""
        return self._calibration(bins, adaptive, reliability.largest_error)

    def reliability(self, bins: Integer = 15, *, adaptive: bool = False) -> tuple[Bin, ...]:
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
        if most < 0:
            raise ValueError(f"most is {most}, accepted is an integer >= 0")
        return confusions(self._sums, most) if self._sums.confusions.kept else None

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

        There, ``rows`` are all rows, ``ignored_rows`` those that do not count, and ``removed_rows``
        says by which rule.

        Parameters
        ----------
        top : sequence of int, default (1, 5)
            For which k the shares of `top_k` are given.
        bins : int, default 15
            Of the calibration errors.
        """
        loss, ignored = self.loss, self.ignored_rows
        return {
            "classes": self.options.classes,
            "rows": self.all_rows,
            "ignored_rows": self.all_rows - self.rows,
            "nonfinite_rows": self.nonfinite_rows,
            "removed_rows": self.removed_rows | ({"ignore_index": ignored} if ignored else {}),
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

    def _bins(self, bins: Integer, adaptive: bool) -> Parts:
        count = as_integer(bins, "bins", "an integer in [1, 3600]")
        if not 1 <= count <= 3600:
            raise ValueError(f"bins is {count}, accepted is an integer in [1, 3600]")
        cut = reliability.equal_mass if as_flag(adaptive, "adaptive") else reliability.equal_width
        return cut(self._sums.confidences, count)

    def _calibration(self, bins: Integer, adaptive: bool, error: Callable[[Parts], float]) -> float:
        found = error(self._bins(bins, adaptive))
        return math.nan if self._sums.classes[UNDEFINED].any() else found
