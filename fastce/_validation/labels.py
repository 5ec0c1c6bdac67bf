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
    if y.dtype == np.object_:
        refuse_large_integers(y, shape[axis], axis)
    if is_float(y.dtype):
        if y.shape != shape:
            raise ValueError(
                f"labels of dtype {y.dtype} are probabilities and need the shape of the logits: "
                f"labels have {y.shape}, logits {shape}" + _hint_for_floats(y, rows)
            )
        return y
    if y.dtype.kind == "f":
        raise TypeError(f"labels has dtype {y.dtype}, accepted are {LOGIT_DTYPES}")
    if not is_integer(y.dtype):
        raise TypeError(
            f"labels has dtype {y.dtype}, accepted are {INTEGER_DTYPES} (one class a row) "
            f"or {LOGIT_DTYPES} (one probability a class)" + _hint_for_dtype(y)
        )
    if y.shape != rows:
        hint = ""
        if y.shape == shape and len(shape) == 1:
            hint = ": one logit a row is sigmoid_cross_entropy's"
        elif math.prod(y.shape) == math.prod(rows):
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


def _hint_for_floats(y: Array, rows: tuple[int, ...]) -> str:
    """Return what would fit where labels are floats of the shape of the rows."""
    if y.shape != rows or not np.all(y == np.floor(y)):
        return ""
    return ": labels.astype(int) would fit, if these are classes"


def _hint_for_dtype(y: Array) -> str:
    """Return what would fit where labels are truth values or names."""
    if y.dtype == np.bool_:
        return ": labels.astype(int) would fit, if these are the classes 0 and 1"
    if y.dtype.kind in "OSUT":
        return (
            ": np.unique(labels, return_inverse=True)[1] would fit, if these are names of classes"
        )
    return ""


def refuse_large_integers(y: Array, classes: int, axis: int) -> None:
    """Name the first integer of Python that 64 bits do not hold, if all are integers."""
    if all(type(label) is int for label in y.flat):
        at = first_where(lambda part: np.array([not -(2**63) <= v < 2**63 for v in part]), y)
        if at is not None:
            raise ValueError(
                f"labels{place(at)} is {y[at]}, but logits have {classes} classes (axis {axis})"
            )


def _hint_for_label(y: Array, label: int, classes: int, ignore_index: int) -> str:
    """Return what a label that is no class may be meant as."""
    bits = 8 * y.dtype.itemsize
    if y.dtype.kind == "u" and ignore_index < 0 and label == ignore_index % 2**bits:
        return f": it is {ignore_index} as {y.dtype}, give ignore_index={label}"
    if label in (-1, 255) and label != ignore_index:
        return f": if it marks rows to ignore, give ignore_index={label}"
    if classes == 1:
        return ": one logit a row is sigmoid_cross_entropy's"
    return ""


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
            + _hint_for_label(y, int(y[at]), classes, ignore_index)
        )


def refuse_swapped(logits: object, labels: object) -> None:
    """Say so where arrays were given in scikit-learn's order, labels first."""
    x, y = getattr(logits, "dtype", None), getattr(labels, "dtype", None)
    if isinstance(x, np.dtype) and isinstance(y, np.dtype) and is_integer(x) and is_float(y):
        raise TypeError(
            f"logits has dtype {x} and labels {y}, accepted are {LOGIT_DTYPES} for logits: are "
            "the two swapped?"
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
