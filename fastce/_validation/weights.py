"""Weights of items and of classes: finite and not negative."""

from __future__ import annotations

import numpy as np

from fastce._validation.arrays import as_array, first_where, place
from fastce._validation.dtypes import (
    INTEGER_DTYPES,
    LOGIT_DTYPES,
    Array,
    is_bfloat16,
    is_float,
    is_integer,
    native,
)

HINT_FOR_NAMES = (
    ": one number a class, such as class_weights(class_counts(labels, n_classes), 'balanced')"
)


def no_weight(x: Array) -> Array:
    """Return where a number is negative or not finite."""
    with np.errstate(over="ignore"):  # a long double past float64 is as good as infinite
        return np.asarray(~((x >= 0) & (x.astype(np.float64) < np.inf)))


def refuse_weights(x: Array, name: str) -> None:
    """Name the first number that is negative or not finite."""
    at = first_where(no_weight, x)
    if at is not None:
        raise ValueError(f"{name}{place(at)} is {x[at]}, accepted are finite numbers >= 0")


def _as_numbers(value: object, name: str) -> Array:
    """Return numbers of a dtype that weights may have, in a form that has a buffer."""
    w = as_array(value, name)
    dtype = native(w.dtype)
    if dtype == np.longdouble:
        return w if w.dtype.isnative else w.astype(dtype)
    if dtype != np.bool_ and not is_integer(dtype) and not is_float(dtype):
        raise TypeError(
            f"{name} has dtype {w.dtype}, accepted are bool, {INTEGER_DTYPES}, long double, "
            + LOGIT_DTYPES
            + (HINT_FOR_NAMES if name == "class_weight" and w.dtype.kind in "OUT" else "")
        )
    return w.astype(np.float32) if is_bfloat16(dtype) and not w.dtype.isnative else w


def as_sample_weight(value: object, shape: tuple[int, ...]) -> Array:
    """Return weights of items of this shape, as they are stored."""
    w = _as_numbers(value, "sample_weight")
    if w.shape != shape:
        try:
            np.broadcast_to(w, shape)
        except ValueError:
            raise ValueError(
                f"sample_weight has shape {w.shape}, which does not broadcast to {shape}"
                + _hint_for_shape(w.shape, shape)
            ) from None
    return w


def _hint_for_shape(given: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """Return what would fit where weights lack the last axes, or have one too many."""
    lacking = len(shape) - len(given)
    if lacking > 0 and given == shape[: len(given)]:
        return f": sample_weight[...{', None' * lacking}] would"
    if given == shape[:-1]:
        return ": sample_weight[..., None] would"
    if shape == given[:-1] and given[-1] == 1:
        return ": sample_weight[..., 0] would"
    return ""


def as_class_weight(value: object, classes: int) -> Array:
    """Return weights of classes."""
    w = _as_numbers(value, "class_weight")
    if w.shape != (classes,):
        raise ValueError(f"class_weight has shape {w.shape}, accepted is {(classes,)}")
    return w


def as_pos_weight(value: object, shape: tuple[int, ...]) -> Array:
    """Return factors of the positive terms: one, or one for each class along the last axis."""
    r = _as_numbers(value, "pos_weight")
    if r.ndim and r.shape != shape[-1:]:
        per_class = f" or shape {shape[-1:]}, one for each class along the last axis"
        raise ValueError(
            f"pos_weight has shape {r.shape}, accepted is a number{per_class if shape else ''}"
        )
    return r
