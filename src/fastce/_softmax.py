"""From checked arguments to one kernel call, or one per block where the layout needs copies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastce import _kernels
from fastce._arrays import (
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
from fastce._blocks import native_rows, row_blocks
from fastce._reduction import Tally, exact_sum


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
    weight_sum, smoothing = float(w.classes), None
    if o.class_weight is not None and o.label_smoothing:
        weight_sum = exact_sum(o.class_weight)
        with np.errstate(under="ignore"):
            smoothing = o.class_weight * (o.label_smoothing / w.classes)
    half = rows.kind == BFLOAT16
    return Tally._make(
        _kernels.active.softmax_cross_entropy(
            raw(rows.logits) if half else rows.logits, rows.kind, *w,
            raw(y) if rows.label_kind == BFLOAT16 else y, stored(y, rows.label_kind),
            targets is not None, 0 if targets is None else targets.outer_stride,
            0 if targets is None else targets.class_stride, o.ignore_index,
            o.class_weight, smoothing, *raw_weights(rows.sample_weight),
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
    x = np.moveaxis(rows.logits, rows.axis, -1)
    grad = None if rows.grad is None else np.moveaxis(rows.grad, rows.axis, -1)
    hess = None if rows.hess is None else np.moveaxis(rows.hess, rows.axis, -1)
    dense = has_probabilities(rows.label_kind)
    y = np.moveaxis(rows.labels, rows.axis, -1) if dense else rows.labels
    classes = x.shape[-1]
    total, first = Tally(), 0
    for index in row_blocks(x.shape[:-1], classes):
        part = native_rows(x, index, classes)
        part_grad = None if grad is None else np.empty_like(part)
        part_hess = None if hess is None else np.empty_like(part)
        labels = native_rows(y, index, classes) if dense else y[(*index, ...)]
        weight = rows.sample_weight
        if weight is not None:
            weight = weight._replace(array=weight.array[(*index, ...)])
        block = Rows(
            part, rows.kind, 1, labels, rows.label_kind, weight, part_grad, part_hess,
            None if rows.losses is None else rows.losses[first : first + len(part)],
        )  # fmt: skip
        total = total.plus(run(block, options._replace(streaming=False)), first)
        if grad is not None and part_grad is not None:
            grad[index] = part_grad.reshape(grad[index].shape)
        if hess is not None and part_hess is not None:
            hess[index] = part_hess.reshape(hess[index].shape)
        first += len(part)
    return total


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
