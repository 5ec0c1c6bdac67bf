"""All that rows contribute to an evaluation, apart from where they came from."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastce.evaluation.options import Options
from fastce.evaluation.sums.bootstrap import poisson_counts
from fastce.evaluation.sums.confusions import DENSE, Confusions
from fastce.evaluation.sums.exact import ExactSum, ExactTable, Floats, Integers
from fastce.evaluation.sums.hardest import FirstRows, HardestRows, Row
from fastce.evaluation.sums.histogram import ConfidenceHistogram, LossHistogram
from fastce.evaluation.sums.keyed import KeyedSums

# Counts of each class and of each group, in the order of their arrays.
ROWS, HITS, INFINITE, UNDEFINED = range(4)
TOTALS = (
    "loss_square", "brier", "brier_square", "entropy", "entropy_square",
    "confidence_square", "margin", "margin_square",
)  # fmt: skip
PLACED = 10  # rows with a loss that is not finite whose place is kept
_DRAWN = 1 << 20  # bootstrap counts that are drawn at a time


class Block(NamedTuple):
    """Rows of one source that are not ignored, at most 2**16; arrays of shape (rows,).

    Attributes
    ----------
    loss, brier, entropy, confidence, margin : ndarray of float64
    column : ndarray of intp
        The class that a row belongs to; for the sigmoid the column of its label.
    label, predicted, rank, row, group : ndarray of int64
        `group` is None where there are none.
    source : str
    """

    loss: Floats
    brier: Floats
    entropy: Floats
    confidence: Floats
    margin: Floats
    column: Integers
    label: Integers
    predicted: Integers
    rank: Integers
    row: Integers
    group: Integers | None
    source: str

    def take(self, rows: NDArray[np.bool_]) -> Block:
        """Return some of the rows."""
        fields: list[Any] = [f[rows] if isinstance(f, np.ndarray) else f for f in self]
        return Block(*fields)


class Sums:
    """What rows contribute; merging in any order gives the same."""

    def __init__(self, options: Options, grouped: bool | None = None) -> None:
        classes = options.classes
        self.options, self.grouped = options, grouped
        self.ignored = 0
        self.removed: dict[str, int] = {}
        self.arithmetic: set[tuple[str, str]] = set()  # package version, instruction set
        self.classes: Integers = np.zeros((4, classes), np.int64)
        self.class_loss = ExactTable(classes)
        self.predictions: Integers = np.zeros(classes, np.int64)
        # Labels of 1, and those of them whose loss is NaN; for the sigmoid only.
        columns = classes if options.loss == "sigmoid" else 0
        self.positives: Integers = np.zeros(columns, np.int64)
        self.undefined_positives: Integers = np.zeros(columns, np.int64)
        self.ranks: Integers = np.zeros(2 if options.loss == "sigmoid" else classes, np.int64)
        self.loss_histogram = LossHistogram()
        self.confidences = ConfidenceHistogram()
        self.totals = {name: ExactSum() for name in TOTALS}
        self.confusions = Confusions(classes, options.confusions and options.loss == "softmax")
        self._weights = None if options.class_weight is None else np.array(options.class_weight)
        self.groups = KeyedSums(4, 1 if self._weights is None else 2)
        self.hardest = HardestRows(options.hardest)
        self.nonfinite = FirstRows(PLACED)
        # Of the replicates: losses and weights, and the rows and hits that were drawn.
        self.replicates = [ExactTable(options.bootstrap) for _ in range(self.groups.sums)]
        self.drawn: Integers = np.zeros((2, options.bootstrap), np.int64)

    def add(self, block: Block) -> None:
        """Add rows."""
        infinite: NDArray[np.bool_] | None = None
        with np.errstate(over="ignore", invalid="ignore"):
            total = block.loss.sum()
        if not np.isfinite(total):
            block = self._set_apart(block)
            infinite = np.isinf(block.loss)
        finite = block.loss if infinite is None else np.where(infinite, 0.0, block.loss)
        hits = block.rank == 0
        self._add_counts(block, hits)
        self._keep_hardest(block)
        self.loss_histogram.add(block.loss if infinite is None else block.loss[~infinite])
        self._add_groups(block, hits, finite, infinite)
        if self.options.bootstrap and not self.grouped:
            self._add_replicates(block, hits, finite)
        self._add_totals(block, finite)
        self.class_loss.add(block.column, finite)
        self.confidences.add(block.confidence, hits)

    def merge(self, other: Sums) -> None:
        """Add the sums of another evaluation with the same options."""
        if other.grouped is not None:
            self.grouped = other.grouped
        self.ignored += other.ignored
        for rule, rows in other.removed.items():
            self.removed[rule] = self.removed.get(rule, 0) + rows
        self.arithmetic |= other.arithmetic
        for name in (
            "classes",
            "predictions",
            "positives",
            "undefined_positives",
            "ranks",
            "drawn",
        ):
            getattr(self, name)[...] += getattr(other, name)
        self.class_loss.merge(other.class_loss)
        self.loss_histogram.merge(other.loss_histogram)
        self.confidences.merge(other.confidences)
        for name, total in self.totals.items():
            total.merge(other.totals[name])
        self.groups.merge(other.groups)
        for table, theirs in zip(self.replicates, other.replicates, strict=True):
            table.merge(theirs)
        self.confusions.merge(other.confusions)
        self.hardest.add(other.hardest.rows)
        self.nonfinite.add(other.nonfinite.rows)

    def settle(self) -> None:
        """Bring everything into its one form."""
        self.confusions.sorted()
        tables = [*self.groups.sorted()[2], *self.replicates]
        for table in (self.class_loss, self.confidences.confidence, *tables):
            table.carry()

    def _set_apart(self, block: Block) -> Block:
        """Count rows whose loss is not finite, and return those that are not NaN."""
        undefined = np.isnan(block.loss)
        infinite = np.isinf(block.loss)
        self.nonfinite.add(
            [(block.source, int(row)) for row in block.row[undefined | infinite][:PLACED]]
        )
        count(self.classes[INFINITE], block.column[infinite])
        count(self.classes[UNDEFINED], block.column[undefined])
        count(self.classes[ROWS], block.column[undefined])
        if self.options.loss == "sigmoid":
            positive = block.column[undefined & (block.label == 1)]
            count(self.positives, positive)
            count(self.undefined_positives, positive)
        if block.group is not None:
            sums = [np.zeros(np.count_nonzero(undefined))]
            if self._weights is not None:
                sums.append(self._weights[block.column[undefined]])
            self.groups.add(block.group[undefined], [None, 0, 0, None], sums)
        return block.take(~undefined)

    def _add_counts(self, block: Block, hits: NDArray[np.bool_]) -> None:
        count(self.ranks, block.rank)
        classes = self.options.classes
        if self.options.loss == "sigmoid":
            count(self.classes[ROWS], block.column)
            count(self.classes[HITS], block.column[hits])
            count(self.positives, block.column[block.label == 1])
            count(self.predictions, block.column[block.predicted == 1])
        elif classes <= DENSE:
            keys = block.label * classes + block.predicted
            both = np.bincount(keys, minlength=classes**2).reshape(classes, classes)
            self.classes[ROWS] += both.sum(axis=1)
            self.classes[HITS] += both.diagonal()
            self.predictions += both.sum(axis=0)
            self.confusions.add_matrix(both)
        else:
            missed = np.flatnonzero(~hits)
            count(self.classes[ROWS], block.label)
            count(self.classes[HITS], block.label[hits])
            count(self.predictions, block.predicted)
            self.confusions.add(block.label[missed], block.predicted[missed])

    def _keep_hardest(self, block: Block) -> None:
        sigmoid = self.options.loss == "sigmoid"
        self.hardest.add(
            [
                Row(
                    float(block.loss[i]),
                    None if block.group is None else int(block.group[i]),
                    int(block.row[i]),
                    block.source,
                    int(block.label[i]),
                    int(block.predicted[i]),
                    float(block.confidence[i]),
                    int(block.column[i]) if sigmoid else None,
                )
                for i in self.hardest.candidates(block.loss)
            ]
        )

    def _add_groups(
        self,
        block: Block,
        hits: NDArray[np.bool_],
        finite: Floats,
        infinite: NDArray[np.bool_] | None,
    ) -> None:
        if block.group is None:
            return
        sums = [finite]
        if self._weights is not None:
            sums.append(self._weights[block.column])
        counts = [None, hits, 0 if infinite is None else infinite, 0]
        self.groups.add(block.group, counts, sums)

    def _add_replicates(self, block: Block, hits: NDArray[np.bool_], finite: Floats) -> None:
        height = max(1, _DRAWN // self.options.bootstrap)
        for start in range(0, len(finite), height):
            rows = slice(start, start + height)
            drawn = poisson_counts(
                self.options.seed, block.source, block.row[rows], self.options.bootstrap
            )
            self.replicates[0].add_weighted(drawn, finite[rows])
            if self._weights is not None:
                self.replicates[1].add_weighted(drawn, self._weights[block.column[rows]])
            self.drawn[0] += drawn.sum(axis=0).astype(np.int64)
            self.drawn[1] += drawn[hits[rows]].sum(axis=0).astype(np.int64)

    @np.errstate(over="ignore")  # the square of a huge loss is inf, and counted as such
    def _add_totals(self, block: Block, finite: Floats) -> None:
        add = self.totals
        add["loss_square"].add(finite * finite)
        add["confidence_square"].add(block.confidence * block.confidence)
        for name in ("brier", "entropy", "margin"):
            x: Floats = getattr(block, name)
            add[f"{name}_square"].add(x * x)
            add[name].add(x)


def count(counts: Integers, cells: Integers) -> None:
    """Add 1 to a count for each cell."""
    if len(counts) <= 2 * len(cells):
        counts += np.bincount(cells, minlength=len(counts))
    elif len(cells):
        np.add.at(counts, cells, 1)
