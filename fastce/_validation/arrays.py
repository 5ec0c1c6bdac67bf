"""Form: which arrays are accepted, how they are walked, what is refused.

A kernel walks logits as [outer, classes, inner]: either the classes of a row lie one after another
(inner is 1), or rows lie side by side and their classes are a stride apart. Most layouts are one of
the two as they stand; the others are copied block by block (`_blocks.py`), never as a whole.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastce import _kernels
from fastce._validation.scalars import Integer, as_axis

Array = npt.NDArray[Any]

# The numbers by which kernels know how elements are stored (elements.h).
_INTEGERS = {"i1": 0, "i2": 1, "i4": 2, "i8": 3, "u1": 4, "u2": 5, "u4": 6, "u8": 7}
_FLOATS = {"f2": 8, "f4": 10, "f8": 11}
BFLOAT16 = 9
LABEL_KINDS = {np.dtype(name): kind for name, kind in _INTEGERS.items()}
LOGIT_KINDS = {np.dtype(name): kind for name, kind in _FLOATS.items()}
BOOL_KIND = _INTEGERS["u1"]
WEIGHT_KINDS = {
    np.dtype(np.longdouble): 12,
    np.dtype(bool): BOOL_KIND,
    **LABEL_KINDS,
    **LOGIT_KINDS,
}
FIRST_FLOAT = _FLOATS["f2"]  # labels stored as one of these or a later number are probabilities
SWAPPED = 32  # added to the number of a type in foreign byte order
SEARCHED = 1 << 14  # elements that are compared at a time
LOGIT_DTYPES = "float32, float64, float16 or bfloat16"
INTEGER_DTYPES = "integers of 8 to 64 bits"


class Weights(NamedTuple):
    """Weights as the user has them, spread over their shape, and what they add up to."""

    array: Array
    kind: int
    total: float
    nonzero: int


class Walk(NamedTuple):
    """How a kernel steps through an array; strides in bytes."""

    outer: int
    classes: int
    inner: int
    outer_stride: int
    class_stride: int


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


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Whether this is the bfloat16 of ml_dtypes, which NumPy itself does not have."""
    return dtype.itemsize == 2 and dtype.name == "bfloat16"


def native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a dtype in native byte order, or as it is where it has none."""
    return dtype if dtype.isnative else dtype.newbyteorder("=")


def logit_kind(x: Array, name: str = "logits") -> int:
    """Return the number of a supported dtype, in either byte order."""
    kind = LOGIT_KINDS.get(x.dtype)
    if kind is not None:
        return kind
    if is_bfloat16(x.dtype):
        return BFLOAT16
    kind = LOGIT_KINDS.get(native(x.dtype))
    if kind is None:
        raise TypeError(f"{name} has dtype {x.dtype}, accepted are {LOGIT_DTYPES}")
    return kind


def as_floats(value: object, name: str) -> tuple[Array, int]:
    """Return logits (or other input of floating dtype) as an array and the number of its dtype."""
    x = as_array(value, name)
    kind = LOGIT_KINDS.get(x.dtype)
    if kind is None:
        if isinstance(value, (list, tuple)) and x.dtype.kind in "iu":
            x = x.astype(np.float64)
        kind = logit_kind(x, name)
    return x, kind


def raw(x: Array) -> Array:
    """Return the array as something that has a buffer: bfloat16 as its bits."""
    return x if x.dtype.char in "fdebhilqBHILQ?g" else x.view(np.uint16)


def stored(x: Array, kind: int) -> int:
    """Return the number of a type together with its byte order."""
    return kind if x.dtype.isnative else kind + SWAPPED


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


def is_native(x: Array) -> bool:
    """Whether elements can be read as they lie: native byte order, aligned."""
    return x.dtype.isnative and x.flags.aligned


def class_axis(x: Array, axis: Integer) -> int:
    """Return the axis as a number from 0 on."""
    if type(axis) is int and axis == -1 and x.ndim and x.shape[-1]:
        return x.ndim - 1
    if x.ndim == 0:
        raise ValueError("logits is a scalar, it needs at least one axis: that of the classes")
    k = as_axis(axis, "axis", x.ndim, "logits")
    if x.shape[k] == 0:
        raise ValueError(f"logits of shape {x.shape} have no classes (axis {axis})")
    return k


def _merged(shape: Sequence[int], strides: Sequence[int]) -> tuple[int, int] | None:
    """Return several axes as one (length, stride), or None if no single stride does."""
    length, stride = 1, 0
    for n, step in zip(reversed(shape), reversed(strides), strict=True):
        if n == 1:
            continue
        if length == 1:
            length, stride = n, step
        elif step == stride * length:
            length *= n
        else:
            return None
    return length, stride


def walk(x: Array, axis: int) -> Walk | None:
    """Return how a kernel can step through the array as it lies, or None."""
    shape, size, flags = x.shape, x.itemsize, x.flags
    if flags.c_contiguous and flags.aligned and x.dtype.isnative:
        classes = shape[axis]
        if len(shape) == 2 and axis == 1:
            return Walk(shape[0], classes, 1, classes * size, size)
        inner = math.prod(shape[axis + 1 :])
        outer = math.prod(shape[:axis])
        return Walk(outer, classes, inner, classes * inner * size, inner * size)
    if not is_native(x):
        return None
    strides = x.strides
    rest, steps = shape[:axis] + shape[axis + 1 :], strides[:axis] + strides[axis + 1 :]
    if strides[axis] == size or shape[axis] == 1:
        rows = _merged(rest, steps)
        if rows is not None:
            return Walk(rows[0], shape[axis], 1, rows[1], size)
    for split in range(len(rest)):
        outer_axes = _merged(rest[:split], steps[:split])
        inner_axes = _merged(rest[split:], steps[split:])
        if outer_axes and inner_axes and inner_axes[0] > 1 and inner_axes[1] == size:
            return Walk(outer_axes[0], shape[axis], inner_axes[0], outer_axes[1], strides[axis])
    return None


def same_walk(x: Walk, other: Array, axis: int) -> Walk | None:
    """Return how the other array is walked if it can be in the same order, or None."""
    y = walk(other, axis)
    return y if y is not None and y[:3] == x[:3] else None


def as_labels(value: object, rows: tuple[int, ...], axis: int) -> tuple[Array, int]:
    """Return integer labels, one for each row."""
    y = as_array(value, "labels")
    kind = LABEL_KINDS.get(y.dtype)
    if kind is None:
        kind = LABEL_KINDS.get(native(y.dtype))
        if kind is None and y.size == 0 and isinstance(value, (list, tuple)):
            y, kind = y.astype(np.int64), LABEL_KINDS[np.dtype(np.int64)]
        if kind is None:
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
    return y, kind


def raw_weights(w: Weights | None) -> tuple[Array | None, int]:
    """Return weights as a kernel takes them."""
    return (None, 0) if w is None else (raw(w.array), stored(w.array, w.kind))


def are_weights(x: Array, kind: int, num_threads: int) -> bool:
    """Whether all numbers are finite and not negative."""
    return _kernels.active.weigh(raw(x), stored(x, kind), False, num_threads)[0]


def no_weight(x: Array) -> Array:
    """Return where a number is negative or not finite."""
    with np.errstate(over="ignore"):  # a long double past float64 is as good as infinite
        return np.asarray(~((x >= 0) & (x.astype(np.float64) < np.inf)))


def refuse_weights(x: Array, name: str) -> None:
    """Name the first number that is negative or not finite."""
    at = first_where(no_weight, x)
    if at is not None:
        raise ValueError(f"{name}{place(at)} is {x[at]}, accepted are finite numbers >= 0")


def as_weights(
    value: object,
    name: str,
    shape: tuple[int, ...],
    threads: int = 1,
    *,
    broadcast: bool = True,
) -> Weights:
    """Return weights of this shape, as they are stored: finite and not negative."""
    w = as_array(value, name)
    kind = WEIGHT_KINDS.get(native(w.dtype))
    if kind is None:
        if not is_bfloat16(w.dtype):
            raise TypeError(
                f"{name} has dtype {w.dtype}, accepted are bool, {INTEGER_DTYPES}, long double, "
                + LOGIT_DTYPES
            )
        kind = BFLOAT16
    spread = w
    if broadcast and w.shape != shape:
        try:
            spread = np.broadcast_to(w, shape)
        except ValueError:
            raise ValueError(
                f"{name} has shape {w.shape}, which does not broadcast to {shape}"
            ) from None
    elif w.shape != shape:
        raise ValueError(f"{name} has shape {w.shape}, accepted is {shape}")
    good, total, nonzero, counted = _kernels.active.weigh(
        raw(w), stored(w, kind), broadcast, threads
    )
    if not good:
        refuse_weights(w, name)
    times = spread.size // max(counted, 1)  # elements that were broadcast are counted once
    return Weights(spread, kind, total * times if times else 0.0, nonzero * times)


def as_class_weight(value: object, name: str, shape: tuple[int, ...]) -> Array:
    """Return weights of classes as contiguous, aligned float64."""
    w = as_weights(value, name, shape, broadcast=False)
    return np.require(w.array, np.float64, ["C", "A"])


def overlaps(a: Array, b: Array) -> bool:
    """Whether two arrays have an element's memory in common (when in doubt: yes)."""
    if not np.may_share_memory(a, b):
        return False
    if a.flags.c_contiguous and b.flags.c_contiguous:
        return True
    try:
        return bool(np.shares_memory(a, b, max_work=100_000))  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def overlaps_itself(a: Array) -> bool:
    """Whether elements share memory (when in doubt: yes), as in windows that slide."""
    if a.flags.c_contiguous:
        return False
    reach = a.itemsize
    for step, n in sorted((abs(s), n) for n, s in zip(a.shape, a.strides, strict=True) if n > 1):
        if step < reach:
            return a.size > 0
        reach += step * (n - 1)
    return False


def same_memory(a: Array, b: Array) -> bool:
    """Whether every element of one array lies exactly where that of the other does."""
    if a.__array_interface__["data"][0] != b.__array_interface__["data"][0]:
        return False
    return a.strides == b.strides or all(
        n < 2 or s == t for n, s, t in zip(a.shape, a.strides, b.strides, strict=True)
    )


def as_out(out: object, name: str, like: Array, inputs: dict[str, object]) -> Array:
    """Check an output: writeable, of the shape and dtype of `like`, over no input but `like`."""
    if not isinstance(out, np.ndarray) or is_masked(out):
        raise TypeError(f"{name} is {type(out).__name__}, accepted is a numpy.ndarray")
    dtype = native(like.dtype)
    if out.shape != like.shape or out.dtype != dtype or not out.dtype.isnative:
        raise ValueError(
            f"{name} has shape {out.shape} and dtype {out.dtype}, "
            f"accepted is {like.shape} and {dtype}"
        )
    if not out.flags.writeable:
        raise ValueError(f"{name} is read-only, accepted is an array that can be written")
    if overlaps_itself(out):
        raise ValueError(
            f"{name} has elements that share memory (strides {out.strides}), "
            "accepted is an array with memory for each"
        )
    # Bounds first: they cost a tenth of asking where an array lies.
    if np.may_share_memory(out, like) and not same_memory(out, like) and overlaps(out, like):
        raise ValueError(
            f"{name} overlaps the input without being exactly it, accepted is the input itself "
            "or memory apart"
        )
    for other, array in inputs.items():
        if array is None or isinstance(array, (int, float, list, tuple)):
            continue
        if overlaps(out, as_array(array, other)):
            raise ValueError(f"{name} overlaps {other}, accepted is memory apart")
    return out if type(out) is np.ndarray else np.asarray(out)
