"""Cross-entropy of independent binary problems: on logits (sigmoid) and on probabilities."""

from __future__ import annotations

import math
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from fastce import _arrays, _elementwise, _kernels, _reduction, _threads
from fastce._arguments import as_axis, as_flag, as_number
from fastce._arrays import Array, Weights
from fastce._elementwise import Elements, Options

# A gradient larger than this is written past the caches: the second level would not hold it anyway.
STREAMING_BYTES = 1 << 21


def _labels(labels: object, x: Array, name: str) -> tuple[Array, int, bool]:
    """Return the labels, the number of their dtype, and whether that alone keeps them in [0, 1]."""
    y = _arrays.as_array(labels, "labels")
    certain = y.dtype == np.bool_
    if certain:
        y = y.view(np.uint8)
    native = _arrays.native(y.dtype)
    kind = _arrays.LABEL_KINDS.get(native, _arrays.LOGIT_KINDS.get(native))
    if kind is None and _arrays.is_bfloat16(y.dtype):
        kind = _arrays.BFLOAT16
    if kind is None:
        raise TypeError(
            f"labels has dtype {y.dtype}, accepted are bool, integers and floating numbers"
        )
    if y.shape != x.shape:
        raise ValueError(f"labels has shape {y.shape}, but {name} have {x.shape}")
    return y, kind, certain


def _item_axis(x: Array, axis: int | None, name: str) -> int | None:
    if axis is None:
        return None
    return as_axis(axis, "axis", x.ndim, name)


def _refuse(x: Array, labels: Array, name: str) -> None:
    """Name the first label, or probability, outside [0, 1]."""
    at = _arrays.first_where(lambda part: ~((part >= 0) & (part <= 1)), labels)
    array, what = labels, "labels"
    if at is None and name != "logits":
        array, what = x, name
        at = _arrays.first_where(lambda part: (part < 0) | (part > 1), x)  # NaN is neither
    if at is not None:
        raise ValueError(
            f"{what}{_arrays.place(at)} is {array[at]}, accepted are numbers in [0, 1]"
        )


def _tally(items: int, sample_weight: Weights | None) -> _reduction.Tally:
    if sample_weight is None:
        return _reduction.Tally(0.0, float(items), items, items)
    return _reduction.Tally(0.0, sample_weight.total, items, sample_weight.nonzero)


def _pos_weight(value: object, x: Array) -> Array | None:
    if value is None:
        return None
    r = _arrays.as_array(value, "pos_weight")
    w = _arrays.as_class_weight(r, "pos_weight", r.shape).reshape(-1)
    if r.ndim and r.shape != x.shape[-1:]:
        per_class = f" or shape {x.shape[-1:]}, one for each class along the last axis"
        raise ValueError(
            f"pos_weight has shape {r.shape}, accepted is a number{per_class if x.ndim else ''}"
        )
    return w


def _loss(
    function: int, name: str, inputs: object, labels: object,
    pos_weight: object, sample_weight: object, label_smoothing: float, eps: float, axis: int | None,
    reduction: str, normalizer: str | float, return_grad: bool, grad_out: Array | None,
    return_hess: bool, num_threads: int | None,
) -> Any:  # fmt: skip
    """Both losses: check, choose, call."""
    _reduction.check(reduction, normalizer)
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
            _threads.threads_for(inputs.size, num_threads),
        )  # fmt: skip
        if done is not None:
            return done
    x, kind = _arrays.as_floats(inputs, name)
    k = _item_axis(x, axis, name)
    shape = x.shape if k is None else x.shape[:k] + x.shape[k + 1 :]
    y, label_kind, certain = _labels(labels, x, name)
    ratio = _pos_weight(pos_weight, x)
    threads = _threads.threads_for(x.size, num_threads)
    sw = None
    if sample_weight is not None:
        sw = _arrays.as_weights(sample_weight, "sample_weight", shape, threads)
    grad = None
    if grad_out is not None:
        others = {"labels": labels, "sample_weight": sample_weight, "pos_weight": pos_weight}
        grad = _arrays.as_out(grad_out, "grad_out", x, others)
    elif wants_grad or wants_hess:
        grad = np.empty(x.shape, dtype=_arrays.native(x.dtype))
    hess = np.empty_like(grad) if wants_hess and grad is not None else None
    losses = None
    if reduction == "none":
        losses = np.empty(shape, np.float64 if x.dtype.itemsize == 8 else np.float32)
    tally = _tally(math.prod(shape), sw)
    d = _reduction.denominator(normalizer, math.prod(shape), tally)
    streaming = grad is not None and grad.nbytes > STREAMING_BYTES and grad_out is not inputs
    options = Options(
        label_smoothing, eps, _reduction.gradient_divisor(reduction, d), streaming, threads
    )
    flat = None if losses is None else losses.reshape(-1)
    elements = Elements(function, x, kind, k, y, label_kind, sw, ratio, grad, hess, flat)
    total = 0.0
    if x.size:
        check = grad_out is not None and not (certain and function == _elementwise.LOGISTIC)
        if check:
            elements = elements._replace(hard=_kernels.active.label_memory(x.size))
        if check and not _elementwise.run(elements, options, check=True)[1]:
            _refuse(x, y, name)
        total, good = _elementwise.run(elements, options)
        if not good:
            _refuse(x, y, name)
    elif losses is not None:
        losses[...] = 0
    loss = _reduction.reduced(losses, total, reduction, d)
    if grad_out is not None:
        grad = grad_out
    elif not wants_grad:
        grad = None
    return _reduction.result(loss, grad, hess)


@overload
def sigmoid_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, pos_weight: npt.ArrayLike | None = ...,
    sample_weight: npt.ArrayLike | None = ..., label_smoothing: float = ..., axis: int | None = ...,
    reduction: Literal["sum", "mean"] = ..., normalizer: str | float = ...,
    return_grad: Literal[False] = ..., grad_out: None = ..., return_hess: Literal[False] = ...,
    num_threads: int | None = ...,
) -> float: ...  # fmt: skip


@overload
def sigmoid_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, pos_weight: npt.ArrayLike | None = ...,
    sample_weight: npt.ArrayLike | None = ..., label_smoothing: float = ..., axis: int | None = ...,
    reduction: Literal["sum", "mean"] = ..., normalizer: str | float = ...,
    return_grad: Literal[True], grad_out: Array | None = ..., return_hess: Literal[False] = ...,
    num_threads: int | None = ...,
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def sigmoid_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, pos_weight: npt.ArrayLike | None = ...,
    sample_weight: npt.ArrayLike | None = ..., label_smoothing: float = ..., axis: int | None = ...,
    reduction: str = ..., normalizer: str | float = ..., return_grad: bool = ...,
    grad_out: Array | None = ..., return_hess: bool = ..., num_threads: int | None = ...,
) -> Any: ...  # fmt: skip


def sigmoid_cross_entropy(
    logits: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    pos_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    label_smoothing: float = 0.0,
    axis: int | None = None,
    reduction: str = "mean",
    normalizer: str | float = "weight",
    return_grad: bool = False,
    grad_out: Array | None = None,
    return_hess: bool = False,
    num_threads: int | None = None,
) -> Any:
    r"""Cross-entropy of independent binary problems, in nats, and its gradient.

    With the smoothed label :math:`z' = (1-\varepsilon) z + \varepsilon/2` and the ratio :math:`r`
    the loss of an element is :math:`(1-z')\,\mathrm{softplus}(x) + r z'\,\mathrm{softplus}(-x)`.

    Parameters
    ----------
    logits : array of float32, float64, float16 or bfloat16, any shape
        Log-odds.
    labels : array of bool, integer or floating dtype, shape of `logits`
        Numbers in [0, 1].
    pos_weight : float, or array with one number per class along the last axis, optional
        Factor of the positive term.
    sample_weight : array that broadcasts to the shape of the items, optional
        Factor of each item's loss.
    label_smoothing : float, default 0
        In [0, 1].
    axis : int, optional
        The axis over which losses are summed to make an item; by default every element is an item.
    reduction, normalizer, return_grad, grad_out, return_hess, num_threads
        As for `softmax_cross_entropy`, of items instead of rows.

    Returns
    -------
    loss : float, or array of the items' shape for ``reduction="none"``
    grad : ndarray of the shape and dtype of `logits`
        With `return_grad` only.
    hess : ndarray of the shape and dtype of `logits`
        With `return_hess` only: the second derivatives of the reduced loss, or of each item's own.

    Raises
    ------
    ValueError
        For labels outside [0, 1], shapes that do not match, weights that are negative or not
        finite, options out of range, an unsuitable `grad_out`. Nothing has been written then.
    TypeError
        For dtypes that are not supported.

    Notes
    -----
    No term cancels another: losses and gradient entries are right within 2 ulp (4 for float64) or
    1e-7 (4e-16) of the item's scale. A term whose factor is 0 is 0, also at infinite logits.

    Examples
    --------
    >>> import numpy as np
    >>> import fastce
    >>> logits = np.array([[0.0, 2.0], [-1.0, 3.0]])
    >>> labels = np.array([[0, 1], [0, 1]])
    >>> fastce.sigmoid_cross_entropy(logits, labels, axis=-1, reduction="none").round(4)
    array([0.8201, 0.3618])
    """
    smoothing = as_number(label_smoothing, "label_smoothing", 0, 1, "in [0, 1]")
    return _loss(
        _elementwise.LOGISTIC, "logits", logits, labels, pos_weight, sample_weight, smoothing, 0.0,
        axis, reduction, normalizer, return_grad, grad_out, return_hess, num_threads,
    )  # fmt: skip


@overload
def binary_cross_entropy(
    probs: npt.ArrayLike, labels: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = ...,
    eps: float = ..., axis: int | None = ...,
    reduction: Literal["sum", "mean"] = ..., normalizer: str | float = ...,
    return_grad: Literal[False] = ..., grad_out: None = ...,
    num_threads: int | None = ...,
) -> float: ...  # fmt: skip


@overload
def binary_cross_entropy(
    probs: npt.ArrayLike, labels: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = ...,
    eps: float = ..., axis: int | None = ...,
    reduction: Literal["sum", "mean"] = ..., normalizer: str | float = ...,
    return_grad: Literal[True], grad_out: Array | None = ...,
    num_threads: int | None = ...,
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def binary_cross_entropy(
    probs: npt.ArrayLike, labels: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = ...,
    eps: float = ..., axis: int | None = ...,
    reduction: str = ..., normalizer: str | float = ..., return_grad: bool = ...,
    grad_out: Array | None = ..., num_threads: int | None = ...,
) -> Any: ...  # fmt: skip


def binary_cross_entropy(
    probs: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    eps: float = 0.0,
    axis: int | None = None,
    reduction: str = "mean",
    normalizer: str | float = "weight",
    return_grad: bool = False,
    grad_out: Array | None = None,
    num_threads: int | None = None,
) -> Any:
    r"""Binary cross-entropy of probabilities, in nats, and its gradient.

    The loss of an element is
    :math:`-(z \ln \max(p, \mathrm{eps}) + (1-z) \ln \max(1-p, \mathrm{eps}))`
    with :math:`0 \ln 0 = 0`.

    Parameters
    ----------
    probs : array of float32, float64, float16 or bfloat16, any shape
        Probabilities of the positive class, in [0, 1]; NaN makes its own item NaN.
    labels : array of bool, integer or floating dtype, shape of `probs`
        Numbers in [0, 1].
    sample_weight : array that broadcasts to the shape of the items, optional
        Factor of each item's loss.
    eps : float, default 0
        Probabilities below it count as it, in [0, 0.5).
    axis, reduction, normalizer, return_grad, grad_out, num_threads
        As for `sigmoid_cross_entropy`.

    Returns
    -------
    loss : float, or array of the items' shape for ``reduction="none"``
    grad : ndarray of the shape and dtype of `probs`
        With `return_grad` only: ``(1-z)/(1-p) - z/p``, a clipped term 0.

    Raises
    ------
    ValueError
        For labels or probabilities outside [0, 1] and as for `sigmoid_cross_entropy`.
    TypeError
        For dtypes that are not supported.

    Notes
    -----
    Results are right within 2 ulp (4 for float64) or 1e-7 (4e-16) of the item's scale.

    Examples
    --------
    >>> import fastce
    >>> round(fastce.binary_cross_entropy([0.9, 0.2], [1, 0]), 6)
    0.164252
    """
    clip = as_number(eps, "eps", 0, math.nextafter(0.5, 0), "in [0, 0.5)")
    return _loss(
        _elementwise.BINARY, "probs", probs, labels, None, sample_weight, 0.0, clip, axis,
        reduction, normalizer, return_grad, grad_out, False, num_threads,
    )  # fmt: skip
