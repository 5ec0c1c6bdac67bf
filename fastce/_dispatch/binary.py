"""What both binary losses do: from arguments as they are given to kernel calls."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastce import _kernels
from fastce._dispatch import elementwise
from fastce._dispatch import reduction as reductions
from fastce._dispatch import threads as threading
from fastce._dispatch.elementwise import Elements, Options
from fastce._validation import arrays
from fastce._validation.arrays import Array, Weights
from fastce._validation.scalars import Integer, Number, as_axis, as_flag

# A gradient larger than this is written past the caches: the second level would not hold it anyway.
STREAMING_BYTES = 1 << 21


def _labels(labels: object, x: Array, name: str) -> tuple[Array, int, bool]:
    """Return the labels, the number of their dtype, and whether that alone keeps them in [0, 1]."""
    y = arrays.as_array(labels, "labels")
    certain = y.dtype == np.bool_
    if certain:
        y = y.view(np.uint8)
    native = arrays.native(y.dtype)
    kind = arrays.LABEL_KINDS.get(native, arrays.LOGIT_KINDS.get(native))
    if kind is None and arrays.is_bfloat16(y.dtype):
        kind = arrays.BFLOAT16
    if kind is None:
        raise TypeError(
            f"labels has dtype {y.dtype}, accepted are bool, {arrays.INTEGER_DTYPES}, "
            + arrays.LOGIT_DTYPES
        )
    if y.shape != x.shape:
        raise ValueError(f"labels has shape {y.shape}, but {name} have {x.shape}")
    return y, kind, certain


def _item_axis(x: Array, axis: Integer | None, name: str) -> int | None:
    if axis is None:
        return None
    return as_axis(axis, "axis", x.ndim, name)


def _refuse(x: Array, labels: Array, name: str) -> None:
    """Name the first label, or probability, outside [0, 1]."""
    at = arrays.first_where(lambda part: ~((part >= 0) & (part <= 1)), labels)
    array, what = labels, "labels"
    if at is None and name != "logits":
        array, what = x, name
        at = arrays.first_where(lambda part: (part < 0) | (part > 1), x)  # NaN is neither
    if at is not None:
        raise ValueError(f"{what}{arrays.place(at)} is {array[at]}, accepted are numbers in [0, 1]")


def _tally(items: int, sample_weight: Weights | None) -> reductions.Tally:
    if sample_weight is None:
        return reductions.Tally(0.0, float(items), items, items)
    return reductions.Tally(0.0, sample_weight.total, items, sample_weight.nonzero)


def _pos_weight(value: object, x: Array) -> Array | None:
    if value is None:
        return None
    r = arrays.as_array(value, "pos_weight")
    w = arrays.as_class_weight(r, "pos_weight", r.shape).reshape(-1)
    if r.ndim and r.shape != x.shape[-1:]:
        per_class = f" or shape {x.shape[-1:]}, one for each class along the last axis"
        raise ValueError(
            f"pos_weight has shape {r.shape}, accepted is a number{per_class if x.ndim else ''}"
        )
    return w


def cross_entropy(
    function: int, name: str, inputs: object, labels: object,
    pos_weight: object, sample_weight: object, label_smoothing: float, eps: float,
    axis: Integer | None, reduction: str, normalizer: str | Number, return_grad: bool,
    grad_out: Array | None, return_hess: bool, num_threads: Integer | None,
) -> Any:  # fmt: skip
    """Check, choose, call."""
    reductions.check(reduction, normalizer)
    wants_grad = as_flag(return_grad, "return_grad")
    wants_hess = as_flag(return_hess, "return_hess")
    if (
        type(inputs) is np.ndarray
        and pos_weight is sample_weight is axis is None
        and reduction == "mean"
        and normalizer == "weight"
        and not wants_hess
    ):  # arrays that lie plainly need no more than this
        done = _kernels.active.plain_elementwise(
            function, inputs, labels, grad_out, wants_grad, label_smoothing, eps, STREAMING_BYTES,
            threading.threads_for(inputs.size, num_threads),
        )  # fmt: skip
        if done is not None:
            return done
    x, kind = arrays.as_floats(inputs, name)
    k = _item_axis(x, axis, name)
    shape = x.shape if k is None else x.shape[:k] + x.shape[k + 1 :]
    y, label_kind, certain = _labels(labels, x, name)
    ratio = _pos_weight(pos_weight, x)
    threads = threading.threads_for(x.size, num_threads)
    sw = None
    if sample_weight is not None:
        sw = arrays.as_weights(sample_weight, "sample_weight", shape, threads)
    grad = None
    if grad_out is not None:
        others = {"labels": labels, "sample_weight": sample_weight, "pos_weight": pos_weight}
        grad = arrays.as_out(grad_out, "grad_out", x, others)
    elif wants_grad or wants_hess:
        grad = np.empty(x.shape, dtype=arrays.native(x.dtype))
    hess = np.empty_like(grad) if wants_hess and grad is not None else None
    losses = None
    if reduction == "none":
        losses = np.empty(shape, np.float64 if x.dtype.itemsize == 8 else np.float32)
    tally = _tally(math.prod(shape), sw)
    d = reductions.denominator(normalizer, math.prod(shape), tally)
    streaming = grad is not None and grad.nbytes > STREAMING_BYTES and grad_out is not inputs
    options = Options(
        label_smoothing, eps, reductions.gradient_divisor(reduction, d), streaming, threads
    )
    flat = None if losses is None else losses.reshape(-1)
    elements = Elements(function, x, kind, k, y, label_kind, sw, ratio, grad, hess, flat)
    total = 0.0
    if x.size:
        check = grad_out is not None and not (certain and function == elementwise.LOGISTIC)
        if check:
            elements = elements._replace(hard=_kernels.active.label_memory(x.size))
        if check and not elementwise.run(elements, options, check=True)[1]:
            _refuse(x, y, name)
        total, good = elementwise.run(elements, options)
        if not good:
            _refuse(x, y, name)
    elif losses is not None:
        losses[...] = 0
    loss = reductions.reduced(losses, total, reduction, d)
    if grad_out is not None:
        grad = grad_out
    elif not wants_grad:
        grad = None
    return reductions.result(loss, grad, hess)
