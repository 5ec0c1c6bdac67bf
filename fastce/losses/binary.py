"""Cross-entropy of independent binary problems: on logits (sigmoid) and on probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict, overload

import numpy.typing as npt

from fastce._dispatch import elementwise
from fastce._validation.dtypes import Array
from fastce._validation.scalars import Integer, Number

if TYPE_CHECKING:
    from typing_extensions import Unpack

    # The options on which it does not depend what is returned.
    class _Options(TypedDict, total=False):
        sample_weight: npt.ArrayLike | None
        normalizer: str | Number
        axis: Integer | None
        num_threads: Integer | None

    class _SigmoidOptions(_Options, total=False):
        pos_weight: npt.ArrayLike | None
        label_smoothing: Number

    class _BinaryOptions(_Options, total=False):
        eps: Number


@overload
def sigmoid_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: Literal[False] = ..., grad_out: None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_SigmoidOptions],
) -> float: ...  # fmt: skip


@overload
def sigmoid_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: Literal[True], grad_out: Array | None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_SigmoidOptions],
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def sigmoid_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: bool = ..., grad_out: Array,
    return_hess: Literal[False] = ..., **options: Unpack[_SigmoidOptions],
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def sigmoid_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: Literal[False] = ..., grad_out: None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_SigmoidOptions],
) -> Array: ...  # fmt: skip


@overload
def sigmoid_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: Literal[True], grad_out: Array | None = ...,
    return_hess: Literal[False] = ..., **options: Unpack[_SigmoidOptions],
) -> tuple[Array, Array]: ...  # fmt: skip


@overload
def sigmoid_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: bool = ..., grad_out: Array,
    return_hess: Literal[False] = ..., **options: Unpack[_SigmoidOptions],
) -> tuple[Array, Array]: ...  # fmt: skip


@overload
def sigmoid_cross_entropy(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: str = ...,
    return_grad: bool = ..., grad_out: Array | None = ...,
    return_hess: bool = ..., **options: Unpack[_SigmoidOptions],
) -> Any: ...  # fmt: skip


def sigmoid_cross_entropy(
    logits: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    pos_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    label_smoothing: Number = 0.0,
    axis: Integer | None = None,
    reduction: str = "mean",
    normalizer: str | Number = "weight",
    return_grad: bool = False,
    grad_out: Array | None = None,
    return_hess: bool = False,
    num_threads: Integer | None = None,
) -> Any:
    r"""Cross-entropy of independent binary problems, in nats, and its gradient.

    With the smoothed label :math:`z' = (1-\varepsilon) z + \varepsilon/2` and the ratio :math:`r`
    the loss of an element is :math:`(1-z')\,\mathrm{softplus}(x) + r z'\,\mathrm{softplus}(-x)`.

    Parameters
    ----------
    logits : array of float32, float64, float16 or bfloat16, any shape
        Log-odds.
    labels : array of bool, integers, or a dtype that logits may have, shape of `logits`
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
    return elementwise.cross_entropy((
        elementwise.LOGISTIC, logits, labels, pos_weight, sample_weight, label_smoothing, 0.0, axis,
        reduction, normalizer, return_grad, grad_out, return_hess, num_threads,
        0.0, elementwise.NO_ALPHA,
    ))  # fmt: skip


@overload
def binary_cross_entropy(
    probs: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: Literal[False] = ..., grad_out: None = ...,
    **options: Unpack[_BinaryOptions],
) -> float: ...  # fmt: skip


@overload
def binary_cross_entropy(
    probs: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: Literal[True], grad_out: Array | None = ...,
    **options: Unpack[_BinaryOptions],
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def binary_cross_entropy(
    probs: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["sum", "mean"] = ...,
    return_grad: bool = ..., grad_out: Array,
    **options: Unpack[_BinaryOptions],
) -> tuple[float, Array]: ...  # fmt: skip


@overload
def binary_cross_entropy(
    probs: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: Literal[False] = ..., grad_out: None = ...,
    **options: Unpack[_BinaryOptions],
) -> Array: ...  # fmt: skip


@overload
def binary_cross_entropy(
    probs: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: Literal[True], grad_out: Array | None = ...,
    **options: Unpack[_BinaryOptions],
) -> tuple[Array, Array]: ...  # fmt: skip


@overload
def binary_cross_entropy(
    probs: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: Literal["none"],
    return_grad: bool = ..., grad_out: Array,
    **options: Unpack[_BinaryOptions],
) -> tuple[Array, Array]: ...  # fmt: skip


@overload
def binary_cross_entropy(
    probs: npt.ArrayLike, labels: npt.ArrayLike, *, reduction: str = ...,
    return_grad: bool = ..., grad_out: Array | None = ...,
    **options: Unpack[_BinaryOptions],
) -> Any: ...  # fmt: skip


def binary_cross_entropy(
    probs: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    eps: Number = 0.0,
    axis: Integer | None = None,
    reduction: str = "mean",
    normalizer: str | Number = "weight",
    return_grad: bool = False,
    grad_out: Array | None = None,
    num_threads: Integer | None = None,
) -> Any:
    r"""Binary cross-entropy of probabilities, in nats, and its gradient.

    The loss of an element is
    :math:`-(z \ln \max(p, \mathrm{eps}) + (1-z) \ln \max(1-p, \mathrm{eps}))`
    with :math:`0 \ln 0 = 0`.

    Parameters
    ----------
    probs : array of float32, float64, float16 or bfloat16, any shape
        Probabilities of the positive class, in [0, 1]; NaN makes its own item NaN.
    labels : array of bool, integers, or a dtype that `probs` may have, shape of `probs`
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
    return elementwise.cross_entropy((
        elementwise.BINARY, probs, labels, None, sample_weight, 0.0, eps, axis,
        reduction, normalizer, return_grad, grad_out, False, num_threads,
        0.0, elementwise.NO_ALPHA,
    ))  # fmt: skip
