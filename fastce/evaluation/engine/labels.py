"""Which label scores which row of logits, and which rows do not count.

Rules, in this order; a row is removed by the first that says so:

1. ``shift``: the logits of position t are scored by the label of position t + shift of the same
   sequence; the last `shift` positions of a sequence have none. Sequences lie along the last axis
   of the labels.
2. ``mask``: the label's place in the mask is 0.
3. ``ignore_index``: the label is one of the ignored ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Numbers: TypeAlias = "slice | npt.NDArray[np.intp]"


class Scored(NamedTuple):
    """What scores some rows; arrays of shape (rows,), or (rows, columns) for several labels."""

    labels: npt.NDArray[np.int64]
    counts: npt.NDArray[np.bool_]  # whether a label counts; where it does not, `labels` holds 0
    removed: dict[str, int]  # labels that do not count, by rule
    ignored: dict[int, int]  # of these by ignore_index, how many of each value
    groups: npt.NDArray[np.int64] | None


class RowLabels:
    """The labels of rows that are numbered in the order of C.

    Parameters
    ----------
    labels : ndarray of integers or bools, shape S, or S + (columns,)
        Class of each row, or the labels 0 and 1 of its columns.
    ignored : sequence of int
        Labels that do not count.
    columns : int, default 1
        Number of labels of a row.
    shift : int, default 0
        How many positions behind its logits a label lies.
    mask : ndarray, optional
        Of the shape of the labels; 0 where a label does not count.
    groups : ndarray of integers, shape S, optional
        The group, such as a document, that a row belongs to.
    """

    def __init__(
        self,
        labels: Array,
        ignored: Sequence[int] = (-100,),
        *,
        columns: int = 1,
        shift: int = 0,
        mask: Array | None = None,
        groups: Array | None = None,
    ) -> None:
        self._labels, self._columns, self._shift = labels, columns, shift
        self._mask, self._groups = mask, groups
        self._ignored = [label for label in ignored if _fits(label, labels.dtype)]

    def of(self, rows: Numbers) -> Scored:
        """Return what scores the rows with these numbers."""
        places, counts = self._places(rows)
        removed = {"shift": _lacking(counts)}
        labels = _take(self._labels, places)
        if self._mask is not None:
            before = _lacking(counts)
            counts &= _take(self._mask, places) != 0
            removed["mask"] = _lacking(counts) - before
        ignored: dict[int, int] = {}
        for label in self._ignored:
            found = counts & (labels == label)
            if number := int(np.count_nonzero(found)):
                ignored[label] = number
                counts &= ~found
        removed["ignore_index"] = sum(ignored.values())
        if not counts.all():
            labels = np.where(counts, labels, np.zeros((), labels.dtype))
        groups = None
        if self._groups is not None:
            groups = _take(self._groups, rows).astype(np.int64, copy=False)
        shape = (-1,) if self._columns == 1 else (-1, self._columns)
        return Scored(
            labels.astype(np.int64, copy=False).reshape(shape),
            counts.reshape(shape),
            {rule: number for rule, number in removed.items() if number},
            ignored,
            groups,
        )

    def all_within(self, rows: slice, classes: int) -> bool:
        """Whether all labels of these rows are classes, those that do not count as well."""
        places = slice(rows.start * self._columns, rows.stop * self._columns)
        labels = _take(self._labels, places)
        return labels.size == 0 or bool(labels.min() >= 0 and labels.max() < classes)

    def first_outside(self, rows: Numbers, classes: int) -> tuple[int, int] | None:
        """Return the place, in the order of C, and the value of the first label that is no class.

        None where all labels that count are classes.
        """
        places, counts = self._places(rows)
        labels = _take(self._labels, places)
        outside = counts & ((labels < 0) | (labels >= classes))
        for label in self._ignored:
            outside &= labels != label
        if self._mask is not None and outside.any():
            outside &= _take(self._mask, places) != 0
        if not outside.any():
            return None
        at = int(outside.argmax())
        place = places.start + at if isinstance(places, slice) else places[at]
        return int(place), int(labels[at])

    def _places(self, rows: Numbers) -> tuple[Numbers, npt.NDArray[np.bool_]]:
        """Return the places of the rows' labels, and whether there are such."""
        if self._shift:
            rows = _as_array(rows)
            positions = self._labels.shape[-1]
            there = rows % positions < positions - self._shift
            return np.where(there, rows + self._shift, rows), there
        if self._columns == 1:
            places = rows
        elif isinstance(rows, slice):
            places = slice(rows.start * self._columns, rows.stop * self._columns)
        else:
            places = (rows[:, np.newaxis] * self._columns + np.arange(self._columns)).reshape(-1)
        count = places.stop - places.start if isinstance(places, slice) else len(places)
        return places, np.ones(count, np.bool_)


def _lacking(counts: npt.NDArray[np.bool_]) -> int:
    return int(counts.size - np.count_nonzero(counts))


def _fits(label: int, dtype: np.dtype[Any]) -> bool:
    if dtype == np.bool_:
        return label in (0, 1)
    info = np.iinfo(dtype)
    return int(info.min) <= label <= int(info.max)


def _as_array(numbers: Numbers) -> npt.NDArray[np.intp]:
    return np.arange(numbers.start, numbers.stop) if isinstance(numbers, slice) else numbers


def _take(array: Array, numbers: Numbers) -> Array:
    """Return the elements with these numbers in the order of C; a view where there is one."""
    if array.flags.c_contiguous:
        taken: Array = array.reshape(-1)[numbers]
        return taken
    found: Array = array[np.unravel_index(_as_array(numbers), array.shape)]
    return found
