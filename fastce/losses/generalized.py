"""Generalized cross-entropy."""

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
        q: Number


GENERALIZED = 3  # as in _kernels/softmax/row_loss.pxd


@overload
def generalized_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: Literal[False] = ..., grad_out: None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> float: ...  # fmt: skip


@overload
def generalized_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: Literal[True], grad_out: Array | None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def generalized_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: bool = ..., grad_out: Array,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def generalized_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: Literal[False] = ..., grad_out: None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> Array: ...  # fmt: skip


@overload
def generalized_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: Literal[True], grad_out: Array | None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[Array, Array]: ...  # fmt: skip


@overload
def generalized_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: bool = ..., grad_out: Array,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[Array, Array]: ...  # fmt: skip


@overload
def generalized_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: str = ...,
    return_grad: bool = ..., grad_out: Array | None = ...,
    return_hess: bool = ..., **options: Unpack[_Options],
) -> Any: ...  # fmt: skip


def generalized_cross_entropy(
    logits: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    q: Number = 0.7,
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
    r"""Loss between cross-entropy and the mean absolute error, for noisy labels; and its gradient.

    With the label's probability :math:`p`, a row's loss is :math:`(1 - p^q) / q`.

    Parameters
    ----------
    logits : array of float32, float64, float16 or bfloat16, shape (..., C, ...)
        Unnormalised log-probabilities; the classes lie along `axis`. Any layout.
    labels : array of integers, shape of `logits` without `axis`
        The class of each row, or `ignore_index`.
    q : float, default 0.7
        The exponent, in [0, 1]: 0 is cross-entropy, 1 is :math:`1 - p`.
    class_weight : array of shape (C,), optional
        Factor of each class's loss.
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
        For a `q` out of range and as for `softmax_cross_entropy`.
    TypeError
        For dtypes that are not supported, and for labels that are probabilities.

    Notes
    -----
    Error budget as for `softmax_cross_entropy`, and so for the second derivatives: 2 ulp (4 for
    float64) or 1e-7 (4e-16) of the row's scale, and small values to a few ulp of their own size.

    References
    ----------
    .. [1] Z. Zhang, M. Sabuncu, "Generalized cross entropy loss for training deep neural networks
       with noisy labels", NeurIPS 2018.

    Examples
    --------
    >>> import fastce
    >>> round(fastce.generalized_cross_entropy([[2.0, 1.0, 0.1], [0.5, 2.5, 0.0]], [0, 1]), 6)
    0.272732
    """
    q = as_number(q, "q", 0, 1, "in [0, 1]")
    return softmax.cross_entropy((
        logits, labels, class_weight, sample_weight, 0.0, 0.0, ignore_index, axis,
        reduction, normalizer, return_grad, grad_out, return_hess, num_threads,
        GENERALIZED if q else softmax.CROSS_ENTROPY, q,
    ))  # fmt: skip
