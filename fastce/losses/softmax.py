"""Cross-entropy losses: loss and gradient in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict, overload

import numpy.typing as npt

from fastce._dispatch import softmax
from fastce._validation.dtypes import Array
from fastce._validation.scalars import Integer, Number

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
    return softmax.cross_entropy((
        logits, labels, class_weight, sample_weight, label_smoothing, z_loss, ignore_index, axis,
        reduction, normalizer, return_grad, grad_out, return_hess, num_threads,
        softmax.CROSS_ENTROPY, 0.0,
    ))  # fmt: skip
