"""logsumexp, log_softmax, softmax and sigmoid."""

from __future__ import annotations

import numpy.typing as npt

from fastce._dispatch import elementwise
from fastce._dispatch.softmax import LOG_SOFTMAX, LOGSUMEXP, SOFTMAX, activation
from fastce._validation.dtypes import Array
from fastce._validation.scalars import Integer


def logsumexp(
    logits: npt.ArrayLike,
    *,
    axis: Integer = -1,
    out: Array | None = None,
    num_threads: Integer | None = None,
) -> Array:
    """Logarithm of the sum of exponentials along an axis.

    Parameters
    ----------
    logits : array of float32, float64, float16 or bfloat16, shape (..., C, ...)
    axis : int, default -1
    out : ndarray of the shape of `logits` without `axis`, optional
        Of the dtype of the logits, float32 for half precision.
    num_threads : int, optional
        By default what the work deserves. The result has the same bits for every number.

    Returns
    -------
    ndarray
        ``-inf`` for a row that is all ``-inf``, ``+inf`` for one that holds ``+inf``.

    Raises
    ------
    ValueError
        For an axis that does not exist or has no classes, or an unsuitable `out`.
    TypeError
        For dtypes that are not supported.

    Notes
    -----
    Right within 2 ulp (4 for float64) or 1e-7 (4e-16).

    Examples
    --------
    >>> import fastce
    >>> fastce.logsumexp([[0.0, 0.0], [1.0, -1.0]]).round(6)
    array([0.693147, 1.126928])
    """
    return activation(LOGSUMEXP, logits, axis, out, num_threads)


def log_softmax(
    logits: npt.ArrayLike,
    *,
    axis: Integer = -1,
    out: Array | None = None,
    num_threads: Integer | None = None,
) -> Array:
    """Logarithm of the softmax along an axis: ``logits - logsumexp(logits)``.

    Parameters
    ----------
    logits : array of float32, float64, float16 or bfloat16, shape (..., C, ...)
    axis : int, default -1
    out : ndarray of the shape and dtype of `logits`, optional
        It may be `logits` itself.
    num_threads : int, optional
        By default what the work deserves. The result has the same bits for every number.

    Returns
    -------
    ndarray of the shape and dtype of `logits`
        NaN in rows that hold NaN or ``+inf`` or nothing but ``-inf``.

    Raises
    ------
    ValueError
        For an axis that does not exist or has no classes, or an unsuitable `out`.
    TypeError
        For dtypes that are not supported.

    Notes
    -----
    Right within 2 ulp (4 for float64) or 1e-7 (4e-16), and the small value of a clear winner to a
    few ulp of its own size.

    Examples
    --------
    >>> import fastce
    >>> fastce.log_softmax([50.0, 0.0])
    array([-1.92874985e-22, -5.00000000e+01])
    """
    return activation(LOG_SOFTMAX, logits, axis, out, num_threads)


def softmax(
    logits: npt.ArrayLike,
    *,
    axis: Integer = -1,
    out: Array | None = None,
    num_threads: Integer | None = None,
) -> Array:
    """Exponentials over their sum along an axis.

    Parameters
    ----------
    logits : array of float32, float64, float16 or bfloat16, shape (..., C, ...)
    axis : int, default -1
    out : ndarray of the shape and dtype of `logits`, optional
        It may be `logits` itself.
    num_threads : int, optional
        By default what the work deserves. The result has the same bits for every number.

    Returns
    -------
    ndarray of the shape and dtype of `logits`
        NaN in rows that hold NaN or ``+inf`` or nothing but ``-inf``.

    Raises
    ------
    ValueError
        For an axis that does not exist or has no classes, or an unsuitable `out`.
    TypeError
        For dtypes that are not supported.

    Notes
    -----
    Right within 2 ulp (4 for float64) or 1e-7 (4e-16).

    Examples
    --------
    >>> import fastce
    >>> fastce.softmax([[0.0, 0.0], [1.0, -1.0]]).round(4)
    array([[0.5   , 0.5   ],
           [0.8808, 0.1192]])
    """
    return activation(SOFTMAX, logits, axis, out, num_threads)


def sigmoid(
    logits: npt.ArrayLike, *, out: Array | None = None, num_threads: Integer | None = None
) -> Array:
    """Logistic function ``1 / (1 + exp(-logits))``.

    Parameters
    ----------
    logits : array of float32, float64, float16 or bfloat16, any shape
    out : ndarray of the shape and dtype of `logits`, optional
        It may be `logits` itself.
    num_threads : int, optional
        By default what the work deserves.

    Returns
    -------
    ndarray of the shape and dtype of `logits`

    Raises
    ------
    ValueError
        For an unsuitable `out`.
    TypeError
        For dtypes that are not supported.

    Notes
    -----
    Right within 2 ulp (4 for float64) or 1e-7 (4e-16).

    Examples
    --------
    >>> import fastce
    >>> fastce.sigmoid([0.0, 2.0]).round(4)
    array([0.5   , 0.8808])
    """
    return elementwise.sigmoid(logits, out, num_threads)
