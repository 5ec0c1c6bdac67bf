"""The activations of `tf.nn` that stand beside its losses, with their names and defaults."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

import fastce
from fastce.compat.tensorflow._tensors import as_tensor, either

__all__ = ["log_softmax", "sigmoid", "softmax"]


def softmax(
    logits: ArrayLike, axis: int | None = None, name: str | None = None, dim: int | None = None
) -> NDArray[Any]:
    """Exponentials over their sum along an axis.

    Parameters
    ----------
    logits : array_like of floats, at least one axis
    axis : int, optional
        By default the last.
    name : str, optional
        Ignored.
    dim : int, optional
        TensorFlow 1's name for `axis`; one of the two at a time.

    Returns
    -------
    ndarray, shape and dtype of the logits

    Raises
    ------
    TypeError, ValueError
        As :func:`fastce.softmax` does.

    Examples
    --------
    >>> import fastce.compat.tensorflow as tf
    >>> tf.nn.softmax([[0.0, 0.0], [1.0, -1.0]]).round(4)
    array([[0.5   , 0.5   ],
           [0.8808, 0.1192]], dtype=float32)
    """
    return fastce.softmax(as_tensor("logits", logits), axis=_axis(axis, dim))


def log_softmax(
    logits: ArrayLike, axis: int | None = None, name: str | None = None, dim: int | None = None
) -> NDArray[Any]:
    """Logarithm of the softmax along an axis; arguments and errors are those of `softmax`.

    Examples
    --------
    >>> import fastce.compat.tensorflow as tf
    >>> tf.nn.log_softmax([0.0, 0.0]).round(4)
    array([-0.6931, -0.6931], dtype=float32)
    """
    return fastce.log_softmax(as_tensor("logits", logits), axis=_axis(axis, dim))


def sigmoid(x: ArrayLike, name: str | None = None) -> NDArray[Any]:
    """Logistic function ``1 / (1 + exp(-x))``; `name` is ignored.

    Examples
    --------
    >>> import fastce.compat.tensorflow as tf
    >>> tf.sigmoid([0.0, 2.0]).round(4)
    array([0.5   , 0.8808], dtype=float32)
    """
    try:
        return fastce.sigmoid(as_tensor("x", x))
    except TypeError as error:  # which speaks of logits
        raise TypeError(str(error).replace("logits", "x", 1)) from error


def _axis(axis: int | None, dim: int | None) -> int:
    """Return the axis by either of its names; without one the last."""
    either("axis", axis, "dim", dim)
    given = dim if axis is None else axis
    return -1 if given is None else given
