"""Cross-entropy losses: loss and gradient in one call."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, TypedDict, overload

import numpy as np
import numpy.typing as npt

from fastce import _kernels
from fastce._dispatch import reduction as reductions
from fastce._dispatch import softmax
from fastce._dispatch import threads as threading
from fastce._validation import arrays
from fastce._validation.arrays import Array
from fastce._validation.scalars import LARGEST, Integer, Number, as_flag, as_label, as_number

if TYPE_CHECKING:
    from typing_extensions import Unpack

    # The options on which it does not depend what is returned.
    class _Options(TypedDict, total=False):
        class_weight: npt.ArrayLike | None
        sample_weight: npt.ArrayLike | None
        normalizer: str | Number
        num_threads: Integer | None
        label_smoothing: Number
        z_loss: Number
        ignore_index: Integer
        axis: Integer


# A gradient larger than this is written past the caches: it would not stay there anyway.
STREAMING_BYTES = 1 << 23


def _probabilities(y: Array, x: Array) -> tuple[Array, int]:
    kind = arrays.logit_kind(y, "labels")
    if y.shape != x.shape:
        raise ValueError(
            f"labels of dtype {y.dtype} are probabilities and need the shape of the logits: "
            f"labels have {y.shape}, logits {x.shape}"
        )
    return y, kind


def _labels(labels: object, x: Array, axis: int, ignore_index: int) -> tuple[Array, int]:
    y = arrays.as_array(labels, "labels")
    rows = x.shape[:axis] + x.shape[axis + 1 :]
    known = arrays.LABEL_KINDS.get(y.dtype)
    if known is None or y.shape != rows:  # else nothing to convert: small calls count nanoseconds
        floating = y.dtype.kind == "f" or arrays.is_bfloat16(y.dtype)
        if floating and (y.size or not isinstance(labels, (list, tuple))):
            return _probabilities(y, x)
        y, known = arrays.as_labels(labels if y.size == 0 else y, rows, axis)
    if ignore_index == 2**63 - 1 and y.size and y.max() > ignore_index:
        _refuse_label(y, known, 0, x.shape[axis], axis, ignore_index)  # kernels saturate uint64
    return y, known


def _refuse_label(
    y: Array, kind: int, near: int, classes: int, axis: Integer, ignore_index: int
) -> None:
    """Name the first label from row `near` on that is no class, or the first bad probability."""
    if softmax.has_probabilities(kind):
        arrays.refuse_weights(y, "labels")
    for row in range(near, y.size):
        label = int(y.flat[row])
        if not 0 <= label < classes and label != ignore_index:
            at = tuple(int(k) for k in np.unravel_index(row, y.shape))
            raise ValueError(
                f"labels{arrays.place(at)} is {label}, but logits have {classes} classes "
                f"(axis {axis}) and ignore_index is {ignore_index}"
            )


@overload
def softmax_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: Literal[False] = ..., grad_out: None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> float: ...  # fmt: skip


@overload
def softmax_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: Literal[True], grad_out: Array | None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def softmax_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: bool = ..., grad_out: Array,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def softmax_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: Literal[False] = ..., grad_out: None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> Array: ...  # fmt: skip


@overload
def softmax_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: Literal[True], grad_out: Array | None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[Array, Array]: ...  # fmt: skip


@overload
def softmax_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: bool = ..., grad_out: Array,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[Array, Array]: ...  # fmt: skip


@overload
def softmax_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: str = ...,
    return_grad: bool = ..., grad_out: Array | None = ...,
    return_hess: bool = ..., **options: Unpack[_Options],
) -> Any: ...  # fmt: skip


def softmax_cross_entropy(
    logits: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    class_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    label_smoothing: Number = 0.0,
    z_loss: Number = 0.0,
    ignore_index: Integer = -100,
    axis: Integer = -1,
    reduction: str = "mean",
    normalizer: str | Number = "weight",
    return_grad: bool = False,
    grad_out: Array | None = None,
    return_hess: bool = False,
    num_threads: Integer | None = None,
) -> Any:
    r"""Softmax cross-entropy of logits against class labels, in nats, and its gradient.

    With :math:`\mathrm{lse} = \ln \sum_c e^{x_c}` and label :math:`y` the loss of a row is
    :math:`\mathrm{lse} - x_y`; options weigh, smooth and regularise it.

    Parameters
    ----------
    logits : array of float32, float64, float16 or bfloat16, shape (..., C, ...)
        Unnormalised log-probabilities; the classes lie along `axis`. Any layout.
    labels : array of integers, shape of `logits` without `axis`
        The class of each row, or `ignore_index`. An array of floating dtype and the shape of
        `logits` holds class probabilities instead (finite, not negative; rows need not sum to 1).
    class_weight : array of shape (C,), optional
        Factor of each class's term, finite and not negative.
    sample_weight : array that broadcasts to the shape of the rows, optional
        Factor of each row's loss. A row of weight 0 contributes exactly 0, whatever it holds.
    label_smoothing : float, default 0
        Share of the target that is spread evenly over the classes, in [0, 1].
    z_loss : float, default 0
        Adds ``z_loss * lse**2`` to each row's loss.
    ignore_index : int, default -100
        Rows with this label have loss 0, gradient 0 and no weight.
    axis : int, default -1
        The class axis of `logits`.
    reduction : {"mean", "sum", "none"}
        What is returned of the rows' losses.
    normalizer : {"weight", "valid", "all", "nonzero"} or a positive number
        What a mean divides by: the sum of ``sample_weight * class_weight[label]``, the number of
        rows that are not ignored, of all rows, of rows whose weight is not 0, or the number given.
    return_grad : bool, default False
        Whether the gradient with respect to the logits is returned as well.
    grad_out : ndarray, optional
        Where the gradient is written: of the shape and dtype of `logits`, native byte order; it may
        be `logits` itself. Implies `return_grad`.
    return_hess : bool, default False
        Whether the diagonal of the Hessian with respect to the logits is returned too, as last.
    num_threads : int, optional
        By default what the work deserves. The result has the same bits for every number.

    Returns
    -------
    loss : float, or array of the rows' shape for ``reduction="none"``
        An array has the dtype of the logits (float32 for half precision). An empty mean is NaN.
    grad : ndarray of the shape and dtype of `logits`
        With `return_grad` only: the gradient of the reduced loss, or of each row's own.
    hess : ndarray of the shape and dtype of `logits`
        With `return_hess` only: the second derivatives of the reduced loss, or of each row's own;
        for a plain label ``p * (1 - p)`` times the row's weight, in a mean over what it divides by.

    Raises
    ------
    ValueError
        For a label that is no class, shapes that do not match, weights or probabilities that are
        negative or not finite, options out of range, an unsuitable `grad_out`. Nothing has been
        written then.
    TypeError
        For dtypes that are not supported.

    Notes
    -----
    Error budget: losses and gradient entries within 2 ulp (4 for float64) or 1e-7 (4e-16) of the
    row's scale, and a small loss or gradient to a few ulp of its own size: no term cancels another.

    Examples
    --------
    >>> import numpy as np
    >>> import fastce
    >>> logits = np.array([[2.0, 1.0, 0.1], [0.5, 2.5, 0.0]])
    >>> labels = np.array([0, 1])
    >>> round(fastce.softmax_cross_entropy(logits, labels), 6)
    0.306882
    >>> loss, grad = fastce.softmax_cross_entropy(logits, labels, return_grad=True)
    >>> grad.round(4)
    array([[-0.1705,  0.1212,  0.0493],
           [ 0.0556, -0.0893,  0.0337]])
    """
    reductions.check(reduction, normalizer)
    smoothing = as_number(label_smoothing, "label_smoothing", 0, 1, "in [0, 1]")
    z = as_number(z_loss, "z_loss", 0, LARGEST, ">= 0 and finite")
    wants_grad = as_flag(return_grad, "return_grad")
    wants_hess = as_flag(return_hess, "return_hess")
    ignored = as_label(ignore_index, "ignore_index")
    if (
        type(logits) is np.ndarray
        and class_weight is sample_weight is None
        and type(axis) is int
        and axis == -1
        and reduction == "mean"
        and normalizer == "weight"
        and not wants_hess
    ):  # arrays that lie plainly need no more than this
        done = _kernels.active.plain_softmax_cross_entropy(
            logits, labels, grad_out, wants_grad, smoothing, z, ignored, STREAMING_BYTES,
            threading.threads_for(logits.size, num_threads),
        )  # fmt: skip
        if done is not None:
            return done
    x, kind = arrays.as_floats(logits, "logits")
    k = arrays.class_axis(x, axis)
    shape = x.shape[:k] + x.shape[k + 1 :]
    classes = x.shape[k]
    y, label_kind = _labels(labels, x, k, ignored)
    threads = threading.threads_for(x.size, num_threads)
    cw = sw = None
    if class_weight is not None:
        cw = arrays.as_class_weight(class_weight, "class_weight", (classes,))
    if sample_weight is not None:
        sw = arrays.as_weights(sample_weight, "sample_weight", shape, threads)
    grad = None
    if grad_out is not None:
        inputs: dict[str, object] = {
            "labels": labels,
            "class_weight": class_weight,
            "sample_weight": sample_weight,
        }
        grad = arrays.as_out(grad_out, "grad_out", x, inputs)
    elif wants_grad or wants_hess:
        grad = np.empty_like(x, dtype=arrays.native(x.dtype), subok=False)
    hess = np.empty_like(grad) if wants_hess and grad is not None else None
    losses = None
    if reduction == "none":
        losses = np.empty(shape, np.float64 if x.dtype.itemsize == 8 else np.float32)
    divisor = 1.0
    if grad is not None:
        counted = reductions.Tally()
        if grad_out is not None or reductions.needs_labels(reduction, normalizer):
            counted = softmax.count(y, label_kind, classes, ignored, cw, sw, threads)
            if counted.bad_row >= 0:
                _refuse_label(y, label_kind, counted.bad_row, classes, axis, ignored)
        d = reductions.denominator(normalizer, math.prod(shape), counted)
        divisor = reductions.gradient_divisor(reduction, d)
    streaming = grad is not None and grad.nbytes > STREAMING_BYTES and grad_out is not logits
    rows = softmax.Rows(
        x, kind, k, y, label_kind, sw, grad, hess, None if losses is None else losses.ravel()
    )
    options = softmax.Options(cw, smoothing, z, ignored, divisor, streaming, threads)
    tally = softmax.run(rows, options) if x.size else reductions.Tally()
    if tally.bad_row >= 0:
        _refuse_label(y, label_kind, tally.bad_row, classes, axis, ignored)
    d = reductions.denominator(normalizer, math.prod(shape), tally)
    loss = reductions.reduced(losses, tally.loss, reduction, d)
    if grad_out is not None:
        grad = grad_out
    elif not wants_grad:
        grad = None
    return reductions.result(loss, grad, hess)
