"""Class weights from class counts.

Counting is the only part that meets large data, so it streams: labels may be a memory map of any
size. The weights themselves are a handful of numbers; they are float64 throughout.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastce._validation.arrays import as_array, place
from fastce._validation.scalars import LARGEST, Integer, Number, as_flag, as_integer, as_number

__all__ = ["class_counts", "class_weights"]

Method = Literal["log", "balanced", "inverse", "effective", "median"]

# Labels counted at a time: 1 MB once they are the int64 that bincount works on.
_BLOCK = 1 << 17


def class_counts(
    labels: ArrayLike, n_classes: Integer, *, ignore_index: Integer = -100
) -> NDArray[np.int64]:
    """Count how often each class occurs.

    Labels are read in blocks of about 1 MB and in the order in which they lie in memory, so a
    memory map larger than the machine's memory is fine.

    Parameters
    ----------
    labels : array_like of integers, any shape
        Class of each item, of any integer dtype, byte order and layout.
    n_classes : int
        Number of classes C, at least 1.
    ignore_index : int, default -100
        Labels of this value are not counted, whether or not it lies in [0, C).

    Returns
    -------
    ndarray of int64, shape (n_classes,)
        Number of labels of each class.

    Raises
    ------
    TypeError
        If the labels are not integers (booleans are not).
    ValueError
        If ``n_classes < 1``, or if a label lies outside [0, C) and is not `ignore_index`; the
        message names its index and its value.

    Examples
    --------
    >>> import numpy as np
    >>> from fastce import class_counts
    >>> class_counts(np.array([[0, 2, 2], [1, -100, 2]]), 4)
    array([1, 1, 3, 0])
    """
    n_classes = as_integer(n_classes, "n_classes", "an integer >= 1")
    ignore_index = as_integer(ignore_index, "ignore_index", "an integer")
    if not 1 <= n_classes < 2**60:
        raise ValueError(f"n_classes is {n_classes}, accepted is an integer >= 1 (below 2**60)")
    array = as_array(labels, "labels")
    if array.size == 0 and isinstance(labels, (list, tuple)):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"labels has dtype {array.dtype}, accepted are integers")

    # Largest stride first: then the last axis is the one along which memory is read in order.
    axes = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    in_memory_order = array.transpose(axes)
    counts = np.zeros(n_classes, dtype=np.int64)
    start = 0
    for block in _blocks(in_memory_order):
        kept = block[block != ignore_index]
        if kept.size and (kept.min() < 0 or kept.max() >= n_classes):
            bad = (block != ignore_index) & ((block < 0) | (block >= n_classes))
            first = int(bad.argmax())
            found = np.unravel_index(start + first, in_memory_order.shape)
            at = tuple(int(found[axes.index(axis)]) for axis in range(array.ndim))
            raise ValueError(
                f"labels{place(at)} is {block[first]}, but n_classes is {n_classes} "
                f"and ignore_index is {ignore_index}"
            )
        if n_classes > _BLOCK:  # a count of every class for every block would take too long
            np.add.at(counts, kept.astype(np.intp), 1)
        else:
            counts += np.bincount(kept.astype(np.intp), minlength=n_classes)
        start += block.size
    return counts


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield the elements of `array` in C order, as 1-D arrays of native byte order."""
    yield from np.nditer(
        array,
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_dtypes=array.dtype.newbyteorder("="),
        order="C",
        buffersize=_BLOCK,
    )


def class_weights(
    counts: ArrayLike,
    method: Method = "log",
    normalize: bool = False,
    *,
    beta: Number = 0.999,
    zero_weight: Number | None = None,
) -> NDArray[np.float64]:
    r"""Weigh classes by their rarity.

    With :math:`n_c` the count of class c, :math:`r_c = \sum_k n_k / n_c` and C classes:

    ============= ===================================================== =====================
    method        weight                                                source
    ============= ===================================================== =====================
    "log"         max(ln r_c, 1); with `normalize`, ln r_c / max ln r_k
    "balanced"    r_c / C                                               scikit-learn
    "inverse"     r_c
    "effective"   (1 - beta) / (1 - beta^n_c), scaled to sum to C       [1]_
    "median"      median(n) / n_c                                       [2]_
    ============= ===================================================== =====================

    Parameters
    ----------
    counts : array_like of real numbers, shape (C,)
        How often each class occurs, for example from :func:`class_counts`; at least 0, finite.
        Frequencies serve as well as counts, except for "effective".
    method : {"log", "balanced", "inverse", "effective", "median"}, default "log"
        Formula of the table above.
    normalize : bool, default False
        Divide by the largest weight. "log" is then not clipped at 1.
    beta : float, default 0.999
        Overlap of samples for "effective", in [0, 1); without effect for other methods.
    zero_weight : float, optional
        Weight of the classes that never occur, at least 0 and finite. The others are then weighed
        as if these did not exist: they do not count in C, in the median or in the maximum.
        Without it a count of 0 is an error.

    Returns
    -------
    ndarray of float64, shape (C,)
        Weight of each class. A single class has weight 1.

    Raises
    ------
    TypeError
        If the counts are not real numbers.
    ValueError
        If the counts are not one-dimensional, are empty, negative or not finite, if one is 0 while
        `zero_weight` is not given, or if `method`, `beta` or `zero_weight` is out of its range.

    References
    ----------
    .. [1] Cui, Jia, Lin, Song, Belongie: "Class-Balanced Loss Based on Effective Number of
       Samples", CVPR 2019.
    .. [2] Eigen, Fergus: "Predicting Depth, Surface Normals and Semantic Labels with a Common
       Multi-Scale Convolutional Architecture", ICCV 2015.

    Examples
    --------
    >>> from fastce import class_weights
    >>> class_weights([1000, 2300, 20310, 6700]).round(2)
    array([3.41, 2.58, 1.  , 1.51])
    >>> class_weights([1000, 2300, 20310, 6700], normalize=True).round(3)
    array([1.   , 0.756, 0.117, 0.442])
    >>> class_weights([10, 30, 0], "balanced", zero_weight=0)
    array([2.        , 0.66666667, 0.        ])
    """
    if not isinstance(method, str) or method not in get_args(Method):
        raise ValueError(
            f"method is {method!r}, accepted are {', '.join(map(repr, get_args(Method)))}"
        )
    normalize = as_flag(normalize, "normalize")
    beta = as_number(beta, "beta", 0, math.nextafter(1, 0), "in [0, 1)")
    if zero_weight is not None:
        zero_weight = as_number(zero_weight, "zero_weight", 0, LARGEST, ">= 0 and finite")
    checked = _checked_counts(counts)
    occurs = checked > 0
    if zero_weight is None and not occurs.all():
        raise ValueError(
            f"counts[{occurs.argmin()}] is 0: class {occurs.argmin()} never occurs; "
            "give its weight as zero_weight"
        )
    weights = np.full(checked.shape, zero_weight or 0.0, dtype=np.float64)
    with np.errstate(all="ignore"):  # what does not fit a float64 is refused below
        weights[occurs] = _weigh(checked[occurs], method, normalize, beta)
    if not np.isfinite(weights).all():
        bad = int(np.isfinite(weights).argmin())
        raise ValueError(
            f"counts[{bad}] is {checked[bad]}, accepted are counts close enough to each other "
            f"for a finite weight (the largest is {checked.max()})"
        )
    return weights


def _checked_counts(counts: ArrayLike) -> NDArray[np.float64]:
    """Return `counts` as a float64 vector, or raise if they are no counts."""
    array = as_array(counts, "counts")
    if array.dtype.kind not in "iuf":
        raise TypeError(f"counts has dtype {array.dtype}, accepted are NumPy's own real numbers")
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"counts has shape {array.shape}, accepted is (C,) with C >= 1")
    with np.errstate(over="ignore"):  # a long double past float64 is refused below
        checked = array.astype(np.float64)
    good = (checked >= 0) & np.isfinite(checked)
    if not good.all():
        bad = int(good.argmin())
        raise ValueError(f"counts[{bad}] is {array[bad]}, accepted are finite numbers >= 0")
    return checked


def _weigh(
    counts: NDArray[np.float64], method: Method, normalize: bool, beta: float
) -> NDArray[np.float64]:
    """Weights of classes that all occur."""
    if counts.size < 2:
        return np.ones_like(counts)
    total = counts.sum()
    if not np.isfinite(total) and method != "effective":  # where ratios alone count
        counts = np.ldexp(counts, -64)
        total = counts.sum()
    weights: NDArray[np.float64]
    if method == "log":
        # log1p keeps the digits of ln r where one class is nearly everything and r nearly 1.
        others, largest = total - counts, counts.argmax()
        others[largest] = np.delete(counts, largest).sum()  # what the difference would lose
        weights = np.log1p(others / counts)
        if not normalize:
            return np.maximum(weights, 1.0)
    elif method == "balanced":
        weights = total / counts / counts.size
    elif method == "inverse":
        weights = total / counts
    elif method == "effective":
        # The factor 1 - beta falls out of the scaling; expm1 keeps the digits for beta near 1.
        log_beta = np.log(beta) if beta > 0 else -np.inf
        weights = -1 / np.expm1(counts * log_beta)
        weights *= counts.size / weights.sum()
    else:
        weights = np.median(counts) / counts
    return weights / weights.max() if normalize else weights
