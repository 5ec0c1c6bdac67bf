"""Whatever is like an array, as an array; where an element is that is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from fastce._validation.dtypes import LOGIT_DTYPES, Array, is_float
from fastce._validation.scalars import Integer, as_axis

SEARCHED = 1 << 14  # elements that are compared at a time


def as_array(value: object, name: str) -> Array:
    """Return an ndarray of what has ``__array__``, ``__dlpack__`` or a buffer, or is a sequence."""
    if type(value) is np.ndarray:
        return value
    if holds_masked(value):
        raise _masked(name)
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return np.from_dlpack(value)
        array = np.asanyarray(value)
    except MemoryError:
        raise
    except Exception as error:  # whatever the object itself raises
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(
            f"{name} is {type(value).__name__} that NumPy cannot read, accepted are arrays "
            f"and sequences of equal lengths: {error}"
        ) from error
    if is_masked(array):
        raise _masked(name)
    return np.asarray(array)


def is_masked(value: object) -> bool:
    """Whether this is a masked array; their module, if nobody has asked for one, is not loaded."""
    return "numpy.ma" in sys.modules and isinstance(value, np.ma.MaskedArray)


def holds_masked(value: object, depth: int = 64) -> bool:
    """Whether this is a masked array, or lists with one in them; NumPy has at most 64 axes."""
    if "numpy.ma" not in sys.modules:
        return False
    if isinstance(value, (list, tuple)):
        return depth > 0 and any(holds_masked(part, depth - 1) for part in value)
    return is_masked(value)


def _masked(name: str) -> TypeError:
    return TypeError(
        f"{name} is a masked array, whose mask would be forgotten: accepted are plain arrays, "
        "such as its filled() values"
    )


def as_floats(value: object, name: str) -> Array:
    """Return logits, or other input of floating dtype; whole numbers in lists become float64."""
    x = as_array(value, name)
    if isinstance(value, (list, tuple)) and x.dtype.kind in "iu":
        x = x.astype(np.float64)
    if not is_float(x.dtype):
        raise TypeError(f"{name} has dtype {x.dtype}, accepted are {LOGIT_DTYPES}")
    return x


def class_axis(x: Array, axis: Integer) -> int:
    """Return the axis of the classes as a number from 0 on."""
    if x.ndim == 0:
        raise ValueError("logits is a scalar, it needs at least one axis: that of the classes")
    k = as_axis(axis, "axis", x.ndim, "logits")
    if x.shape[k] == 0:
        raise ValueError(f"logits of shape {x.shape} have no classes (axis {axis})")
    return k


def without(shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    """Return a shape without one of its axes."""
    return shape if axis is None else shape[:axis] + shape[axis + 1 :]


def first_where(is_bad: Callable[[Array], Array], x: Array) -> tuple[int, ...] | None:
    """Return the index of the first element that is bad, in C order."""
    for i in range(0, x.size, SEARCHED):
        with np.errstate(invalid="ignore"):  # bfloat16 tells of every NaN
            bad = np.flatnonzero(is_bad(x.flat[i : i + SEARCHED]))
        if bad.size:
            return tuple(int(k) for k in np.unravel_index(i + int(bad[0]), x.shape))
    return None


def place(at: tuple[int, ...]) -> str:
    """Return an index as it is written; nothing for that of a scalar."""
    return f"[{', '.join(map(str, at))}]" if at else ""
