"""Counts and exact sums by key, for keys that are not known beforehand, as those of documents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastce.evaluation.sums.exact import ExactTable, Floats, Integers

_SMALL = 1 << 15  # keys that may wait to be sorted in


class KeyedSums:
    """Integer counts, and exact sums, of each key.

    New keys wait until there are about as many as sorted ones, so that adding n keys takes time
    proportional to n log n.

    Parameters
    ----------
    counts : int
        How many counts each key has.
    sums : int
        How many exact sums each key has.
    """

    def __init__(self, counts: int, sums: int) -> None:
        self._keys: Integers = np.zeros(0, np.int64)
        self._counts: Integers = np.zeros((counts, 0), np.int64)
        self._tables = [ExactTable(0) for _ in range(sums)]
        self._waiting: list[tuple[Integers, Integers, list[ExactTable]]] = []
        self._size = 0  # of what waits

    @property
    def counts(self) -> int:
        """How many counts each key has."""
        return len(self._counts)

    @property
    def sums(self) -> int:
        """How many exact sums each key has."""
        return len(self._tables)

    def add(
        self, keys: Integers, counts: list[NDArray[np.bool_] | int | None], sums: list[Floats]
    ) -> None:
        """Add rows by key; a count of None is 1 a row, 0 none."""
        distinct, cells = _distinct(keys)
        tables = [ExactTable(len(distinct)) for _ in sums]
        for table, x in zip(tables, sums, strict=True):
            table.add(cells, x)
        added = np.zeros((len(counts), len(distinct)), np.int64)
        for row, count in zip(added, counts, strict=True):
            if count is None:
                row[:] = np.bincount(cells, minlength=len(distinct))
            elif not isinstance(count, int):
                row[:] = np.bincount(cells[count], minlength=len(distinct))
        self._wait(distinct, added, tables)

    def put(self, keys: Integers, counts: Integers, tables: list[ExactTable]) -> None:
        """Add sums of keys that are sorted, each there once."""
        self._wait(keys, counts, tables)

    def merge(self, other: KeyedSums) -> None:
        """Add the sums of another."""
        self._wait(*other.sorted())

    def sorted(self) -> tuple[Integers, Integers, list[ExactTable]]:
        """Return the sorted keys, their counts (a row for each count) and their sums."""
        if self._waiting:
            parts = [(self._keys, self._counts, self._tables), *self._waiting]
            self._waiting, self._size = [], 0
            self._keys = np.unique(np.concatenate([keys for keys, _, _ in parts]))
            self._counts = np.zeros((len(self._counts), len(self._keys)), np.int64)
            self._tables = [ExactTable(len(self._keys)) for _ in self._tables]
            for keys, counts, tables in parts:
                cells = np.searchsorted(self._keys, keys)
                self._counts[:, cells] += counts
                for whole, table in zip(self._tables, tables, strict=True):
                    whole.merge(table, cells)
        return self._keys, self._counts, self._tables

    def __len__(self) -> int:
        return len(self.sorted()[0])

    def _wait(self, keys: Integers, counts: Integers, tables: list[ExactTable]) -> None:
        if not len(keys):
            return
        self._waiting.append((keys, counts, tables))
        self._size += len(keys)
        if self._size > max(_SMALL, len(self._keys)):
            self.sorted()


def _distinct(keys: Integers) -> tuple[Integers, NDArray[np.intp]]:
    """Return the sorted keys, and where each row's key is among them; runs of a key are one."""
    starts = np.flatnonzero(keys[1:] != keys[:-1]) + 1
    starts = np.concatenate([np.zeros(min(1, len(keys)), starts.dtype), starts])
    distinct, of_run = np.unique(keys[starts], return_inverse=True)
    if len(starts) == len(keys):
        return distinct, of_run
    return distinct, np.repeat(of_run, np.diff(starts, append=len(keys)))
