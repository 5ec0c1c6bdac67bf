"""Focal loss of independent binary problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy.typing as npt

from fastce._dispatch import elementwise
from fastce._validation.dtypes import Array
from fastce._validation.scalars import Integer, Number, as_number

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fastce.losses._options import LossOptions

    class _Options(LossOptions, total=False):
        alpha: Number | None
        gamma: Number
        axis: Integer | None


@overload
def sigmoid_focal_loss(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: Literal[False] = ..., grad_out: None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> float: ...  # fmt: skip


@overload
def sigmoid_focal_loss(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: Literal[True], grad_out: Array | None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def sigmoid_focal_loss(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: bool = ..., grad_out: Array,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def sigmoid_focal_loss(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: Literal[False] = ..., grad_out: None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> Array: ...  # fmt: skip


@overload
def sigmoid_focal_loss(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: Literal[True], grad_out: Array | None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[Array, Array]: ...  # fmt: skip


@overload
def sigmoid_focal_loss(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: bool = ..., grad_out: Array,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[Array, Array]: ...  # fmt: skip


@overload
def sigmoid_focal_loss(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: str = ...,
    return_grad: bool = ..., grad_out: Array | None = ...,
    return_hess: bool = ..., **options: Unpack[_Options],
) -> Any: ...  # fmt: skip


def sigmoid_focal_loss(
    logits: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    alpha: Number | None = None,
    gamma: Number = 2.0,
    sample_weight: npt.ArrayLike | None = None,
    axis: Integer | None = None,
    reduction: str = "mean",
    normalizer: str | Number = "weight",
    return_grad: bool = False,
    grad_out: Array | None = None,
    return_hess: bool = False,
    num_threads: Integer | None = None,
) -> Any:
    r"""Focal loss of independent binary problems, in nats, and its gradient.

    With the label :math:`z` and :math:`p = \mathrm{sigmoid}(x)`, the loss of an element is its
    sigmoid cross-entropy times :math:`(1 - p_t)^\gamma`, where :math:`p_t = z p + (1-z)(1-p)`, and
    times :math:`\alpha z + (1-\alpha)(1-z)` if `alpha` is given: torchvision's and optax's formula,
    also for labels between 0 and 1.

    Parameters
    ----------
    logits : array of float32, float64, float16 or bfloat16, any shape
        Log-odds.
    labels : array of bool, integers, or a dtype that logits may have, shape of `logits`
        Numbers in [0, 1].
    alpha : float, optional
        Factor of the positive class, in [0, 1]; that of the negative one is ``1 - alpha``.
    gamma : float, default 2
        The exponent, in [0, 1e6]; 0 is cross-entropy.
    sample_weight, axis, reduction, normalizer, return_grad, grad_out, num_threads
        As for `sigmoid_cross_entropy`.
    return_hess : bool, default False
        Whether the second derivatives are returned too, as last. They are exact, and so negative
        where the loss is not convex.

    Returns
    -------
    loss : float, or array of the items' shape for ``reduction="none"``
    grad : ndarray of the shape and dtype of `logits`
        With `return_grad` only.
    hess : ndarray of the shape and dtype of `logits`
        With `return_hess` only.

    Raises
    ------
    ValueError
        For `alpha` or `gamma` out of range and as for `sigmoid_cross_entropy`.
    TypeError
        For dtypes that are not supported.

    Notes
    -----
    Error budget: 2 ulp (4 for float64) or 1e-7 (4e-16) of the item's scale, and a small loss to a
    few ulp of its own size, ``1 + gamma`` times as many as for cross-entropy.

    References
    ----------
    .. [1] T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollar, "Focal loss for dense object
       detection", ICCV 2017.

    Examples
    --------
    >>> import fastce
    >>> round(fastce.sigmoid_focal_loss([2.0, -1.0], [1, 0], alpha=0.25), 6)
    0.008722
    """
    gamma = as_number(gamma, "gamma", 0, 1e6, "in [0, 1e6]")
    share = elementwise.NO_ALPHA
    if alpha is not None:
        share = as_number(alpha, "alpha", 0, 1, "in [0, 1], or None")
    return elementwise.cross_entropy((
        elementwise.FOCAL, logits, labels, None, sample_weight, 0.0, 0.0, axis,
        reduction, normalizer, return_grad, grad_out, return_hess, num_threads, gamma, share,
    ))  # fmt: skip
