"""How often a label is predicted to be another class."""

from __future__ import annotations

import numpy as np

from fastce.evaluation.sums.exact import Integers

DENSE = 128  # classes up to which there is a count for every pair
_MOST = 1 << 20  # different pairs that are kept, or 16 for each class if that is more
_WAITING = 1 << 17  # rows that may wait to be sorted


class Confusions:
    """Rows by label and prediction, without those where both are the same.

    Where there are more different pairs than `most`, none are kept: which of them would be frequent
    in the end is not known before it.
    """

    def __init__(self, classes: int, kept: bool = True) -> None:
        self.classes, self.kept = classes, kept
        self.most = max(_MOST, 16 * classes)
        self._matrix: Integers = np.zeros(classes**2 if classes <= DENSE else 0, np.int64)
        self._keys: Integers = np.zeros(0, np.int64)
        self._counts: Integers = np.zeros(0, np.int64)
        self._waiting: list[Integers] = []
        self._size = 0  # of what waits

    def add_matrix(self, rows: Integers) -> None:
        """Add rows by label and prediction, shape (classes, classes), for few classes."""
        self._matrix += rows.reshape(-1)

    def add(self, label: Integers, predicted: Integers) -> None:
        """Add rows whose label is not predicted."""
        if self.kept and len(label):
            self._waiting.append(label * self.classes + predicted)
            self._size += len(label)
            if self._size > max(_WAITING, len(self._keys)):
                self.sorted()

    def merge(self, other: Confusions) -> None:
        """Add the rows of another."""
        self.kept = self.kept and other.kept
        self._matrix += other._matrix
        self.put(*other.sorted(matrix=False))

    def put(self, keys: Integers, counts: Integers) -> None:
        """Add rows by ``label * classes + predicted``, sorted and each there once."""
        self._sort()
        self._unite(keys, counts)

    def sorted(self, matrix: bool = True) -> tuple[Integers, Integers]:
        """Return the sorted keys ``label * classes + predicted``, and the rows of each."""
        self._sort()
        if not self.kept:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        if matrix and len(self._matrix):
            whole = self._matrix.copy()
            whole[:: self.classes + 1] = 0
            whole[self._keys] += self._counts
            keys = np.flatnonzero(whole)
            return keys, whole[keys]
        return self._keys, self._counts

    def _sort(self) -> None:
        if self._waiting:
            keys = np.concatenate(self._waiting)
            self._waiting, self._size = [], 0
            self._unite(*np.unique(keys, return_counts=True))

    def _unite(self, keys: Integers, counts: Integers) -> None:
        if not self.kept:
            keys, counts = self._keys[:0], self._counts[:0]
        elif len(self._keys):
            both = np.union1d(self._keys, keys)
            united = np.zeros(len(both), np.int64)
            united[np.searchsorted(both, self._keys)] += self._counts
            united[np.searchsorted(both, keys)] += counts
            keys, counts = both, united
        self.kept = self.kept and len(keys) <= self.most
        if not self.kept:
            keys, counts = keys[:0], counts[:0]
        self._keys, self._counts = keys, counts
