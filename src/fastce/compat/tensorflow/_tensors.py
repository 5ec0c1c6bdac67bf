"""What both layers do to their arguments, in the manner of TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray


def as_tensor(name: str, value: ArrayLike | None, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """Convert an argument: arrays keep their dtype, Python floats become float32."""
    if value is None:
        raise ValueError(f"{name} is None, but must be given")
    array = np.asarray(value, dtype=dtype)
    if dtype is None and array.dtype == np.float64 and isinstance(value, float | list | tuple):
        return array.astype(np.float32)
    return array


def working_dtype(logits: NDArray[Any]) -> np.dtype[Any]:
    """Return the dtype of the arithmetic: that of the logits, but at least float32."""
    return np.result_type(logits.dtype, np.float32)


def times(factor: NDArray[Any], term: NDArray[Any]) -> NDArray[Any]:
    """`factor * term` where a factor of 0 gives 0, also for an infinite or NaN term."""
    product = np.zeros(np.broadcast_shapes(factor.shape, term.shape), np.result_type(factor, term))
    with np.errstate(over="ignore", invalid="ignore"):
        np.multiply(factor, term, out=product, where=factor != 0)
    return product
