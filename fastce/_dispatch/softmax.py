"""From checked arguments to one kernel call, or one per block where the layout needs copies."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastce import _kernels
from fastce._dispatch.blocks import Index, native_rows, row_blocks
from fastce._dispatch.reduction import Tally, exact_sum
from fastce._validation.arrays import (
    BFLOAT16,
    FIRST_FLOAT,
    Array,
    Walk,
    Weights,
    are_weights,
    raw,
    raw_weights,
    same_walk,
    stored,
    walk,
)


class Options(NamedTuple):
    """The options of a softmax loss that reach the kernel."""

    class_weight: Array | None
    label_smoothing: float
    z_loss: float
    ignore_index: int
    divisor: float
    streaming: bool
    num_threads: int


class Rows(NamedTuple):
    """The arrays of a call as the user has them; `losses` flat, one a row."""

    logits: Array
    kind: int
    axis: int
    labels: Array
    label_kind: int
    sample_weight: Weights | None
    grad: Array | None
    hess: Array | None
    losses: Array | None


def has_probabilities(label_kind: int) -> bool:
    """Whether labels of this type are probabilities of classes, not classes."""
    return label_kind >= FIRST_FLOAT


def _call(rows: Rows, w: Walk, targets: Walk | None, grad: Walk | None, o: Options) -> Tally:
    y = rows.labels
    weight_sum = float(w.classes)
    if o.class_weight is not None and o.label_smoothing:
        weight_sum = exact_sum(o.class_weight)
    half = rows.kind == BFLOAT16
    return Tally._make(
        _kernels.active.softmax_cross_entropy(
            raw(rows.logits) if half else rows.logits, rows.kind, *w,
            raw(y) if rows.label_kind == BFLOAT16 else y, stored(y, rows.label_kind),
            targets is not None, 0 if targets is None else targets.outer_stride,
            0 if targets is None else targets.class_stride, o.ignore_index,
            o.class_weight, *raw_weights(rows.sample_weight),
            o.label_smoothing, weight_sum, o.z_loss,
            None if rows.grad is None else raw(rows.grad),
            0 if grad is None else grad.outer_stride, 0 if grad is None else grad.class_stride,
            None if rows.hess is None else raw(rows.hess), o.streaming, o.divisor, rows.losses,
            o.num_threads,
        )
    )  # fmt: skip


def _walked(rows: Rows, w: Walk) -> tuple[Walk | None, Walk | None, bool]:
    """Return how targets and gradient are walked like the logits, and whether that can be done."""
    grad = None if rows.grad is None else same_walk(w, rows.grad, rows.axis)
    possible = grad is not None or rows.grad is None
    if rows.hess is not None:  # walked with the gradient's strides
        possible = possible and same_walk(w, rows.hess, rows.axis) == grad
    if not has_probabilities(rows.label_kind):
        return None, grad, possible
    targets = same_walk(w, rows.labels, rows.axis)
    return targets, grad, possible and targets is not None


def run(rows: Rows, options: Options) -> Tally:
    """Compute losses and gradient of all rows; outputs are written, sums returned."""
    w = walk(rows.logits, rows.axis)
    if w is not None:
        targets, grad, possible = _walked(rows, w)
        if possible:
            return _call(rows, w, targets, grad, options)
    return _run_blocks(rows, options)


def _run_blocks(rows: Rows, options: Options) -> Tally:
    """Copy, compute and put back one block after another."""

    def moved(array: Array | None) -> Any:
        return None if array is None else np.moveaxis(array, rows.axis, -1)

    x, y = moved(rows.logits), rows.labels
    if has_probabilities(rows.label_kind):
        y = moved(y)
    last = rows._replace(
        logits=x, axis=x.ndim - 1, labels=y, grad=moved(rows.grad), hess=moved(rows.hess)
    )
    options = options._replace(streaming=False)
    total, first = Tally(), 0
    for index in row_blocks(x.shape[:-1], x.shape[-1]):
        total = total.plus(_run_block(last, index, first, options), first)
        first += x[index].size // x.shape[-1]
    return total


def _run_block(rows: Rows, index: Index, first: int, options: Options) -> Tally:
    """Do so with one block, whose copies are gone when the next one is made."""
    classes = rows.logits.shape[-1]
    x = native_rows(rows.logits, index, classes)
    grad = None if rows.grad is None else np.empty_like(x)
    hess = None if rows.hess is None else np.empty_like(x)
    if has_probabilities(rows.label_kind):
        labels = native_rows(rows.labels, index, classes)
    else:
        labels = rows.labels[(*index, ...)]
    weight = rows.sample_weight
    if weight is not None:
        weight = weight._replace(array=weight.array[(*index, ...)])
    losses = None if rows.losses is None else rows.losses[first : first + len(x)]
    block = Rows(x, rows.kind, 1, labels, rows.label_kind, weight, grad, hess, losses)
    tally = run(block, options)
    for output, made in ((rows.grad, grad), (rows.hess, hess)):
        if output is not None and made is not None:
            output[index] = made.reshape(output[index].shape)
    return tally


def count(
    labels: Array, label_kind: int, classes: int, ignore_index: int,
    class_weight: Array | None, sample_weight: Weights | None, num_threads: int,
) -> Tally:  # fmt: skip
    """Read labels and weights alone: what a mean divides by, and whether all labels are good."""
    if has_probabilities(label_kind):
        n = labels.size // classes
        bad = -1 if are_weights(labels, label_kind, num_threads) else 0
        if sample_weight is None:
            return Tally(0.0, float(n), n, n, bad)
        return Tally(0.0, sample_weight.total, n, sample_weight.nonzero, bad)
    return Tally._make(
        _kernels.active.count_labels(
            labels, stored(labels, label_kind), classes, ignore_index, class_weight,
            *raw_weights(sample_weight), num_threads,
        )
    )  # fmt: skip
