"""Losses of independent binary problems, and the sigmoid: what their kernels are given."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, cast

import numpy as np

from fastce import _kernels
from fastce._dispatch import loss
from fastce._dispatch.blocks import BLOCK_ELEMENTS, Block, blocks_of, last
from fastce._dispatch.outcome import CHECKED
from fastce._dispatch.threads import threads_for
from fastce._validation.arrays import as_floats, without
from fastce._validation.dtypes import Array, native
from fastce._validation.labels import as_unit_labels, refuse_outside_unit
from fastce._validation.outputs import as_out
from fastce._validation.scalars import (
    as_axis,
    as_flag,
    as_normalizer,
    as_number,
    as_reduction,
)
from fastce._validation.weights import as_pos_weight, as_sample_weight, refuse_weights

LOGISTIC, BINARY, FOCAL = 0, 1, 3  # as in _kernels/elementwise/problem.pxd
NO_ALPHA = -1.0

# A gradient larger than this is written past the caches: the second level would not hold it anyway.
STREAMING_BYTES = 1 << 21
SIGMOID_STREAMING_BYTES = 1 << 23


def cross_entropy(given: tuple[Any, ...]) -> Any:
    """Return the loss and what else is asked for; the arguments are those of `Loss`."""
    done = _kernels.active.binary_losses(given, threads_for, STREAMING_BYTES)
    return done if type(done) is not int else loss.again(Loss(*given), done)


class Loss(NamedTuple):
    """The arguments of sigmoid_cross_entropy and binary_cross_entropy."""

    function: int
    inputs: Any
    labels: Any
    pos_weight: Any
    sample_weight: Any
    label_smoothing: Any
    eps: Any
    axis: Any
    reduction: Any
    normalizer: Any
    return_grad: Any
    grad_out: Any
    return_hess: Any
    num_threads: Any
    gamma: float = 0.0  # of the focal loss
    alpha: float = NO_ALPHA

    @property
    def class_weight(self) -> None:
        """Weights of classes, which these losses do not have."""

    @property
    def sums_check_labels(self) -> bool:
        """Whether labels are known to be good where their sums are known."""
        return False

    @property
    def longest(self) -> int:
        """How many elements of an item are computed at a time."""
        return BLOCK_ELEMENTS

    def run(self, known: int, divisor: float | None = None) -> Any:
        """Return what the kernels return."""
        return _kernels.active.binary_losses(self, threads_for, STREAMING_BYTES, known, divisor)

    def checked(self) -> Loss:
        """Return the arguments in the form that kernels read, or raise what is wrong with that."""
        name = "probs" if self.function == BINARY else "logits"
        x = as_floats(self.inputs, name)
        axis = None if self.axis is None else as_axis(self.axis, "axis", x.ndim, name)
        ratio, sw, out = self.pos_weight, self.sample_weight, self.grad_out
        beside = {"labels": self.labels, "sample_weight": sw, "pos_weight": ratio}
        return Loss(
            self.function,
            x,
            as_unit_labels(self.labels, x, name),
            None if ratio is None else as_pos_weight(ratio, x.shape),
            None if sw is None else as_sample_weight(sw, without(x.shape, axis)),
            as_number(self.label_smoothing, "label_smoothing", 0, 1, "in [0, 1]"),
            as_number(self.eps, "eps", 0, math.nextafter(0.5, 0), "in [0, 0.5)"),
            axis,
            as_reduction(self.reduction),
            as_normalizer(self.normalizer),
            as_flag(self.return_grad, "return_grad"),
            None if out is None else as_out(out, "grad_out", x, beside),
            as_flag(self.return_hess, "return_hess"),
            self.num_threads,
            self.gamma,
            self.alpha,
        )

    def refuse(self) -> None:
        """Raise for the first label, probability or weight that is refused."""
        for name in ("pos_weight", "sample_weight"):
            weights = getattr(self, name)
            if weights is not None:
                refuse_weights(weights, name)
        refuse_outside_unit(self.labels, "labels")
        if self.function == BINARY:
            refuse_outside_unit(self.inputs, "probs")

    def block(self, block: Block) -> Any:
        """Return the call for a block of items."""

        def part(array: Array) -> Array:
            return block.of(last(np.broadcast_to(array, self.inputs.shape), self.axis))

        items = without(self.inputs.shape, self.axis)
        ratio, weight = self.pos_weight, self.sample_weight
        return self._replace(
            inputs=part(self.inputs),
            labels=part(self.labels),
            pos_weight=part(ratio) if ratio is not None and ratio.ndim else ratio,
            sample_weight=None if weight is None else block.of_rows(np.broadcast_to(weight, items)),
            axis=1,
        )


def sigmoid(logits: Any, out: Any, num_threads: Any) -> Array:
    """Return the sigmoid of all elements."""
    run = _kernels.active.sigmoid
    done: Any = run(logits, out, num_threads, threads_for, SIGMOID_STREAMING_BYTES)
    if type(done) is not int:
        return cast("Array", done)
    x = as_floats(logits, "logits")
    target = None if out is None else as_out(out, "out", x, {})
    done = run(x, target, num_threads, threads_for, SIGMOID_STREAMING_BYTES, CHECKED)
    if type(done) is int:
        done = np.empty(x.shape, native(x.dtype)) if target is None else target
        for block in blocks_of(last(x, None).shape, 1):
            part = block.of(last(x, None))
            block.put(last(done, None), run(part, part, num_threads, threads_for, 1 << 62))
    return cast("Array", done if out is None else out)
