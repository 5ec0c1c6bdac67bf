"""One block of rows: its losses, by the library, and its hits."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import fastce
from fastce.evaluation.hits import find_hits
from fastce.evaluation.rows import Rows
from fastce.evaluation.totals import Part, PartByClass
from fastce.readers.errors import InputError


class Options(NamedTuple):
    """What decides the loss of a row, and how much is remembered of it."""

    class_weight: npt.NDArray[np.float64] | None = None
    label_smoothing: float = 0.0
    ignore_index: int = -100
    per_class: bool = False


@np.errstate(over="ignore")  # a sum of huge losses is inf, and says so
def read_block(rows: Rows, block: slice, options: Options) -> Part:
    """Return what the rows of a block contribute."""
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
    hits = find_hits(logits, classes)[valid]
    kept = classes[valid]
    weight = len(kept) if options.class_weight is None else options.class_weight[kept].sum()
    by_class = None
    if options.per_class:
        by_class = _by_class(kept, hits, losses[valid].astype(np.float64), rows.classes)
        losses = losses.sum(dtype=np.float64)
    return Part(len(kept), int(np.count_nonzero(hits)), float(losses), float(weight), by_class)


def _by_class(
    labels: npt.NDArray[np.intp],
    hits: npt.NDArray[np.bool_],
    losses: npt.NDArray[np.float64],
    classes: int,
) -> PartByClass:
    """Add up by class, unless there are more classes than rows."""
    if classes > len(labels):
        return PartByClass(labels, np.ones_like(labels), hits.astype(np.int64), losses)
    return PartByClass(
        np.arange(classes),
        np.bincount(labels, minlength=classes),
        np.bincount(labels[hits], minlength=classes),
        np.bincount(labels, losses, minlength=classes).astype(np.float64, copy=False),
    )


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
