"""logsumexp, log_softmax, softmax and sigmoid."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fastce import _kernels
from fastce._dispatch import elementwise
from fastce._dispatch import threads as threading
from fastce._dispatch.blocks import native_rows, row_blocks
from fastce._validation import arrays
from fastce._validation.arrays import Array, raw, same_walk, walk
from fastce._validation.scalars import Integer

SOFTMAX, LOG_SOFTMAX, LOGSUMEXP = 1, 2, 3

# An output larger than this is written past the caches: it would not stay there anyway.
STREAMING_BYTES = 1 << 23


def _run(
    output: int, x: Array, kind: int, axis: int, out: Array, streaming: bool, threads: int
) -> None:
    """Compute all rows in one kernel call, or block by block where the layout needs copies."""
    w = walk(x, axis)
    o = w if w is None or output == LOGSUMEXP else same_walk(w, out, axis)
    if w is not None and o is not None:
        _kernels.active.activation(
            output, raw(x), kind, *w, raw(out), o.outer_stride, o.class_stride, streaming, threads
        )
        return
    moved = np.moveaxis(x, axis, -1)
    target = out if output == LOGSUMEXP else np.moveaxis(out, axis, -1)
    classes, first = moved.shape[-1], 0
    for index in row_blocks(moved.shape[:-1], classes):
        part = native_rows(moved, index, classes)
        if output == LOGSUMEXP:
            _run(output, part, kind, 1, target[first : first + len(part)], False, threads)
        else:
            _run(output, part, kind, 1, part, False, threads)
            target[index] = part.reshape(target[index].shape)
        first += len(part)


def _activation(
    output: int,
    logits: npt.ArrayLike,
    axis: Integer,
    out: Array | None,
    num_threads: Integer | None,
) -> Array:
    if output != LOGSUMEXP and type(logits) is np.ndarray and type(axis) is int and axis == -1:
        done = _kernels.active.plain_activation(
            output, logits, out, STREAMING_BYTES, threading.threads_for(logits.size, num_threads)
        )
        if done is not None:
            return done
    x, kind = arrays.as_floats(logits, "logits")
    k = arrays.class_axis(x, axis)
    threads = threading.threads_for(x.size, num_threads)
    if output == LOGSUMEXP:
        shape = x.shape[:k] + x.shape[k + 1 :]
        dtype = np.float64 if x.dtype.itemsize == 8 else np.float32
        like = np.broadcast_to(np.zeros((), dtype), shape)
    else:
        like = x
    if out is not None:
        result = arrays.as_out(out, "out", like, {} if like is x else {"logits": x})
    elif like is x:
        out = result = np.empty_like(x, dtype=arrays.native(x.dtype))
    else:
        out = result = np.empty(shape, dtype)
    if x.size == 0:
        return out
    if output == LOGSUMEXP:
        direct = result.flags.c_contiguous and result.flags.aligned
        flat = result.reshape(-1) if direct else np.empty(math.prod(shape), dtype)
        _run(output, x, kind, k, flat, False, threads)
        if not direct:
            result[...] = flat.reshape(shape)
    else:
        streaming = result.nbytes > STREAMING_BYTES and out is not logits
        _run(output, x, kind, k, result, streaming, threads)
    return out


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
    return _activation(LOGSUMEXP, logits, axis, out, num_threads)


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
    return _activation(LOG_SOFTMAX, logits, axis, out, num_threads)


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
    return _activation(SOFTMAX, logits, axis, out, num_threads)


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
    if type(logits) is np.ndarray:
        done: Array | None = _kernels.active.plain_elementwise(
            elementwise.SIGMOID, logits, None, out, True, 0.0, 0.0, STREAMING_BYTES,
            threading.threads_for(logits.size, num_threads),
        )  # fmt: skip
        if done is not None:
            return done
    x, kind = arrays.as_floats(logits, "logits")
    threads = threading.threads_for(x.size, num_threads)
    if out is None:
        out = result = np.empty(x.shape, dtype=arrays.native(x.dtype))
    else:
        result = arrays.as_out(out, "out", x, {})
    streaming = out.nbytes > STREAMING_BYTES and out is not logits
    options = elementwise.Options(0.0, 0.0, 1.0, streaming, threads)
    elements = elementwise.Elements(
        elementwise.SIGMOID, x, kind, None, None, 0, None, None, result, None, None
    )
    if x.size:
        elementwise.run(elements, options)
    return out
