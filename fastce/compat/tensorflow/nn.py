"""The cross-entropy losses of `tf.nn`: one loss per element or per row, never reduced.

Results have the dtype of the logits, as in TensorFlow; half precision is computed as float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import fastce
from fastce.compat.tensorflow._tensors import (
    as_tensor,
    check_shape,
    either,
    times,
    working_dtype,
)
from fastce.compat.tensorflow.activations import log_softmax, sigmoid, softmax

__all__ = [
    "log_softmax",
    "sigmoid",
    "sigmoid_cross_entropy_with_logits",
    "softmax",
    "softmax_cross_entropy_with_logits",
    "softmax_cross_entropy_with_logits_v2",
    "sparse_softmax_cross_entropy_with_logits",
    "weighted_cross_entropy_with_logits",
]


def softmax_cross_entropy_with_logits(
    labels: ArrayLike,
    logits: ArrayLike,
    axis: int = -1,
    name: str | None = None,
    dim: int | None = None,
) -> NDArray[Any]:
    """Softmax cross-entropy of each row, from class probabilities.

    ``sum_c labels_c * (logsumexp(logits) - logits_c)`` over the classes of `axis`.

    Parameters
    ----------
    labels : array_like, shape of the logits
        Probability of each class, at least 0 and finite; cast to the dtype of the logits, so
        one-hot integers are fine. Rows need not sum to 1.
    logits : array_like of floats, any shape
        Unnormalised log-probabilities.
    axis : int, default -1
        Axis of the classes.
    name : str, optional
        Ignored.
    dim : int, optional
        TensorFlow 1's name for `axis`; one of the two at a time.

    Returns
    -------
    ndarray, shape of the logits without `axis`, dtype of the logits
        Loss of each row, in nats.

    Raises
    ------
    TypeError, ValueError
        As :func:`fastce.softmax_cross_entropy` does for probability labels.

    Examples
    --------
    >>> import fastce.compat.tensorflow as tf
    >>> logits = [[4.0, 2.0, 1.0], [0.0, 5.0, 1.0]]
    >>> labels = [[1.0, 0.0, 0.0], [0.0, 0.8, 0.2]]
    >>> tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits).round(6)
    array([0.169846, 0.824745], dtype=float32)
    """
    either("axis", None if type(axis) is int and axis == -1 else axis, "dim", dim)
    x = as_tensor("logits", logits)
    q = as_tensor("labels", labels, working_dtype(x))
    return softmax_losses(q, x, axis if dim is None else dim, 0.0)


# TensorFlow 1.5's name for what is today without a suffix.
softmax_cross_entropy_with_logits_v2 = softmax_cross_entropy_with_logits


def softmax_losses(q: NDArray[Any], x: NDArray[Any], axis: int, smoothing: float) -> NDArray[Any]:
    """Return the loss of each row of logits and class probabilities of their dtype."""
    check_shape("labels", q, x)
    loss = fastce.softmax_cross_entropy(
        x, q, axis=axis, label_smoothing=smoothing, reduction="none"
    )
    return np.asarray(loss, dtype=x.dtype.newbyteorder("="))


def sparse_softmax_cross_entropy_with_logits(
    labels: ArrayLike, logits: ArrayLike, name: str | None = None
) -> NDArray[Any]:
    """Softmax cross-entropy of each row, from class indices.

    ``logsumexp(logits) - logits[label]`` over the classes of the last axis.

    Parameters
    ----------
    labels : array_like of integers, shape of the logits without the last axis
        Class of each row, in [0, C). No value is ignored: -100 is an error like any other.
    logits : array_like of floats, shape (..., C)
        Unnormalised log-probabilities.
    name : str, optional
        Ignored.

    Returns
    -------
    ndarray, shape of the labels, dtype of the logits
        Loss of each row, in nats.

    Raises
    ------
    TypeError
        If the logits are not of a floating dtype that fastce supports, or labels no integers.
    ValueError
        If shapes do not fit, or for a label outside [0, C).

    Examples
    --------
    >>> import fastce.compat.tensorflow as tf
    >>> logits = [[2.0, -5.0, 0.5, -0.1], [0.0, 0.0, 1.9, 1.4]]
    >>> tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[0, 3], logits=logits).round(5)
    array([0.29751, 1.14483], dtype=float32)
    """
    x = as_tensor("logits", logits)
    y = as_tensor("labels", labels)
    of_classes = y.ndim > 0 and y.shape == x.shape
    hint = ": one-hot rows are for softmax_cross_entropy" if of_classes else ""
    if y.dtype.kind not in "iu":  # what fastce itself takes for probabilities
        raise TypeError(f"labels has dtype {y.dtype}, accepted are integers{hint}")
    if of_classes:
        raise ValueError(f"labels has shape {y.shape}, accepted is {x.shape[:-1]}{hint}")
    if x.ndim and y.shape == x.shape[:-1]:  # no label is ignored here, not even -100
        outside = (y < 0) | (y >= x.shape[-1])
        if outside.any():
            at = np.unravel_index(outside.argmax(), y.shape)
            place = f"[{', '.join(map(str, at))}]" if at else ""
            raise ValueError(f"labels{place} is {y[at]}, but logits have {x.shape[-1]} classes")
    loss = fastce.softmax_cross_entropy(x, y, reduction="none")
    return np.asarray(loss, dtype=x.dtype.newbyteorder("="))


def sigmoid_cross_entropy_with_logits(
    labels: ArrayLike | None = None,
    logits: ArrayLike | None = None,
    name: str | None = None,
) -> NDArray[Any]:
    """Sigmoid cross-entropy of each element; nothing is summed.

    ``(1 - labels) * softplus(logits) + labels * softplus(-logits)``.

    Parameters
    ----------
    labels : array_like, shape of the logits
        Targets, usually in [0, 1]; any number is accepted. Cast to the dtype of the logits.
    logits : array_like of floats, any shape
        Log-odds.
    name : str, optional
        Ignored.

    Returns
    -------
    ndarray, shape and dtype of the logits
        Loss of each element, in nats.

    Raises
    ------
    TypeError
        If the logits are not of a floating dtype that fastce supports.
    ValueError
        If the shapes differ or an argument is missing.

    See Also
    --------
    fastce.sigmoid_cross_entropy : with ``axis=-1`` sums the losses of the last axis.

    Examples
    --------
    >>> import fastce.compat.tensorflow as tf
    >>> logits, labels = [1.0, -1.0, 0.0, 1.0], [0.0, 0.0, 0.5, 1.0]
    >>> tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits).round(6)
    array([1.313262, 0.313262, 0.693147, 0.313262], dtype=float32)
    """
    return weighted_cross_entropy_with_logits(labels, logits, 1.0)


def weighted_cross_entropy_with_logits(
    labels: ArrayLike | None = None,
    logits: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
    name: str | None = None,
    targets: ArrayLike | None = None,
) -> NDArray[Any]:
    """Sigmoid cross-entropy of each element with its positive part weighted.

    ``(1 - labels) * softplus(logits) + pos_weight * labels * softplus(-logits)``.

    Parameters
    ----------
    labels : array_like, shape of the logits
        Targets, usually in [0, 1]; any number is accepted. Cast to the dtype of the logits.
    logits : array_like of floats, any shape
        Log-odds.
    pos_weight : array_like
        Weight of the positive part, of any shape that broadcasts against the logits.
    name : str, optional
        Ignored.
    targets : array_like, optional
        TensorFlow 1's name for `labels`; one of the two at a time.

    Returns
    -------
    ndarray, shape of the logits and `pos_weight` broadcast, dtype of the logits
        Loss of each element, in nats.

    Raises
    ------
    TypeError
        If the logits are not of a floating dtype that fastce supports.
    ValueError
        If the shapes do not fit or an argument is missing.

    Examples
    --------
    >>> import fastce.compat.tensorflow as tf
    >>> tf.nn.weighted_cross_entropy_with_logits(
    ...     labels=[1.0, 0.5, 0.0], logits=[1.5, -0.1, -2.0], pos_weight=1.5
    ... ).round(6)
    array([0.30212 , 0.880496, 0.126928], dtype=float32)
    """
    either("labels", labels, "targets", targets)
    x = as_tensor("logits", logits)
    dtype = working_dtype(x)
    z = as_tensor("labels", labels if targets is None else targets, dtype)
    q = as_tensor("pos_weight", pos_weight, dtype)
    check_shape("labels", z, x)
    try:
        np.broadcast_shapes(q.shape, x.shape)
    except ValueError:
        raise ValueError(
            f"pos_weight has shape {q.shape}, which does not broadcast with logits of {x.shape}"
        ) from None

    ordinary = q.ndim == 0 and 0 <= q < np.inf and (z.size == 0 or (z.min() >= 0 and z.max() <= 1))
    if ordinary:
        loss = _sigmoid_loss(x, z, float(q))
    else:
        # TensorFlow takes any label and any weight. The loss is linear in both, so the losses
        # of the labels 0 and 1, which never cancel, give it.
        loss = times(1 - z, _sigmoid_loss(x, False)) + times(q * z, _sigmoid_loss(x, True))
    return np.asarray(loss, dtype=x.dtype.newbyteorder("="))


def _sigmoid_loss(x: NDArray[Any], label: ArrayLike, pos_weight: float = 1.0) -> NDArray[Any]:
    """Compute the loss of each element, for labels in [0, 1]."""
    labels = np.broadcast_to(label, x.shape)
    return np.asarray(
        fastce.sigmoid_cross_entropy(x, labels, pos_weight=pos_weight, reduction="none")
    )
