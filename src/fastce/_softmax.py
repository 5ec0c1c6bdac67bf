"""From checked arguments to one kernel call, or one per block where the layout needs copies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastce import _kernels
from fastce._arrays import BFLOAT16, Array, Walk, label_stride, raw, same_walk, walk
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
    """The arrays of a call as the user has them; `sample_weight` and `losses` flat, a row each."""

    logits: Array
    kind: int
    axis: int
    labels: Array
    label_kind: int
    sample_weight: Array | None
    grad: Array | None
    hess: Array | None
    losses: Array | None


def _has_probabilities(label_kind: int) -> bool:
    return label_kind > 7


def _call(
    rows: Rows, w: Walk, labels: tuple[Array, int, int], grad: Walk | None, o: Options
) -> Tally:
    y, step, class_step = labels
    weight_sum, smoothing = float(w.classes), None
    if o.class_weight is not None and o.label_smoothing:
        weight_sum = exact_sum(o.class_weight)
        with np.errstate(under="ignore"):
            smoothing = o.class_weight * (o.label_smoothing / w.classes)
    half = rows.kind == BFLOAT16
    return Tally._make(
        _kernels.active.softmax_cross_entropy(
            raw(rows.logits) if half else rows.logits, rows.kind, *w,
            raw(y) if rows.label_kind == BFLOAT16 else y, rows.label_kind, step, class_step,
            o.ignore_index,
            o.class_weight, smoothing, rows.sample_weight, o.label_smoothing, weight_sum, o.z_loss,
            None if rows.grad is None else raw(rows.grad),
            0 if grad is None else grad.outer_stride, 0 if grad is None else grad.class_stride,
            None if rows.hess is None else raw(rows.hess), o.streaming, o.divisor, rows.losses,
            o.num_threads,
        )
    )  # fmt: skip


def _walked(rows: Rows, w: Walk) -> tuple[tuple[Array, int, int] | None, Walk | None, bool]:
    """Return the labels and the gradient as the logits are walked, and whether that can be done."""
    grad = None if rows.grad is None else same_walk(w, rows.grad, rows.axis)
    possible = grad is not None or rows.grad is None
    if rows.hess is not None:  # walked with the gradient's strides
        possible = possible and same_walk(w, rows.hess, rows.axis) == grad
    if not _has_probabilities(rows.label_kind):
        return (*label_stride(rows.labels), 0), grad, possible
    y = same_walk(w, rows.labels, rows.axis)
    if y is None:
        return None, grad, False
    return (rows.labels, y.outer_stride, y.class_stride), grad, possible


def run(rows: Rows, options: Options) -> Tally:
    """Compute losses and gradient of all rows; outputs are written, sums returned."""
    w = walk(rows.logits, rows.axis)
    if w is not None:
        labels, grad, possible = _walked(rows, w)
        if possible and labels is not None:
            return _call(rows, w, labels, grad, options)
    return _run_blocks(rows, options)


def _run_blocks(rows: Rows, options: Options) -> Tally:
    x = np.moveaxis(rows.logits, rows.axis, -1)
    grad = None if rows.grad is None else np.moveaxis(rows.grad, rows.axis, -1)
    hess = None if rows.hess is None else np.moveaxis(rows.hess, rows.axis, -1)
    dense = _has_probabilities(rows.label_kind)
    y = np.moveaxis(rows.labels, rows.axis, -1) if dense else rows.labels
    classes = x.shape[-1]
    total, first = Tally(), 0
    for index in row_blocks(x.shape[:-1], classes):
        part = native_rows(x, index, classes)
        span = slice(first, first + len(part))
        part_grad = None if grad is None else np.empty_like(part)
        part_hess = None if hess is None else np.empty_like(part)
        labels = native_rows(y, index, classes) if dense else np.ascontiguousarray(y[index]).ravel()
        block = Rows(
            part, rows.kind, 1, labels, rows.label_kind,
            None if rows.sample_weight is None else rows.sample_weight[span], part_grad, part_hess,
            None if rows.losses is None else rows.losses[span],
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
    class_weight: Array | None, sample_weight: Array | None, num_threads: int,
) -> Tally:  # fmt: skip
    """Read labels and weights alone: what a mean divides by, and whether every label is a class."""
    if _has_probabilities(label_kind):
        n = labels.size // classes
        if sample_weight is None:
            return Tally(0.0, float(n), n, n)
        total = exact_sum(sample_weight)
        return Tally(0.0, total, n, int(np.count_nonzero(sample_weight)))
    y, step = label_stride(labels)
    return Tally._make(
        _kernels.active.count_labels(
            y, label_kind, step, y.size, classes, ignore_index, class_weight, sample_weight,
            num_threads,
        )
    )  # fmt: skip
