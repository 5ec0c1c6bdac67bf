"""Focal loss of classes that exclude each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy.typing as npt

from fastce._dispatch import softmax
from fastce._validation.dtypes import Array
from fastce._validation.scalars import Integer, Number, as_number

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fastce.losses._options import LabelOptions

    class _Options(LabelOptions, total=False):
        gamma: Number


FOCAL = 1  # as in _kernels/softmax/row_loss.pxd


@overload
def softmax_focal_loss(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: Literal[False] = ..., grad_out: None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> float: ...  # fmt: skip


@overload
def softmax_focal_loss(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: Literal[True], grad_out: Array | None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def softmax_focal_loss(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: bool = ..., grad_out: Array,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def softmax_focal_loss(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: Literal[False] = ..., grad_out: None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> Array: ...  # fmt: skip


@overload
def softmax_focal_loss(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: Literal[True], grad_out: Array | None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[Array, Array]: ...  # fmt: skip


@overload
def softmax_focal_loss(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: bool = ..., grad_out: Array,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[Array, Array]: ...  # fmt: skip


@overload
def softmax_focal_loss(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: str = ...,
    return_grad: bool = ..., grad_out: Array | None = ...,
    return_hess: bool = ..., **options: Unpack[_Options],
) -> Any: ...  # fmt: skip


def softmax_focal_loss(
    logits: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    gamma: Number = 2.0,
    class_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: Integer = -100,
    axis: Integer = -1,
    reduction: str = "mean",
    normalizer: str | Number = "weight",
    return_grad: bool = False,
    grad_out: Array | None = None,
    return_hess: bool = False,
    num_threads: Integer | None = None,
) -> Any:
    r"""Focal loss of logits against class labels, in nats, and its gradient.

    With the label's probability :math:`p`, a row's loss is :math:`-(1 - p)^\gamma \ln p`:
    rows that are right already count less.

    Parameters
    ----------
    logits : array of float32, float64, float16 or bfloat16, shape (..., C, ...)
        Unnormalised log-probabilities; the classes lie along `axis`. Any layout.
    labels : array of integers, shape of `logits` without `axis`
        The class of each row, or `ignore_index`.
    gamma : float, default 2
        The exponent, in [0, 1e6]; 0 is cross-entropy.
    class_weight : array of shape (C,), optional
        Factor of each class's loss, which papers call alpha.
    sample_weight, ignore_index, axis, reduction, normalizer, return_grad, grad_out, num_threads
        As for `softmax_cross_entropy`.
    return_hess : bool, default False
        Whether the diagonal of the Hessian is returned too, as last. It is exact, and so
        negative where the loss is not convex.

    Returns
    -------
    loss : float, or array of the rows' shape for ``reduction="none"``
        An array has the dtype of the logits (float32 for half precision). An empty mean is NaN.
    grad : ndarray of the shape and dtype of `logits`
        With `return_grad` only.
    hess : ndarray of the shape and dtype of `logits`
        With `return_hess` only.

    Raises
    ------
    ValueError
        For `gamma` out of range and as for `softmax_cross_entropy`.
    TypeError
        For dtypes that are not supported, and for labels that are probabilities.

    Notes
    -----
    Error budget as for `softmax_cross_entropy`: 2 ulp (4 for float64) or 1e-7 (4e-16) of the row's
    scale, and a small loss or gradient to a few ulp of its own size, `1 + gamma` times as many as
    for cross-entropy. :math:`1 - p` is a sum, not a difference, and ``gamma < 1`` gives no NaN.

    References
    ----------
    .. [1] T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollar, "Focal loss for dense object
       detection", ICCV 2017.

    Examples
    --------
    >>> import fastce
    >>> logits, labels = [[2.0, 1.0, 0.1], [0.5, 2.5, 0.0]], [0, 1]
    >>> round(fastce.softmax_focal_loss(logits, labels), 6)
    0.027384
    """
    gamma = as_number(gamma, "gamma", 0, 1e6, "in [0, 1e6]")
    return softmax.cross_entropy((
        logits, labels, class_weight, sample_weight, 0.0, 0.0, ignore_index, axis,
        reduction, normalizer, return_grad, grad_out, return_hess, num_threads,
        FOCAL, gamma,
    ))  # fmt: skip
