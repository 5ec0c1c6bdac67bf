"""The state of an evaluation: rows in, exact sums that can be merged and stored, results out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastce._validation.arrays import as_array, as_floats
from fastce._validation.scalars import Integer, Number
from fastce.evaluation import serialization
from fastce.evaluation.batch import Batch, Places, check_batch, check_labels, check_statistics
from fastce.evaluation.losses import (
    RowNumbers,
    arithmetic,
    sigmoid_blocks,
    softmax_blocks,
    weighted,
    with_losses,
)
from fastce.evaluation.options import Options, check_options, check_same
from fastce.evaluation.results.result import EvaluationResult
from fastce.evaluation.sums.gathering import Gathering
from fastce.evaluation.sums.ledger import Ledger
from fastce.evaluation.sums.sums import ROWS, Sums

if TYPE_CHECKING:
    import os

    from fastce import RowStatistics


class Evaluation:
    r"""Exact sums over the rows of a classifier's logits, in any order and any pieces.

    Every number of :meth:`result` is formed from integers: counts, and sums that are kept exactly,
    in units of 2**-1074. Evaluations of the pieces of a set of rows, merged in any order, are the
    evaluation of the whole to the last bit, and so are their bytes. Memory is proportional to the
    classes (and the documents, if there are groups), not to the rows.

    Parameters
    ----------
    classes : int
        Number of classes C; for ``loss="sigmoid"`` the number of labels of a row.
    class_weight : array_like of real numbers, shape (C,), optional
        Weight of the rows of each class, at least 0 and finite: losses are multiplied by it, and
        the mean loss is divided by the sum of the weights.
    label_smoothing : float, default 0
        Share of the target that is spread over all classes, in [0, 1].
    ignore_index : int, default -100
        Rows with this label are counted as ignored, and in nothing else.
    temperature : float, default 1
        What logits are divided by, > 0.
    hardest : int, default 50
        How many of the rows with the largest losses are kept.
    bootstrap : int, default 0
        Number of replicates of a Poisson bootstrap; about 4 ns for each row and replicate, or
        nothing before :meth:`result` where there are groups.
    seed : int, default 0
        Which replicates are drawn, in [0, 2**64).
    confusions : bool, default True
        Count the rows of each class by prediction; given up (which the result says) where more than
        2**20, or 16 C if that is more, different confusions occur.
    loss : {"softmax", "sigmoid"}, default "softmax"
        One class a row, or independent labels of 0 and 1. With "sigmoid" every element of the
        labels is a row by itself.
    token_bytes : array_like of int, shape (C,), optional
        Bytes of the text of each class, for bits per byte.

    Raises
    ------
    TypeError, ValueError
        If an option has no such value; the message names it.

    See Also
    --------
    row_statistics : what is added up.

    Notes
    -----
    An evaluation serves one thread at a time; threads have their own and merge them.

    Examples
    --------
    >>> import numpy as np
    >>> import fastce
    >>> logits = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [0.0, 0.5, 1.0]])
    >>> labels = np.array([0, 1, 0])
    >>> whole = fastce.Evaluation(3)
    >>> whole.update(logits, labels)
    >>> part = fastce.Evaluation(3)
    >>> part.update(logits[2:], labels[2:], first_row=2)
    >>> rest = fastce.Evaluation(3)
    >>> rest.update(logits[:2], labels[:2])
    >>> part.merge(rest).to_bytes() == whole.to_bytes()
    True
    >>> result = whole.result()
    >>> result.rows, result.hits, round(result.loss, 4)
    (3, 2, 0.7526)
    """

    #: The fields of :func:`row_statistics` that :meth:`add` reads.
    FIELDS = ("loss", "predicted", "rank", "confidence", "margin", "entropy", "brier")

    def __init__(
        self,
        classes: Integer,
        *,
        class_weight: ArrayLike | None = None,
        label_smoothing: Number = 0.0,
        ignore_index: Integer = -100,
        temperature: Number = 1.0,
        hardest: Integer = 50,
        bootstrap: Integer = 0,
        seed: Integer = 0,
        confusions: bool = True,
        loss: str = "softmax",
        token_bytes: ArrayLike | None = None,
    ) -> None:
        self._begin(
            check_options(
                classes=classes,
                class_weight=class_weight,
                label_smoothing=label_smoothing,
                ignore_index=ignore_index,
                temperature=temperature,
                hardest=hardest,
                bootstrap=bootstrap,
                seed=seed,
                confusions=confusions,
                loss=loss,
                token_bytes=token_bytes,
            )
        )

    def _begin(
        self, options: Options, sums: Sums | None = None, ledger: Ledger | None = None
    ) -> None:
        self._options = options
        self._sums = Sums(options) if sums is None else sums
        self._ledger = Ledger() if ledger is None else ledger
        self._gathering = Gathering(self._sums)

    @property
    def options(self) -> dict[str, Any]:
        """The options by name; class weights and token bytes as tuples."""
        return self._options._asdict()

    @property
    def rows(self) -> int:
        """Number of rows that are not ignored."""
        self._gathering.flush()
        return int(self._sums.classes[ROWS].sum())

    def update(
        self,
        logits: ArrayLike,
        labels: ArrayLike,
        *,
        first_row: Integer | None = None,
        group: ArrayLike | None = None,
        source: str | None = None,
        removed: Mapping[str, int] | None = None,
        num_threads: Integer | None = None,
    ) -> None:
        """Add rows of logits.

        Parameters
        ----------
        logits : array_like of floats, shape (..., C)
            Of float16, bfloat16, float32 or float64.
        labels : array_like of int, shape (...)
            Class of each row, or `ignore_index`. For ``loss="sigmoid"`` of shape (..., C), or (...)
            where C is 1, with 0, 1 or `ignore_index`.
        first_row : int, optional
            Number of the first row in its source; without it, the row after the last one.
        group : int, or array_like of int, shape (...), optional
            Document of each row. Every call gives groups, or none does.
        source : str, optional
            Name of what the rows come from, in which `first_row` counts.
        removed : mapping of str to int, optional
            How many of the ignored rows a rule of the caller's has taken out, by its name.
        num_threads : int, optional
            As for :func:`row_statistics`.

        Raises
        ------
        TypeError, ValueError
            If an argument has another form, a label is no class, or rows have been added before.
            Nothing is added then.
        """
        options = self._options
        sigmoid = options.loss == "sigmoid"
        x, y = as_floats(logits, "logits"), as_array(labels, "labels")
        if sigmoid and options.classes == 1 and x.shape == y.shape and x.shape[-1:] != (1,):
            x, y = x[..., None], y[..., None]  # one label a row, without an axis for it
        if x.ndim == 0 or x.shape[-1] != options.classes:
            raise ValueError(
                f"logits has shape {x.shape}, accepted is (..., {options.classes}): the evaluation "
                f"has {options.classes} classes"
            )
        y = check_labels(y, x.shape if sigmoid else x.shape[:-1], options)
        if x.ndim == 1:
            x, y = x[None], y[None]
        batch = check_batch(
            y, options, self._ledger, self._sums.grouped, Places(first_row, group, source, removed)
        )
        blocks = sigmoid_blocks if sigmoid else softmax_blocks
        done = 0
        for numbers in blocks(x, y, options, num_threads):
            done = self._take(numbers, batch, done, kept=True)
        self._close(batch)

    def add(
        self,
        statistics: RowStatistics | RowNumbers,
        labels: ArrayLike,
        *,
        losses: ArrayLike | None = None,
        first_row: Integer | None = None,
        group: ArrayLike | None = None,
        source: str | None = None,
        removed: Mapping[str, int] | None = None,
    ) -> None:
        """Add rows whose statistics are known.

        Parameters
        ----------
        statistics : RowStatistics
            With the fields `FIELDS`, computed with the `ignore_index` and the `temperature` of this
            evaluation.
        labels : array_like of int
            Of the shape of the fields; for ``loss="sigmoid"`` (..., C).
        losses : array_like of floats, of that shape, optional
            The losses under `label_smoothing` and `class_weight`, as those of
            ``softmax_cross_entropy(..., reduction="none")``. Needed where `label_smoothing` is not
            0, since statistics do not have them.
        first_row, group, source, removed
            As for :meth:`update`.

        Raises
        ------
        TypeError, ValueError
            As :meth:`update`; also if a field is missing, or holds what cannot be.
        """
        options = self._options
        sigmoid = options.loss == "sigmoid"
        y = check_labels(as_array(labels, "labels"), np.shape(labels), options)
        numbers = check_statistics(statistics, y, options)
        if sigmoid and y.shape[-1:] != (options.classes,):
            if options.classes > 1:
                raise ValueError(
                    f"labels has shape {y.shape}, accepted is (..., {options.classes}): the "
                    f"evaluation has {options.classes} labels a row"
                )
            y = y[..., None]
        if losses is not None:
            given = as_floats(losses, "losses")
            if given.size != y.size:
                raise ValueError(f"losses has shape {given.shape}, but labels have {y.shape}")
            numbers = with_losses(numbers, given.reshape(-1))
        elif options.label_smoothing and not sigmoid:
            raise ValueError(
                "losses is None, accepted are the losses of the rows where label_smoothing is not 0"
            )
        elif options.class_weight is not None:
            numbers = numbers._replace(loss=weighted(numbers.loss, y.reshape(-1), options))
        batch = check_batch(
            y, options, self._ledger, self._sums.grouped, Places(first_row, group, source, removed)
        )
        self._take(numbers, batch, 0, kept=False)
        self._close(batch)

    def merge(self, other: Evaluation) -> Evaluation:
        """Add the rows of another evaluation, which stays as it is, and return this one.

        Raises
        ------
        TypeError
            If `other` is no evaluation.
        ValueError
            If it has other options, if one has groups and the other has not, or if a row is in
            both. Nothing is added then.
        """
        if not isinstance(other, Evaluation):
            raise TypeError(f"other is {type(other).__name__}, accepted is an Evaluation")
        check_same(self._options, other._options)
        grouped = {self._sums.grouped, other._sums.grouped} - {None}
        if len(grouped) > 1:
            raise ValueError(
                "one evaluation has groups and the other has none, accepted are groups in both or "
                "in neither"
            )
        self._ledger.check_merge(other._ledger)
        self._gathering.flush()
        other._gathering.flush()
        self._sums.merge(other._sums)
        self._ledger.merge(other._ledger)
        return self

    def result(self) -> EvaluationResult:
        """Return the numbers, each rounded once from exact sums; later rows do not change them."""
        return EvaluationResult.of(self._options, self._settled(), self._ledger)

    @property
    def receipt(self) -> str:
        """SHA-256 of the options, the arithmetic and every sum and count, in hexadecimal.

        The same rows give the same receipt, however they were cut, named and merged: names, places
        and what is drawn by them (the hardest rows, replicates, ranges of rows) are not in it.
        """
        return serialization.receipt(self._settled(), self._options)

    def to_bytes(self) -> bytes:
        """Return the state as bytes: the same for the same rows, in whatever order they came."""
        return serialization.to_bytes(self._settled(), self._options, self._ledger)

    @classmethod
    def from_bytes(cls, data: bytes) -> Evaluation:
        """Return the evaluation of which these are the bytes.

        Raises
        ------
        TypeError
            If `data` is no bytes.
        ValueError
            If they are no evaluation, of a later version, or damaged.
        """
        evaluation = cls.__new__(cls)
        options, sums, ledger = serialization.from_bytes(data)
        evaluation._begin(options, sums, ledger)
        return evaluation

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a file, which is either replaced as a whole or left as it was."""
        serialization.write(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Evaluation:
        """Read the state from a file that :meth:`save` has written.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it holds no evaluation; the message names the file.
        """
        try:
            return cls.from_bytes(Path(path).read_bytes())
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def _settled(self) -> Sums:
        self._gathering.flush()
        self._sums.settle()
        return self._sums

    def _take(self, numbers: RowNumbers, batch: Batch, done: int, kept: bool) -> int:
        """Take the next rows of a batch of which `done` elements are taken, and enter them."""
        fields: dict[str, Any] = {
            name: field.reshape(-1) for name, field in zip(numbers._fields, numbers, strict=True)
        }
        stop = done + len(fields["loss"])
        label = batch.labels[done:stop].astype(np.int64)
        fields["label"] = fields["column"] = label
        if self._options.loss == "softmax":
            fields["row"] = np.arange(batch.first_row + done, batch.first_row + stop)
        else:
            row, fields["column"] = np.divmod(np.arange(done, stop), batch.width)
            fields["row"] = row + batch.first_row
        if batch.groups is not None:
            fields["group"] = batch.groups[fields["row"] - batch.first_row]
        if batch.ignored:
            at = np.flatnonzero(label != self._options.ignore_index)
            fields = {name: field[at] for name, field in fields.items()}
        if stop > done and self._sums.grouped is None:
            self._sums.grouped = batch.groups is not None
        self._gathering.add(batch.source, fields, kept)
        first = batch.first_row
        self._ledger.enter(batch.source, first + done // batch.width, first + stop // batch.width)
        return stop

    def _close(self, batch: Batch) -> None:
        """Count what is not in the rows, after the last of them."""
        if not batch.rows:
            return
        sums = self._sums
        sums.ignored += batch.ignored
        for rule, rows in batch.removed.items():
            sums.removed[rule] = sums.removed.get(rule, 0) + rows
        sums.arithmetic.add(arithmetic())
