"""The cross-entropy losses of `tf.losses`, TensorFlow 1's module (`tf.compat.v1.losses`).

Each takes the losses of its `tf.nn` namesake, multiplies them by `weights` and reduces them to
one float32 number, or to a float32 array with `Reduction.NONE`.

`weights` are a number, or an array of the same rank as the losses whose dimensions are 1 or equal
to theirs; they may be negative. A weight of 0 removes its loss, whatever that loss is.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastce.compat.tensorflow import nn
from fastce.compat.tensorflow._tensors import as_number, as_tensor, called, times, working_dtype

__all__ = [
    "Reduction",
    "log_loss",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "sparse_softmax_cross_entropy",
]


class Reduction:
    """How weighted losses become one number. A sum divided by zero gives 0.

    Attributes
    ----------
    NONE : str
        The weighted losses themselves.
    SUM : str
        Their sum.
    MEAN : str
        The sum divided by the sum of the weights.
    SUM_OVER_BATCH_SIZE : str
        The sum divided by the number of losses.
    SUM_BY_NONZERO_WEIGHTS, SUM_OVER_NONZERO_WEIGHTS : str
        The sum divided by the number of losses whose weight is not 0; the default.
    """

    NONE = "none"
    SUM = "weighted_sum"
    SUM_OVER_BATCH_SIZE = "weighted_sum_over_batch_size"
    MEAN = "weighted_mean"
    SUM_BY_NONZERO_WEIGHTS = "weighted_sum_by_nonzero_weights"
    SUM_OVER_NONZERO_WEIGHTS = SUM_BY_NONZERO_WEIGHTS

    @classmethod
    def all(cls) -> tuple[str, ...]:
        """Every reduction."""
        return (
            cls.NONE,
            cls.SUM,
            cls.MEAN,
            cls.SUM_OVER_BATCH_SIZE,
            cls.SUM_OVER_NONZERO_WEIGHTS,
            cls.SUM_BY_NONZERO_WEIGHTS,
        )

    @classmethod
    def validate(cls, key: str) -> None:
        """Raise a ValueError if `key` is no reduction."""
        if not isinstance(key, str) or key not in cls.all():
            raise ValueError(
                f"reduction is {key!r}, accepted are {', '.join(map(repr, cls.all()[:-1]))}"
            )


Loss = np.float32 | NDArray[np.float32]


def sigmoid_cross_entropy(
    multi_class_labels: ArrayLike,
    logits: ArrayLike,
    weights: ArrayLike = 1.0,
    label_smoothing: float = 0,
    scope: str | None = None,
    loss_collection: str | None = "losses",
    reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS,
) -> Loss:
    """Sigmoid cross-entropy, weighted per element and reduced.

    Parameters
    ----------
    multi_class_labels : array_like, shape of the logits
        Targets, usually in [0, 1]; any number is accepted.
    logits : array_like of floats, any shape
        Log-odds.
    weights : array_like, default 1.0
        A number, or weights that broadcast to the logits at the same rank.
    label_smoothing : float in [0, 1], default 0
        Targets become ``labels * (1 - label_smoothing) + 0.5 * label_smoothing``.
    scope, loss_collection : str, optional
        Ignored.
    reduction : str, default ``Reduction.SUM_BY_NONZERO_WEIGHTS``
        One of :class:`Reduction`.

    Returns
    -------
    float32, or ndarray of float32 in the shape of the logits
        Loss in nats; the array with ``Reduction.NONE``.

    Raises
    ------
    TypeError
        If the logits are not of a floating dtype that fastce supports.
    ValueError
        If shapes do not fit, or for an unknown reduction or a smoothing outside [0, 1].

    Examples
    --------
    >>> import fastce.compat.tensorflow as tf
    >>> labels, logits = [[1, 0, 1]], [[2.0, -1.0, 0.5]]
    >>> print(tf.losses.sigmoid_cross_entropy(labels, logits).round(6))
    0.304756
    >>> print(tf.losses.sigmoid_cross_entropy(labels, logits, weights=[[1.0, 1.0, 0.0]]).round(6))
    0.220095
    """
    x = as_tensor("logits", logits)
    z = as_tensor("multi_class_labels", multi_class_labels, working_dtype(x))
    smoothing = _smoothing(label_smoothing)
    with np.errstate(over="ignore", invalid="ignore"):
        z = z * (1 - smoothing) + smoothing / 2 if smoothing else z
    with called("multi_class_labels"):
        losses = nn.sigmoid_cross_entropy_with_logits(z, x)
    return _reduced(losses, weights, reduction)


def softmax_cross_entropy(
    onehot_labels: ArrayLike,
    logits: ArrayLike,
    weights: ArrayLike = 1.0,
    label_smoothing: float = 0,
    scope: str | None = None,
    loss_collection: str | None = "losses",
    reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS,
) -> Loss:
    """Softmax cross-entropy from one-hot labels or probabilities, weighted per row and reduced.

    Parameters
    ----------
    onehot_labels : array_like, shape of the logits
        Probability of each class of the last axis, at least 0 and finite; integers are cast.
    logits : array_like of floats, shape (..., C)
        Unnormalised log-probabilities.
    weights : array_like, default 1.0
        A number, or weights that broadcast to the rows at the same rank.
    label_smoothing : float in [0, 1], default 0
        Targets become ``labels * (1 - label_smoothing) + label_smoothing / C``.
    scope, loss_collection : str, optional
        Ignored.
    reduction : str, default ``Reduction.SUM_BY_NONZERO_WEIGHTS``
        One of :class:`Reduction`.

    Returns
    -------
    float32, or ndarray of float32 in the shape of the rows
        Loss in nats; the array with ``Reduction.NONE``.

    Raises
    ------
    TypeError
        If the logits are not of a floating dtype that fastce supports.
    ValueError
        If shapes do not fit, for negative labels, an unknown reduction or a smoothing outside
        [0, 1].

    Examples
    --------
    >>> import fastce.compat.tensorflow as tf
    >>> labels = [[0, 1, 0], [0, 0, 1]]
    >>> logits = [[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]]
    >>> loss = tf.losses.softmax_cross_entropy(
    ...     labels, logits, weights=[0.3, 0.7], label_smoothing=0.2
    ... )
    >>> print(loss.round(5))
    0.57618
    """
    x = as_tensor("logits", logits)
    q = as_tensor("onehot_labels", onehot_labels, working_dtype(x))
    smoothing = _smoothing(label_smoothing)
    with called("onehot_labels"):
        losses = nn.softmax_losses(q, x, -1, smoothing)
    return _reduced(losses, weights, reduction)


def sparse_softmax_cross_entropy(
    labels: ArrayLike,
    logits: ArrayLike,
    weights: ArrayLike = 1.0,
    scope: str | None = None,
    loss_collection: str | None = "losses",
    reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS,
) -> Loss:
    """Softmax cross-entropy from class indices, weighted per row and reduced.

    Parameters
    ----------
    labels : array_like of integers, shape of the logits without the last axis
        Class of each row, in [0, C). A last axis of length 1 too many is dropped, from the
        labels, the logits or the weights, as TensorFlow does.
    logits : array_like of floats, shape (..., C)
        Unnormalised log-probabilities.
    weights : array_like, default 1.0
        A number, or weights that broadcast to the labels at the same rank.
    scope, loss_collection : str, optional
        Ignored.
    reduction : str, default ``Reduction.SUM_BY_NONZERO_WEIGHTS``
        One of :class:`Reduction`.

    Returns
    -------
    float32, or ndarray of float32 in the shape of the labels
        Loss in nats; the array with ``Reduction.NONE``.

    Raises
    ------
    TypeError
        If the logits are not of a floating dtype that fastce supports, or labels no integers.
    ValueError
        If shapes do not fit, for a label outside [0, C) or an unknown reduction.

    Examples
    --------
    >>> import fastce.compat.tensorflow as tf
    >>> logits = [[2.0, -5.0, 0.5, -0.1], [0.0, 0.0, 1.9, 1.4]]
    >>> print(tf.losses.sparse_softmax_cross_entropy([0, 3], logits).round(6))
    0.72117
    """
    x = as_tensor("logits", logits)
    y = as_tensor("labels", labels)
    w = as_tensor("weights", weights)
    if x.ndim - y.ndim == 2 and x.shape[-1] == 1:
        x = x[..., 0]
    elif x.ndim == y.ndim and y.ndim and y.shape[-1] == 1:
        y = y[..., 0]
    if w.ndim == y.ndim + 1 and w.shape[-1] == 1:
        w = w[..., 0]
    return _reduced(nn.sparse_softmax_cross_entropy_with_logits(y, x), w, reduction)


def log_loss(
    labels: ArrayLike,
    predictions: ArrayLike,
    weights: ArrayLike = 1.0,
    epsilon: float = 1e-7,
    scope: str | None = None,
    loss_collection: str | None = "losses",
    reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS,
) -> Loss:
    """Binary cross-entropy of probabilities, weighted per element and reduced.

    ``-labels * log(p + epsilon) - (1 - labels) * log(1 - p + epsilon)``: the epsilon is added,
    so a perfect prediction has a loss of about ``-epsilon`` and not of 0.

    Parameters
    ----------
    labels : array_like, shape of the predictions
        Targets, usually in [0, 1]; any number is accepted.
    predictions : array_like, any shape
        Probabilities p; cast to float32.
    weights : array_like, default 1.0
        A number, or weights that broadcast to the predictions at the same rank.
    epsilon : float, default 1e-7
        Added inside the logarithms.
    scope, loss_collection : str, optional
        Ignored.
    reduction : str, default ``Reduction.SUM_BY_NONZERO_WEIGHTS``
        One of :class:`Reduction`.

    Returns
    -------
    float32, or ndarray of float32 in the shape of the predictions
        Loss in nats; the array with ``Reduction.NONE``.

    Raises
    ------
    ValueError
        If shapes do not fit or for an unknown reduction.

    See Also
    --------
    fastce.binary_cross_entropy : clips instead of adding an epsilon.

    Examples
    --------
    >>> import fastce.compat.tensorflow as tf
    >>> print(tf.losses.log_loss([1.0, 0.0, 1.0], [0.9, 0.2, 0.6]).round(6))
    0.279776
    """
    p = as_tensor("predictions", predictions, np.float32).astype(np.float64)
    z = as_tensor("labels", labels, np.float32).astype(np.float64)
    if z.shape != p.shape:
        raise ValueError(f"labels has shape {z.shape}, but predictions have {p.shape}")
    # An epsilon inside the logarithm is no clipping: fastce.binary_cross_entropy cannot say it.
    # In float64, 1 - p keeps the digits that decide the loss of a p next to 1.
    epsilon = as_number(epsilon, "epsilon", -math.inf, math.inf, "that is not NaN")
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        losses = -times(z, np.log(p + epsilon)) - times(1 - z, np.log(1 - p + epsilon))
    return _reduced(losses, weights, reduction)


def _smoothing(value: float) -> float:
    return as_number(value, "label_smoothing", 0, 1, "in [0, 1]")


def _reduced(losses: NDArray[Any], weights: ArrayLike, reduction: str) -> Loss:
    """Weigh the losses and reduce them."""
    Reduction.validate(reduction)
    w = as_tensor("weights", weights, np.float32)
    if w.ndim and (
        w.ndim != losses.ndim
        or any(n not in (1, m) for n, m in zip(w.shape, losses.shape, strict=True))
    ):
        raise ValueError(
            f"weights has shape {w.shape}, accepted are a number or, for losses of shape "
            f"{losses.shape}, as many dimensions, each of them 1 or the same"
        )
    w = np.broadcast_to(w, losses.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        weighted = times(w, losses.astype(np.float32))
        if reduction == Reduction.NONE:
            return weighted
        divisor = {
            Reduction.SUM: 1.0,
            Reduction.MEAN: w.sum(dtype=np.float64),
            Reduction.SUM_OVER_BATCH_SIZE: losses.size,
            Reduction.SUM_BY_NONZERO_WEIGHTS: np.count_nonzero(w),
        }[reduction]
        total = weighted.sum(dtype=np.float64)
        return np.float32(total / divisor if divisor else 0.0)
