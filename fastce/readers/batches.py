"""An array that comes batch after batch, in groups of which each can be begun with."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from fastce.readers.errors import InputError

Batches = Callable[[int], Iterator[npt.NDArray[Any]]]


class BatchedArray:
    """An array whose entries come in batches.

    Going back begins again at the beginning of the group that is asked for.

    Parameters
    ----------
    name : str
        What messages call it.
    entry : tuple of int
        Shape of an entry of the first axis.
    dtype : numpy.dtype
        Of the batches.
    groups : sequence of int
        Entries of each group.
    batches : callable
        Returns an iterator over the arrays of a group.
    check : callable
        Raises InputError if the file changed.
    block_rows : int
        Entries of a batch, about.
    """

    note = ""

    def __init__(
        self,
        name: str,
        entry: tuple[int, ...],
        dtype: np.dtype[Any],
        groups: Sequence[int],
        batches: Batches,
        check: Callable[[], None],
        block_rows: int,
    ) -> None:
        self.name, self.dtype, self.block_rows = name, dtype, block_rows
        self.array: npt.NDArray[Any] | None = None
        self.shape: tuple[int, ...] = (sum(groups), *entry)
        self._ends = list(accumulate(groups))
        self._batches, self.check = batches, check
        self._group = -1
        self._left: Iterator[npt.NDArray[Any]] = iter(())
        self._batch = np.empty((0, *entry), dtype)  # the last one that came
        self._start = 0  # its first entry
        self._lock = threading.Lock()

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the entries `start` to `stop`: a view where they lie in one batch."""
        start, stop, _ = slice(start, stop).indices(self.shape[0])
        if stop <= start:
            return np.empty((0, *self.shape[1:]), self.dtype)
        with self._lock:
            self._go_to(start)
            part = self._part(start, stop)
            if len(part) == stop - start:
                return part
            entries = np.empty((stop - start, *self.shape[1:]), self.dtype)
            done = 0
            while True:
                entries[done : done + len(part)] = part
                done += len(part)
                if done == len(entries):
                    return entries
                self._go_to(start + done)
                part = self._part(start + done, stop)

    def _part(self, start: int, stop: int) -> npt.NDArray[Any]:
        return self._batch[start - self._start : stop - self._start]

    def _go_to(self, entry: int) -> None:
        """Go on until the batch holds an entry, or begin with the group that does."""
        group = bisect_right(self._ends, entry)
        if group != self._group or entry < self._start:
            self._group, self._left = group, self._batches(group)
            self._start = self._ends[group - 1] if group else 0
            self._batch = self._batch[:0]
        while entry >= self._start + len(self._batch):
            self._start += len(self._batch)
            batch = next(self._left, None)
            if batch is None:
                raise InputError(
                    f"{self.name}: ends after {self._start} entries of the first axis, expected "
                    f"{self._ends[group]} in its first {group + 1} parts"
                )
            if batch.shape[1:] != self.shape[1:] or batch.dtype != self.dtype:
                raise InputError(
                    f"{self.name}: holds entries of shape {batch.shape[1:]} and {batch.dtype}, "
                    f"before {self._start} of shape {self.shape[1:]} and {self.dtype}"
                )
            self._batch = batch
