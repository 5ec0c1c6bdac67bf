"""Labels: classes, probabilities of classes, and numbers in [0, 1]."""

from __future__ import annotations

import math

import numpy as np

from fastce._validation.arrays import as_array, first_where, place
from fastce._validation.dtypes import INTEGER_DTYPES, LOGIT_DTYPES, Array, is_float, is_integer
from fastce._validation.weights import refuse_weights


def as_class_labels(value: object, shape: tuple[int, ...], axis: int) -> Array:
    """Return one class for each row of logits of this shape, or one probability for each class."""
    y = as_array(value, "labels")
    rows = shape[:axis] + shape[axis + 1 :]
    if y.size == 0 and isinstance(value, (list, tuple)) and y.dtype == np.float64:
        y = y.astype(np.int64)
    if is_float(y.dtype):
        if y.shape != shape:
            raise ValueError(
                f"labels of dtype {y.dtype} are probabilities and need the shape of the logits: "
                f"labels have {y.shape}, logits {shape}"
            )
        return y
    if y.dtype.kind == "f":
        raise TypeError(f"labels has dtype {y.dtype}, accepted are {LOGIT_DTYPES}")
    if not is_integer(y.dtype):
        raise TypeError(
            f"labels has dtype {y.dtype}, accepted are {INTEGER_DTYPES} (one class a row) "
            f"or {LOGIT_DTYPES} (one probability a class)"
        )
    if y.shape != rows:
        hint = ""
        if math.prod(y.shape) == math.prod(rows):
            hint = f": labels.reshape({rows}) would fit, if these are the same rows"
        elif y.ndim > len(rows):
            hint = ": one-hot rows and probabilities have a floating dtype"
        raise ValueError(
            f"labels has shape {y.shape}, but logits without their class axis ({axis}) have {rows}"
            + hint
        )
    return y


def as_hard_labels(value: object, shape: tuple[int, ...], axis: int) -> Array:
    """Return one class for each row of logits of this shape."""
    y = as_class_labels(value, shape, axis)
    if is_float(y.dtype):
        raise TypeError(
            f"labels has dtype {y.dtype}, accepted are {INTEGER_DTYPES}: one class a row"
        )
    return y


def refuse_class_labels(y: Array, classes: int, axis: int, ignore_index: int) -> None:
    """Name the first label that is no class, or the first bad probability."""
    if is_float(y.dtype):
        refuse_weights(y, "labels")
        return

    def is_bad(part: Array) -> Array:
        return np.asarray(((part < 0) | (part >= classes)) & (part != ignore_index))

    at = first_where(is_bad, y)
    if at is not None:
        raise ValueError(
            f"labels{place(at)} is {y[at]}, but logits have {classes} classes "
            f"(axis {axis}) and ignore_index is {ignore_index}"
        )


def as_unit_labels(value: object, x: Array, name: str) -> Array:
    """Return the labels of binary problems, one for each element of their input."""
    y = as_array(value, "labels")
    if y.dtype != np.bool_ and not is_integer(y.dtype) and not is_float(y.dtype):
        raise TypeError(
            f"labels has dtype {y.dtype}, accepted are bool, {INTEGER_DTYPES}, {LOGIT_DTYPES}"
        )
    if y.shape != x.shape:
        raise ValueError(f"labels has shape {y.shape}, but {name} have {x.shape}")
    return y


def refuse_outside_unit(x: Array, name: str) -> None:
    """Name the first label, or probability, outside [0, 1]; a probability may be NaN."""
    if name == "labels":
        at = first_where(lambda part: ~((part >= 0) & (part <= 1)), x)
    else:
        at = first_where(lambda part: (part < 0) | (part > 1), x)
    if at is not None:
        raise ValueError(f"{name}{place(at)} is {x[at]}, accepted are numbers in [0, 1]")
