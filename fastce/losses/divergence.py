"""Divergences between the softmaxes of two arrays of logits, for distillation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy.typing as npt

from fastce._dispatch.divergence import JENSEN_SHANNON, KULLBACK_LEIBLER, divergence
from fastce._validation.dtypes import Array
from fastce._validation.scalars import Integer, Number

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fastce.losses._options import LossOptions

    class _Options(LossOptions, total=False):
        temperature: Number
        axis: Integer


@overload
def kl_divergence(
    logits: npt.ArrayLike, reference_logits: npt.ArrayLike, *,
    reduction: Literal["sum", "mean"] = ...,
    return_grad: Literal[False] = ..., grad_out: None = ...,
    **options: Unpack[_Options],
) -> float: ...  # fmt: skip


@overload
def kl_divergence(
    logits: npt.ArrayLike, reference_logits: npt.ArrayLike, *,
    reduction: Literal["sum", "mean"] = ...,
    return_grad: Literal[True], grad_out: Array | None = ...,
    **options: Unpack[_Options],
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def kl_divergence(
    logits: npt.ArrayLike, reference_logits: npt.ArrayLike, *,
    reduction: Literal["sum", "mean"] = ...,
    return_grad: bool = ..., grad_out: Array,
    **options: Unpack[_Options],
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def kl_divergence(
    logits: npt.ArrayLike, reference_logits: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: Literal[False] = ..., grad_out: None = ...,
    **options: Unpack[_Options],
) -> Array: ...  # fmt: skip


@overload
def kl_divergence(
    logits: npt.ArrayLike, reference_logits: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: Literal[True], grad_out: Array | None = ...,
    **options: Unpack[_Options],
) -> tuple[Array, Array]: ...  # fmt: skip


@overload
def kl_divergence(
    logits: npt.ArrayLike, reference_logits: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: bool = ..., grad_out: Array,
    **options: Unpack[_Options],
) -> tuple[Array, Array]: ...  # fmt: skip


@overload
def kl_divergence(
    logits: npt.ArrayLike, reference_logits: npt.ArrayLike, *, reduction: str = ...,
    return_grad: bool = ..., grad_out: Array | None = ...,
    **options: Unpack[_Options],
) -> Any: ...  # fmt: skip


def kl_divergence(
    logits: npt.ArrayLike,
    reference_logits: npt.ArrayLike,
    *,
    temperature: Number = 1.0,
    sample_weight: npt.ArrayLike | None = None,
    axis: Integer = -1,
    reduction: str = "mean",
    normalizer: str | Number = "weight",
    return_grad: bool = False,
    grad_out: Array | None = None,
    num_threads: Integer | None = None,
) -> Any:
    r"""Kullback-Leibler divergence of a model from a reference, and its gradient.

    With :math:`q` and :math:`p` the softmaxes of `logits` and `reference_logits`, the loss of a row
    is :math:`\sum_c p_c \ln (p_c / q_c)`, KL(reference || model). Neither softmax is stored.


    Parameters
    ----------
    logits : array of float32, float64, float16 or bfloat16, shape (..., C, ...)
        Those of the model, whose gradient is taken.
    reference_logits : array of such a dtype, shape of `logits`
        Those of the reference, such as a teacher.
    temperature : float, default 1
        What both are divided by before the softmax, in [1e-6, 1e6].
    sample_weight, axis, reduction, normalizer, return_grad, grad_out, num_threads
        As for `softmax_cross_entropy`. A mean is one over rows, which PyTorch calls ``batchmean``.

    Returns
    -------
    loss : float, or array of the rows' shape for ``reduction="none"``
        In nats, never negative. NaN for a row with NaN, ``+inf`` or nothing but ``-inf``.
    grad : ndarray of the shape and dtype of `logits`
        With `return_grad` only: ``(q - p) / temperature`` times the row's weight.

    Raises
    ------
    ValueError
        For shapes that do not match, options out of range, an unsuitable `grad_out`.
    TypeError
        For dtypes that are not supported.

    Notes
    -----
    Every class's term is computed as a number that is not negative: nothing cancels, and models
    that nearly agree keep their digits. Right within 1e-6 (1e-14 for float64) of a row's
    divergence, or 1e-7 (4e-16) times one plus the largest :math:`|\ln (p_c / q_c)|` that counts.

    Examples
    --------
    >>> import fastce
    >>> round(fastce.kl_divergence([[2.0, 1.0, 0.1]], [[1.5, 1.0, 0.5]]), 6)
    0.05805
    """
    return divergence(
        KULLBACK_LEIBLER, logits, reference_logits, temperature, axis, sample_weight, reduction,
        normalizer, return_grad, grad_out, num_threads,
    )  # fmt: skip


@overload
def js_divergence(
    logits: npt.ArrayLike, reference_logits: npt.ArrayLike, *,
    reduction: Literal["sum", "mean"] = ...,
    return_grad: Literal[False] = ..., grad_out: None = ...,
    **options: Unpack[_Options],
) -> float: ...  # fmt: skip


@overload
def js_divergence(
    logits: npt.ArrayLike, reference_logits: npt.ArrayLike, *,
    reduction: Literal["sum", "mean"] = ...,
    return_grad: Literal[True], grad_out: Array | None = ...,
    **options: Unpack[_Options],
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def js_divergence(
    logits: npt.ArrayLike, reference_logits: npt.ArrayLike, *,
    reduction: Literal["sum", "mean"] = ...,
    return_grad: bool = ..., grad_out: Array,
    **options: Unpack[_Options],
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def js_divergence(
    logits: npt.ArrayLike, reference_logits: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: Literal[False] = ..., grad_out: None = ...,
    **options: Unpack[_Options],
) -> Array: ...  # fmt: skip


@overload
def js_divergence(
    logits: npt.ArrayLike, reference_logits: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: Literal[True], grad_out: Array | None = ...,
    **options: Unpack[_Options],
) -> tuple[Array, Array]: ...  # fmt: skip


@overload
def js_divergence(
    logits: npt.ArrayLike, reference_logits: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: bool = ..., grad_out: Array,
    **options: Unpack[_Options],
) -> tuple[Array, Array]: ...  # fmt: skip


@overload
def js_divergence(
    logits: npt.ArrayLike, reference_logits: npt.ArrayLike, *, reduction: str = ...,
    return_grad: bool = ..., grad_out: Array | None = ...,
    **options: Unpack[_Options],
) -> Any: ...  # fmt: skip


def js_divergence(
    logits: npt.ArrayLike,
    reference_logits: npt.ArrayLike,
    *,
    temperature: Number = 1.0,
    sample_weight: npt.ArrayLike | None = None,
    axis: Integer = -1,
    reduction: str = "mean",
    normalizer: str | Number = "weight",
    return_grad: bool = False,
    grad_out: Array | None = None,
    num_threads: Integer | None = None,
) -> Any:
    r"""Jensen-Shannon divergence between a model and a reference, and its gradient.

    With :math:`q` and :math:`p` the softmaxes of `logits` and `reference_logits` and :math:`m`
    their mean, the loss of a row is :math:`(\mathrm{KL}(p \| m) + \mathrm{KL}(q \| m)) / 2`,
    at most :math:`\ln 2`.


    Parameters
    ----------
    logits : array of float32, float64, float16 or bfloat16, shape (..., C, ...)
        Those of the model, whose gradient is taken.
    reference_logits : array of such a dtype, shape of `logits`
        Those of the reference, such as a teacher.
    temperature : float, default 1
        What both are divided by before the softmax, in [1e-6, 1e6].
    sample_weight, axis, reduction, normalizer, return_grad, grad_out, num_threads
        As for `softmax_cross_entropy`. A mean is one over rows, which PyTorch calls ``batchmean``.

    Returns
    -------
    loss : float, or array of the rows' shape for ``reduction="none"``
        In nats, never negative. NaN for a row with NaN, ``+inf`` or nothing but ``-inf``.
    grad : ndarray of the shape and dtype of `logits`
        With `return_grad` only: that of the first argument alone.

    Raises
    ------
    ValueError
        For shapes that do not match, options out of range, an unsuitable `grad_out`.
    TypeError
        For dtypes that are not supported.

    Notes
    -----
    Every class's term is computed as a number that is not negative. Right within 1e-6 (1e-14 for
    float64) of a row's divergence, or 1e-7 (4e-16).

    Examples
    --------
    >>> import fastce
    >>> round(fastce.js_divergence([[2.0, 1.0, 0.1]], [[1.5, 1.0, 0.5]]), 6)
    0.013786
    """
    return divergence(
        JENSEN_SHANNON, logits, reference_logits, temperature, axis, sample_weight, reduction,
        normalizer, return_grad, grad_out, num_threads,
    )  # fmt: skip
