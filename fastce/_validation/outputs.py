"""Outputs: of the right shape and dtype, and over no input but the one that they replace."""

from __future__ import annotations

import numpy as np

from fastce._validation.arrays import as_array, is_masked
from fastce._validation.dtypes import Array, native


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
    return np.asarray(out)
