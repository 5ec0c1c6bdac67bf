"""Logits with the labels that score them: opened, and checked against each other.

Everything that can be wrong with shapes, dtypes and labels is said here, before the first logit is
read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastce.evaluation.engine.label_hints import hint_for
from fastce.evaluation.engine.labels import RowLabels
from fastce.readers.errors import InputError
from fastce.readers.source import Source, check_labels, check_logits

_LABELS_AT_A_TIME = 1 << 18


@dataclass(frozen=True)
class Pair:
    """The logits of a file, or of an array, and what goes with them.

    Parameters
    ----------
    logits, labels : Source
        `labels` is mapped, and so are the next two.
    axis : int
        Axis of the classes, from 0 on; the number of axes where each logit is a row.
    sigmoid : bool
        Whether each logit has a label of 0 or 1.
    mask, groups : Source, optional
        Of the shape of the labels, or a leading part of it.
    source : str, optional
        What the ledger calls the rows; None for arrays in memory, which have no name of their own.
    """

    logits: Source
    labels: Source
    axis: int
    sigmoid: bool = False
    mask: Source | None = None
    groups: Source | None = None
    source: str | None = None

    @property
    def classes(self) -> int:
        """Number of classes, or of the labels of a row."""
        return 1 if self.axis == len(self.logits.shape) else self.logits.shape[self.axis]

    @property
    def columns(self) -> int:
        """Number of labels of a row."""
        return self.classes if self.sigmoid else 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the rows."""
        return self.logits.shape[: self.axis] + self.logits.shape[self.axis + 1 :]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return math.prod(self.shape)

    def row_labels(self, ignored: Sequence[int], shift: int) -> RowLabels:
        """Return the labels of the rows under the rules."""
        labels = array_of(self.labels)
        mask = None if self.mask is None else _spread(array_of(self.mask), labels.shape)
        if self.sigmoid and labels.ndim == len(self.logits.shape) > self.axis:
            labels = np.moveaxis(labels, self.axis, -1)
            mask = None if mask is None else np.moveaxis(mask, self.axis, -1)
        groups = None if self.groups is None else _spread(array_of(self.groups), self.shape)
        return RowLabels(
            labels, ignored, columns=self.columns, shift=shift, mask=mask, groups=groups
        )

    def label_index(self, place: int) -> str:
        """Return where a label is, as between brackets; `place` counts the labels of rows."""
        shape, axis = self.labels.shape, self.axis
        if not self.sigmoid or axis == len(self.logits.shape) or len(shape) == len(self.shape):
            return ", ".join(map(str, np.unravel_index(place, shape))) or "()"
        index = list(np.unravel_index(place, (*self.shape, self.classes)))
        index.insert(axis, index.pop())
        return ", ".join(map(str, index))

    def check(self) -> None:
        """Raise InputError if a file changed since it was opened."""
        for source in (self.logits, self.labels, self.mask, self.groups):
            if source is not None:
                source.check()


def checked_pair(pair: Pair, shift: int) -> Pair:
    """Return the pair, its axis from 0 on, if dtypes and shapes fit each other."""
    logits, labels = pair.logits, pair.labels
    if logits.dtype.kind in "iu" and labels.dtype.kind == "f":
        raise InputError(
            f"{logits.name}: logits have dtype {logits.dtype}, and {labels.name}: labels have "
            f"dtype {labels.dtype}, expected the logits first: are the two swapped?"
        )
    check_logits(logits)
    if not (pair.sigmoid and labels.dtype == np.bool_):
        _check_labels_dtype(pair)
    axis = _axis_of_sigmoids(pair) if pair.sigmoid else _axis_of_classes(pair)
    pair = Pair(logits, labels, axis, pair.sigmoid, pair.mask, pair.groups, source=pair.source)
    if pair.classes == 0:
        raise InputError(
            f"{logits.name}: logits have shape {logits.shape}, expected at least one class"
        )
    _check_beside(pair.mask, "mask", labels.shape, "biuf")
    _check_beside(pair.groups, "groups", pair.shape, "iu")
    if shift and (pair.sigmoid or not labels.shape):
        raise InputError(
            f"{labels.name}: shift is {shift}, expected 0 where labels have no positions"
        )
    return pair


def _check_beside(source: Source | None, role: str, shape: tuple[int, ...], kinds: str) -> None:
    if source is None:
        return
    if source.shape != shape[: len(source.shape)]:
        raise InputError(
            f"{source.name}: {role} of shape {source.shape}, expected {shape} as that of the "
            "labels, or its first axes"
        )
    if source.dtype.kind not in kinds:
        raise InputError(f"{source.name}: {role} of dtype {source.dtype}, expected integers")


def _check_labels_dtype(pair: Pair) -> None:
    labels = pair.labels
    try:
        check_labels(labels)
    except InputError as error:
        hint = ""
        if labels.dtype.kind == "f" and labels.shape == pair.logits.shape:
            hint = "; of one-hot rows, argmax gives the classes"
        elif labels.dtype.kind == "f":
            hint = "; astype(int) makes integers of whole numbers"
        elif labels.dtype.kind in "US":
            hint = "; numpy.unique(labels, return_inverse=True) gives numbers for names"
        raise InputError(f"{error}{hint}") from None


def _axis_of_sigmoids(pair: Pair) -> int:
    logits, labels = pair.logits, pair.labels
    ndim = len(logits.shape)
    if logits.shape == (*labels.shape, 1):
        return ndim - 1
    if labels.shape != logits.shape:
        hint = "; the column of 'yes' would fit" if logits.shape == (*labels.shape, 2) else ""
        raise InputError(
            f"{labels.name}: labels have shape {labels.shape}, expected {logits.shape}, 0 or 1 "
            f"for each logit{hint}"
        )
    return ndim if ndim < 2 else _axis_within(pair)


def _axis_within(pair: Pair) -> int:
    ndim = len(pair.logits.shape)
    if not -ndim <= pair.axis < ndim:
        raise InputError(
            f"{pair.logits.name}: logits have shape {pair.logits.shape}, expected an axis "
            f"{pair.axis} for the classes"
        )
    return pair.axis % ndim


def _axis_of_classes(pair: Pair) -> int:
    logits, labels, shape = pair.logits, pair.labels, pair.logits.shape
    if not shape:
        raise InputError(f"{logits.name}: logits have shape (), expected (..., classes)")
    axis = _axis_within(pair)
    expected = shape[:axis] + shape[axis + 1 :]
    if labels.shape != expected:
        hint = ""
        if fitting := _axes_that_fit(shape, labels.shape):
            hint = f"; with the classes on axis {fitting[0]} they would fit"
        elif labels.shape == (*shape[:-1], 1):
            hint = f"; reshaped to {expected} they would fit"
        elif math.prod(labels.shape) == math.prod(expected):
            hint = f"; reshaped to {expected} they would fit, if these are the same rows"
        raise InputError(
            f"{labels.name}: labels have shape {labels.shape}, expected {expected} for logits of "
            f"shape {shape}{hint}"
        )
    return axis


def _axes_that_fit(shape: tuple[int, ...], labels: tuple[int, ...]) -> list[int]:
    return [i for i in range(len(shape)) if shape[:i] + shape[i + 1 :] == labels]


def notes_on(pair: Pair) -> list[str]:
    """Return what should be said about a pair that is right, but perhaps not as meant."""
    notes = []
    if pair.logits.note:
        notes.append(f"{pair.logits.name}: {pair.logits.note}")
    if pair.sigmoid:
        return notes
    shape = pair.logits.shape
    others = [axis for axis in _axes_that_fit(shape, pair.labels.shape) if axis != pair.axis]
    if pair.classes == 1:
        notes.append(
            f"{pair.logits.name}: one logit a row is one class and no choice, so the loss is 0; "
            "for yes and no the loss is sigmoid"
        )
    elif others:
        notes.append(
            f"{pair.logits.name}: of shape {shape}, the classes are taken to be on axis "
            f"{pair.axis}; axis {others[0]} would fit as well"
        )
    return notes


def check_all_labels(
    pair: Pair, ignored: Sequence[int], shift: int, advance: Callable[[int], object]
) -> None:
    """Raise InputError for the first label that counts and is no class."""
    of = pair.row_labels(ignored, shift)
    classes = 2 if pair.sigmoid else pair.classes
    height = max(1, _LABELS_AT_A_TIME // pair.columns)
    for start in range(0, pair.rows, height):
        rows = slice(start, min(start + height, pair.rows))
        advance(rows.stop - rows.start)
        # Most labels are classes, whatever counts.
        if not shift and of.all_within(rows, classes):
            continue
        found = of.first_outside(rows, classes)
        if found is not None:
            place, value = found
            what = "for yes and no" if pair.sigmoid else f"for {classes} classes"
            raise InputError(
                f"{pair.labels.name}: labels[{pair.label_index(place)}] is {value}, expected 0 to "
                f"{classes - 1} {what}, or {_listed(ignored)}"
                + hint_for(value, pair.labels.dtype, classes)
            )


def _listed(ignored: Sequence[int]) -> str:
    return f"ignored {' '.join(map(str, ignored))}" if ignored else "no other"


def _spread(array: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return the array with its elements repeated along the trailing axes that it lacks."""
    trailing = (1,) * (len(shape) - array.ndim)
    return np.broadcast_to(array.reshape(array.shape + trailing), shape)


def array_of(source: Source) -> npt.NDArray[Any]:
    """Return the array of a source that is mapped."""
    assert source.array is not None, f"{source.name} is not mapped"
    return source.array
