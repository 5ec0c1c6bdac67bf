"""What both layers do to their arguments, in the manner of TensorFlow."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

LOGITS = "float32, float64, float16 or bfloat16"


def as_tensor(name: str, value: ArrayLike | None, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """Convert an argument: arrays keep their dtype, Python floats become float32.

    A list has the dtype of its first number, as there.
    """
    if value is None:
        raise ValueError(f"{name} is None, but must be given")
    array = _read(name, value)
    if dtype is None:
        if array.dtype == np.float64 and isinstance(value, float | list | tuple):
            dtype = getattr(_first(value), "dtype", None)
            floating = isinstance(dtype, np.dtype) and dtype.kind == "f"
            return array.astype(dtype if floating else np.float32, copy=False)
        return array
    if not _is_real(array.dtype):
        raise TypeError(f"{name} has dtype {array.dtype}, accepted are real numbers")
    with np.errstate(over="ignore", invalid="ignore"):  # past the dtype is infinite, as there
        return array.astype(dtype, copy=False)


def _read(name: str, value: Any) -> NDArray[Any]:
    """Return what NumPy makes of a value; the mask of a masked array would be forgotten."""
    masked = _holds_masked(value)
    try:
        device_only = hasattr(value, "__dlpack__") and not hasattr(value, "__array__")
        array = value if masked else np.from_dlpack(value) if device_only else np.asanyarray(value)
    except MemoryError:
        raise
    except Exception as error:  # whatever the object itself raises
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(
            f"{name} is {type(value).__name__} that NumPy cannot read, accepted are arrays "
            f"and sequences of equal lengths: {error}"
        ) from error
    if masked or _holds_masked(array):
        raise TypeError(
            f"{name} is a masked array, whose mask would be forgotten: accepted are plain arrays, "
            "such as its filled() values"
        )
    return np.asarray(array)


def _first(value: Any) -> Any:
    """Return the first element of nested lists."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return value


def _holds_masked(value: object, depth: int = 64) -> bool:
    """Whether this is a masked array, or lists with one in them; NumPy has at most 64 axes."""
    if "numpy.ma" not in sys.modules:
        return False
    if isinstance(value, list | tuple):
        return depth > 0 and any(_holds_masked(part, depth - 1) for part in value)
    return isinstance(value, np.ma.MaskedArray)


def _is_real(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biuf" or dtype.name == "bfloat16"


def check_shape(name: str, labels: NDArray[Any], logits: NDArray[Any]) -> None:
    """Refuse labels that are not one for each logit."""
    if labels.shape != logits.shape:
        raise ValueError(f"{name} has shape {labels.shape}, but logits have {logits.shape}")


def either(name: str, value: object, older: str, other: object) -> None:
    """Refuse a value under both its names."""
    if value is not None and other is not None:
        raise ValueError(f"{older} is {other!r} and {name} is given, too: accepted is one of them")


@contextmanager
def called(name: str) -> Iterator[None]:
    """Let errors about `labels` speak of the argument that holds them."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(re.sub(r"^labels\b", name, str(error))) from error


def working_dtype(logits: NDArray[Any]) -> np.dtype[Any]:
    """Return the dtype of the arithmetic: that of the logits, but at least float32."""
    floating = logits.dtype.kind == "f" and logits.dtype.itemsize <= 8
    if not floating and logits.dtype.name != "bfloat16":
        raise TypeError(f"logits has dtype {logits.dtype}, accepted are {LOGITS}")
    return np.result_type(logits.dtype, np.float32)


def as_number(value: object, name: str, low: float, high: float, accepted: str) -> float:
    """Return a real number within bounds."""
    if not isinstance(value, Real) or isinstance(value, bool | np.timedelta64):
        raise TypeError(f"{name} is {value!r}, accepted is a number {accepted}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not low <= number <= high:
        raise ValueError(f"{name} is {value!r}, accepted is a number {accepted}")
    return number


def times(factor: NDArray[Any], term: NDArray[Any]) -> NDArray[Any]:
    """`factor * term` where a factor of 0 gives 0, also for an infinite or NaN term."""
    product = np.zeros(np.broadcast_shapes(factor.shape, term.shape), np.result_type(factor, term))
    with np.errstate(over="ignore", invalid="ignore"):
        np.multiply(factor, term, out=product, where=factor != 0)
    return product
