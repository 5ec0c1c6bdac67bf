"""Taylor cross-entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy.typing as npt

from fastce._dispatch import softmax
from fastce._validation.dtypes import Array
from fastce._validation.scalars import Integer, Number, as_integer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fastce.losses._options import LabelOptions

    class _Options(LabelOptions, total=False):
        terms: Integer


TAYLOR = 4  # as in _kernels/softmax/row_loss.pxd


@overload
def taylor_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: Literal[False] = ..., grad_out: None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> float: ...  # fmt: skip


@overload
def taylor_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: Literal[True], grad_out: Array | None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def taylor_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: bool = ..., grad_out: Array,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def taylor_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: Literal[False] = ..., grad_out: None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> Array: ...  # fmt: skip


@overload
def taylor_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: Literal[True], grad_out: Array | None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[Array, Array]: ...  # fmt: skip


@overload
def taylor_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: bool = ..., grad_out: Array,
    return_hess: Literal[False] = ..., **options: Unpack[_Options],
) -> tuple[Array, Array]: ...  # fmt: skip


@overload
def taylor_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: str = ...,
    return_grad: bool = ..., grad_out: Array | None = ...,
    return_hess: bool = ..., **options: Unpack[_Options],
) -> Any: ...  # fmt: skip


def taylor_cross_entropy(
    logits: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    terms: Integer = 2,
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
    r"""Sum of the first terms of cross-entropy's series, for noisy labels, and its gradient.

    With the label's probability :math:`p`, a row's loss is
    :math:`\sum_{k=1}^{n} (1 - p)^k / k`. One term is :math:`1 - p`, all of them are cross-entropy.

    Parameters
    ----------
    logits : array of float32, float64, float16 or bfloat16, shape (..., C, ...)
        Unnormalised log-probabilities; the classes lie along `axis`. Any layout.
    labels : array of integers, shape of `logits` without `axis`
        The class of each row, or `ignore_index`.
    terms : int, default 2
        How many terms, from 1 to 1000.
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
        For `terms` out of range and as for `softmax_cross_entropy`.
    TypeError
        For dtypes that are not supported, and for labels that are probabilities.

    Notes
    -----
    Error budget as for `softmax_cross_entropy`, and so for the second derivatives: 2 ulp (4 for
    float64) or 1e-7 (4e-16) of the row's scale, and small values to a few ulp of their own size.

    References
    ----------
    .. [1] L. Feng et al., "Can cross entropy loss be robust to label noise?", IJCAI 2020.

    Examples
    --------
    >>> import fastce
    >>> round(fastce.taylor_cross_entropy([[2.0, 1.0, 0.1], [0.5, 2.5, 0.0]], [0, 1]), 6)
    0.296839
    """
    n = as_integer(terms, "terms", "an integer in [1, 1000]")
    if not 1 <= n <= 1000:
        raise ValueError(f"terms is {n}, accepted is an integer in [1, 1000]")
    return softmax.cross_entropy((
        logits, labels, class_weight, sample_weight, 0.0, 0.0, ignore_index, axis,
        reduction, normalizer, return_grad, grad_out, return_hess, num_threads,
        TAYLOR, float(n),
    ))  # fmt: skip
