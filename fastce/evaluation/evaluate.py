"""Loss and hits of mapped logits, one block of rows after another.

Design: a block is small enough to stay in a core's cache, because it is read twice, once for the
loss and once for the largest class. Blocks are fixed by the shape of the logits and combined in
their order, so the result does not depend on the number of threads. Threads take whole blocks,
several at a time because handing over takes as long as reading one; NumPy and the kernels release
the GIL, so both readings run in parallel.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

import fastce
from fastce.readers.npy import InputError, Source, check_labels

_BLOCK_BYTES = 1 << 21  # the second-level cache of a common core
_BLOCK_ROWS = 1 << 15  # arrays with an element for each row want to stay there too
_BLOCKS_AT_A_TIME = 8
_PAGE_BYTES = 4096
_SHORT_ROW = 64  # classes; below, NumPy's argmax does not use whole vectors

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Rows:
    """Logits as a matrix of rows and classes, with their labels, in the order they lie in memory.

    Parameters
    ----------
    logits : Source
        Array of shape (..., C), in C or Fortran order.
    labels : Source
        Integer array of shape (...).
    """

    def __init__(self, logits: Source, labels: Source) -> None:
        _check(logits, labels)
        values, self._labels = logits.array, labels.array
        # Fortran order: with the leading axes reversed, neighbours in memory are neighbours here,
        # and the axes can be merged without a copy.
        self._reversed = not values.flags.c_contiguous
        if self._reversed:
            values = values.transpose(*reversed(range(values.ndim - 1)), values.ndim - 1)
            self._labels = self._labels.transpose()
        self.count = int(self._labels.size)
        self.classes = int(values.shape[-1])
        self.logits = values.reshape(self.count, self.classes)
        self.names = logits.name, labels.name
        height = max(1, _BLOCK_BYTES // max(1, values.itemsize * self.classes))
        if self._reversed:
            # A page holds many rows of one class; take them all while the page is there.
            height = max(height, _PAGE_BYTES // max(1, values.itemsize))
        self._height = min(height, _BLOCK_ROWS)

    @property
    def most_threads(self) -> int:
        """Number of threads that all have something to do, at least 1."""
        return max(1, -(-self.count // (self._height * _BLOCKS_AT_A_TIME)))

    def blocks(self) -> Iterator[slice]:
        """Rows that are read together; one empty block when there are no rows."""
        for start in range(0, max(1, self.count), self._height):
            yield slice(start, min(start + self._height, self.count))

    def labels(self, block: slice) -> npt.NDArray[Any]:
        """Return the labels of a block, shape (rows,)."""
        if self._labels.flags.c_contiguous:
            return self._labels.reshape(-1)[block]
        rows = np.arange(block.start, block.stop)
        labels: npt.NDArray[Any] = self._labels[np.unravel_index(rows, self._labels.shape)]
        return labels

    def place(self, row: int) -> str:
        """Return a row's index in the file, as it is written between brackets."""
        index = np.unravel_index(row, self._labels.shape)
        return ", ".join(map(str, reversed(index) if self._reversed else index)) or "()"


def _check(logits: Source, labels: Source) -> None:
    if logits.array.ndim == 0:
        raise InputError(f"{logits.name}: logits have shape (), expected (..., classes)")
    check_labels(labels)
    dtype = logits.array.dtype
    if dtype.kind != "f" or dtype.itemsize > 8:
        lost = " (as which NumPy saves bfloat16, too)" if dtype == np.dtype("V2") else ""
        raise InputError(
            f"{logits.name}: logits have dtype {dtype}{lost}, expected float32, float64 or float16"
        )
    if labels.array.shape != logits.array.shape[:-1]:
        raise InputError(
            f"{labels.name}: labels have shape {labels.array.shape}, expected "
            f"{logits.array.shape[:-1]} for logits of shape {logits.array.shape}"
        )


class Options(NamedTuple):
    """What decides the loss of a row, and how much is remembered of it."""

    class_weight: npt.NDArray[np.float64] | None = None
    label_smoothing: float = 0.0
    ignore_index: int = -100
    per_class: bool = False


class ClassTotals(NamedTuple):
    """Sums over the rows of each class, arrays of shape (C,)."""

    rows: npt.NDArray[np.int64]
    hits: npt.NDArray[np.int64]
    loss: npt.NDArray[np.float64]


class Totals(NamedTuple):
    """Sums over all rows that are not ignored; `weight` is what a mean loss divides by."""

    rows: int
    hits: int
    loss: float
    weight: float
    classes: ClassTotals | None


class _ByClass(NamedTuple):
    """Sums by class: arrays of one length, `of` the classes they are for, in any order."""

    of: npt.NDArray[np.intp]
    rows: npt.NDArray[np.int64]
    hits: npt.NDArray[np.int64]
    loss: npt.NDArray[np.float64]


class _Block(NamedTuple):
    """What a block contributes."""

    rows: int
    hits: int
    loss: float
    weight: float
    classes: _ByClass | None


def total(rows: Rows, options: Options, threads: int, advance: Callable[[int], object]) -> Totals:
    """Read all rows and add up what they contribute; `advance` is told of rows done."""
    counts = hits = 0
    # Exact sums of the blocks' sums: 16 bytes for each block.
    losses, weights = array("d"), array("d")
    classes = None
    if options.per_class:
        counted = np.zeros((2, rows.classes), np.int64)
        classes = ClassTotals(counted[0], counted[1], np.zeros(rows.classes))

    def read(block: slice) -> _Block:
        return _read(rows, block, options)

    for block, part in zip(rows.blocks(), _in_order(read, rows.blocks(), threads), strict=True):
        counts += part.rows
        hits += part.hits
        losses.append(part.loss)
        weights.append(part.weight)
        if classes is not None and part.classes is not None:
            of, *sums = part.classes
            for whole, of_part in zip(classes, sums, strict=True):
                np.add.at(whole, of, of_part)
        advance(block.stop - block.start)
    return Totals(counts, hits, _sum(losses), _sum(weights), classes)


@np.errstate(over="ignore")  # a sum of huge losses is inf, and says so
def _read(rows: Rows, block: slice, options: Options) -> _Block:
    logits, labels = rows.logits[block], rows.labels(block)
    try:
        losses: Any = fastce.softmax_cross_entropy(
            logits,
            labels,
            class_weight=options.class_weight,
            label_smoothing=options.label_smoothing,
            ignore_index=options.ignore_index,
            reduction="none" if options.per_class else "sum",
            num_threads=1,
        )
    except (TypeError, ValueError) as error:
        raise _explained(error, rows, block, labels, options.ignore_index) from error
    valid = labels != options.ignore_index
    classes = np.where(valid, labels, 0).astype(np.intp)
    hits = _hits(logits, classes)[valid]
    kept = classes[valid]
    weight = len(kept) if options.class_weight is None else options.class_weight[kept].sum()
    by_class = None
    if options.per_class:
        by_class = _by_class(kept, hits, losses[valid].astype(np.float64), rows.classes)
        losses = losses.sum(dtype=np.float64)
    return _Block(len(kept), int(np.count_nonzero(hits)), float(losses), float(weight), by_class)


def _by_class(
    labels: npt.NDArray[np.intp],
    hits: npt.NDArray[np.bool_],
    losses: npt.NDArray[np.float64],
    classes: int,
) -> _ByClass:
    """Add up by class, unless there are more classes than rows."""
    if classes > len(labels):
        return _ByClass(labels, np.ones_like(labels), hits.astype(np.int64), losses)
    return _ByClass(
        np.arange(classes),
        np.bincount(labels, minlength=classes),
        np.bincount(labels[hits], minlength=classes),
        np.bincount(labels, losses, minlength=classes).astype(np.float64, copy=False),
    )


def _hits(logits: npt.NDArray[Any], labels: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Whether ``logits.argmax(axis=-1)`` is the label, for each row."""
    if logits.shape[1] >= _SHORT_ROW:
        return np.equal(_largest(logits), labels)
    # For short rows argmax takes longer than the loss. With the classes along the first axis NumPy
    # works on many rows at a time; argmax then decides ties and rows with NaN.
    native = logits.dtype.newbyteorder("=")
    columns = np.ascontiguousarray(logits.T, dtype=native)
    largest = columns.max(axis=0)
    hits: npt.NDArray[np.bool_] = columns[labels, np.arange(len(labels))] == largest
    unclear = np.flatnonzero((columns == largest).sum(axis=0, dtype=np.uint8) != 1)
    hits[unclear] = logits[unclear].argmax(axis=-1) == labels[unclear]
    return hits


def _largest(logits: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """``logits.argmax(axis=-1)``, also its ties and NaNs, without a copy of a large block."""
    rows, classes = logits.shape
    width = max(1, _BLOCK_BYTES // (max(1, rows) * logits.itemsize))
    if width >= classes:
        largest: npt.NDArray[np.intp] = logits.argmax(axis=-1)
        return largest
    # NumPy copies what is strided or byte-swapped; a piece of the classes is a small copy.
    every = np.arange(rows)
    best, top = np.zeros(rows, np.intp), logits[:, 0].copy()
    for start in range(0, classes, width):
        piece = logits[:, start : start + width]
        at = piece.argmax(axis=-1)
        values = piece[every, at]
        better = ~((values <= top) | np.isnan(top))  # a NaN is larger than any number
        best[better], top[better] = start + at[better], values[better]
    return best


def _explained(
    error: Exception, rows: Rows, block: slice, labels: npt.NDArray[Any], ignore_index: int
) -> InputError:
    """Say the library's error about a block as one about the files."""
    logits_name, labels_name = rows.names
    outside = (labels != ignore_index) & ((labels < 0) | (labels >= rows.classes))
    if rows.classes and outside.any():
        row = int(outside.argmax())
        return InputError(
            f"{labels_name}: labels[{rows.place(block.start + row)}] is {labels[row]}, expected "
            f"0 to {rows.classes - 1} for {rows.classes} classes, or ignore_index {ignore_index}"
        )
    return InputError(f"{logits_name}: {error}")


def _in_order(
    read: Callable[[_Item], _Result], items: Iterable[_Item], threads: int
) -> Iterator[_Result]:
    """``map(read, items)`` on several threads, with few results waiting at a time."""
    if threads == 1:
        yield from map(read, items)
        return
    from concurrent.futures import Future, ThreadPoolExecutor

    def read_all(several: list[_Item]) -> list[_Result]:
        return [read(item) for item in several]

    left = iter(items)
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[list[_Result]]] = deque()
    try:
        while several := list(islice(left, _BLOCKS_AT_A_TIME)):
            waiting.append(pool.submit(read_all, several))
            if len(waiting) > 2 * threads:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _sum(parts: array[float]) -> float:
    try:
        return math.fsum(parts)
    except OverflowError:  # finite parts, but beyond float64 in between
        return sum(parts)
