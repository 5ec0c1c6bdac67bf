"""Which label scores which row, against tables written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fastce.evaluation.engine.label_hints import hint_for
from fastce.evaluation.engine.labels import RowLabels

TOKENS = np.array([[5, 6, 7, 8], [1, 2, -100, 3]])


def found(rows, **rules):
    scored = RowLabels(TOKENS, (-100,), **rules).of(rows)
    return scored.labels.tolist(), scored.counts.tolist(), scored.removed


def test_without_rules():
    labels, counts, removed = found(slice(0, 8))
    assert labels == [5, 6, 7, 8, 1, 2, 0, 3]
    assert counts == [1, 1, 1, 1, 1, 1, 0, 1]
    assert removed == {"ignore_index": 1}


def test_shift_stays_within_a_sequence():
    labels, counts, removed = found(slice(0, 8), shift=1)
    assert labels == [6, 7, 8, 0, 2, 0, 3, 0]
    assert counts == [1, 1, 1, 0, 1, 0, 1, 0]
    assert removed == {"shift": 2, "ignore_index": 1}


def test_shift_past_the_sequence_leaves_nothing():
    _, counts, removed = found(slice(0, 8), shift=9)
    assert not any(counts)
    assert removed == {"shift": 8}


def test_mask_is_that_of_the_label_and_comes_first():
    mask = np.array([[1, 1, 0, 1], [1, 1, 0, 1]])
    labels, counts, removed = found(slice(0, 8), shift=1, mask=mask)
    assert labels == [6, 0, 8, 0, 2, 0, 3, 0]
    assert counts == [1, 0, 1, 0, 1, 0, 1, 0]
    assert removed == {"shift": 2, "mask": 2}  # no row is counted for two rules


@pytest.mark.parametrize("order", "CF")
def test_any_rows_in_any_order(order):
    """Rows of a piece that lies across sequences; Fortran order, as files have it."""
    tokens = np.asarray(np.arange(24).reshape(4, 6), order=order)
    rows = np.array([3, 5, 17, 22, 23])
    scored = RowLabels(tokens, (-100,), shift=1).of(rows)
    assert scored.labels.tolist() == [4, 0, 0, 23, 0]
    assert RowLabels(tokens).of(slice(5, 9)).labels.tolist() == [5, 6, 7, 8]


def test_several_ignored_labels():
    labels = np.array([0, 3, 255, 3, 2], np.uint8)
    scored = RowLabels(labels, (-100, 255, 3)).of(slice(0, 5))
    assert scored.counts.tolist() == [1, 0, 0, 0, 1]
    assert scored.ignored == {255: 1, 3: 2}
    assert scored.removed == {"ignore_index": 3}


def test_unsigned_labels_beyond_int64():
    minus_100 = 2**64 - 100
    labels = np.array([1, minus_100, 0], np.uint64)
    rules = RowLabels(labels, (minus_100,))
    assert rules.of(slice(0, 3)).labels.tolist() == [1, 0, 0]
    assert rules.first_outside(slice(0, 3), 2) is None
    assert RowLabels(labels).first_outside(slice(0, 3), 2) == (1, minus_100)


def test_columns():
    labels = np.array([[0, 1], [1, -1], [1, 1]])
    scored = RowLabels(labels, (-1,), columns=2, groups=np.array([7, 8, 9])).of(slice(1, 3))
    assert scored.labels.tolist() == [[1, 0], [1, 1]]
    assert scored.counts.tolist() == [[True, False], [True, True]]
    assert scored.groups.tolist() == [8, 9]


def test_a_label_that_the_mask_hides_may_be_anything():
    labels = np.array([0, 99, 1])
    assert RowLabels(labels).first_outside(slice(0, 3), 2) == (1, 99)
    assert RowLabels(labels, mask=np.array([1, 0, 1])).first_outside(slice(0, 3), 2) is None


@pytest.mark.parametrize(
    ("label", "dtype", "classes", "text"),
    [
        (156, "uint8", 10, "-100 in 8 bits"),
        (65436, "uint16", 10, "-100 in 16 bits"),
        (4294967196, "uint32", 10, "-100 in 32 bits"),
        (18446744073709551516, "uint64", 10, "-100 in 64 bits"),
        (255, "uint8", 21, "--ignore-index 255"),
        (255, "int64", 21, "--ignore-index 255"),
        (-25536, "int16", 50000, "40000 in 16 bits"),
    ],
)
def test_what_a_label_may_stand_for(label, dtype, classes, text):
    assert text in hint_for(label, np.dtype(dtype), classes)


@pytest.mark.parametrize(("label", "dtype"), [(12, "uint8"), (-5, "int64"), (100, "int32")])
def test_no_guess_about_others(label, dtype):
    assert hint_for(label, np.dtype(dtype), 10) == ""
