"""The softmax losses and activations: what their kernels are given."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np

from fastce import _kernels
from fastce._dispatch import loss
from fastce._dispatch.blocks import Block, blocks_of, last
from fastce._dispatch.outcome import CHECKED
from fastce._dispatch.threads import threads_for
from fastce._validation.arrays import as_floats, class_axis, without
from fastce._validation.dtypes import INTEGER_DTYPES, Array, is_float, losses_dtype, native
from fastce._validation.labels import as_class_labels, refuse_class_labels, refuse_swapped
from fastce._validation.outputs import as_out
from fastce._validation.scalars import (
    LARGEST,
    as_flag,
    as_label,
    as_normalizer,
    as_number,
    as_reduction,
)
from fastce._validation.weights import as_class_weight, as_sample_weight, refuse_weights

SOFTMAX, LOG_SOFTMAX, LOGSUMEXP = 1, 2, 3
CROSS_ENTROPY = 0  # the losses of _kernels/softmax/row_loss.pxd have the numbers from 1 on

# An output larger than this is written past the caches: it would not stay there anyway.
STREAMING_BYTES = 1 << 23


def cross_entropy(given: tuple[Any, ...]) -> Any:
    """Return the loss and what else is asked for; the arguments are those of `Loss`."""
    done = _kernels.active.softmax_cross_entropy(given, threads_for, STREAMING_BYTES)
    return done if type(done) is not int else loss.again(Loss(*given), done)


class Loss(NamedTuple):
    """The arguments of softmax_cross_entropy."""

    inputs: Any
    labels: Any
    class_weight: Any
    sample_weight: Any
    label_smoothing: Any
    z_loss: Any
    ignore_index: Any
    axis: Any
    reduction: Any
    normalizer: Any
    return_grad: Any
    grad_out: Any
    return_hess: Any
    num_threads: Any
    row_loss: int = CROSS_ENTROPY  # which function of the label's log-probability, and its number
    loss_parameter: float = 0.0

    @property
    def sums_check_labels(self) -> bool:
        """Whether labels are known to be good where their sums are known."""
        return True

    @property
    def longest(self) -> int:
        """How many elements of a row are computed at a time: all of them."""
        return int(self.inputs.shape[self.axis])

    def run(self, known: int, divisor: float | None = None) -> Any:
        """Return what the kernels return."""
        run = _kernels.active.softmax_cross_entropy
        return run(self, threads_for, STREAMING_BYTES, known, divisor)

    def checked(self) -> Loss:
        """Return the arguments in the form that kernels read, or raise what is wrong with that."""
        refuse_swapped(self.inputs, self.labels)
        x = as_floats(self.inputs, "logits")
        axis = class_axis(x, self.axis)
        ignore_index = as_label(self.ignore_index, "ignore_index")
        labels = as_class_labels(self.labels, x.shape, axis)
        if self.row_loss != CROSS_ENTROPY and is_float(labels.dtype):
            raise TypeError(
                f"labels has dtype {labels.dtype}, accepted are {INTEGER_DTYPES}: this loss is a "
                "function of one class's probability"
            )
        if ignore_index == 2**63 - 1 and labels.size and labels.dtype.kind == "u":
            refuse_class_labels(labels, x.shape[axis], axis, ignore_index)
        beside = {"class_weight": self.class_weight, "sample_weight": self.sample_weight}
        cw, sw, out = self.class_weight, self.sample_weight, self.grad_out
        return Loss(
            x,
            labels,
            None if cw is None else as_class_weight(cw, x.shape[axis]),
            None if sw is None else as_sample_weight(sw, without(x.shape, axis)),
            as_number(self.label_smoothing, "label_smoothing", 0, 1, "in [0, 1]"),
            as_number(self.z_loss, "z_loss", 0, LARGEST, ">= 0 and finite"),
            ignore_index,
            axis,
            as_reduction(self.reduction),
            as_normalizer(self.normalizer),
            as_flag(self.return_grad, "return_grad"),
            None if out is None else as_out(out, "grad_out", x, {"labels": self.labels, **beside}),
            as_flag(self.return_hess, "return_hess"),
            self.num_threads,
            self.row_loss,
            self.loss_parameter,
        )

    def refuse(self) -> None:
        """Raise for the first label or weight that is refused."""
        for name in ("class_weight", "sample_weight"):
            weights = getattr(self, name)
            if weights is not None:
                refuse_weights(weights, name)
        classes = self.inputs.shape[self.axis]
        refuse_class_labels(self.labels, classes, self.axis, self.ignore_index)

    def block(self, block: Block) -> Any:
        """Return the call for a block of rows."""
        rows = without(self.inputs.shape, self.axis)
        hard = not is_float(self.labels.dtype)
        labels = self.labels if hard else last(self.labels, self.axis)
        weight = self.sample_weight
        return self._replace(
            inputs=block.of(last(self.inputs, self.axis)),
            labels=block.of_rows(labels) if hard else block.of(labels),
            sample_weight=None if weight is None else block.of_rows(np.broadcast_to(weight, rows)),
            axis=1,
        )


def activation(output: int, logits: Any, axis: Any, out: Any, num_threads: Any) -> Array:
    """Return softmax, log_softmax or logsumexp of all rows."""
    given = output, logits, axis, out, num_threads
    done: Any = _kernels.active.activation(*given, threads_for, STREAMING_BYTES)
    return done if type(done) is not int else _again(*given)


def _again(output: int, logits: Any, axis: Any, out: Any, num_threads: Any) -> Array:
    """Return the same where the kernels did not take it as it was given."""
    x = as_floats(logits, "logits")
    k = class_axis(x, axis)
    like = x
    inputs: dict[str, object] = {}
    if output == LOGSUMEXP:
        like = np.broadcast_to(np.zeros((), losses_dtype(x.dtype)), without(x.shape, k))
        inputs = {"logits": x}
    target = None if out is None else as_out(out, "out", like, inputs)
    run = _kernels.active.activation
    done: Any = run(output, x, k, target, num_threads, threads_for, STREAMING_BYTES, CHECKED)
    if type(done) is int:
        if target is None:
            dtype = native(like.dtype)
            if output == LOGSUMEXP:
                target = np.empty(like.shape, dtype)
            else:
                target = np.empty_like(like, dtype, subok=False)
        _by_blocks(output, x, k, target, num_threads)
        done = target
    return cast("Array", done if out is None else out)


def _by_blocks(output: int, x: Array, axis: int, out: Array, num_threads: Any) -> None:
    """Copy, compute and put back one block after another."""
    x = last(x, axis)
    out = out[..., None] if output == LOGSUMEXP else last(out, axis)
    for block in blocks_of(x.shape, x.shape[-1]):
        part = _kernels.active.activation(
            output, block.of(x), 1, None, num_threads, threads_for, STREAMING_BYTES
        )
        block._replace(columns=slice(None)).put(out, part)
