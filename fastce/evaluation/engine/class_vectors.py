"""Numbers of the classes in files: weights, and bytes of tokens.

What the evaluation would say of them does not name their file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastce.readers.errors import InputError
from fastce.readers.source import Source


def class_weights_of(source: Source, classes: int) -> npt.NDArray[np.float64]:
    """Return the class weights in a file."""
    weights = _vector(source, classes, "weights", "biuf", "real numbers")
    with np.errstate(over="ignore"):  # a long double past float64 is as good as infinite
        values = np.ascontiguousarray(weights, np.float64)
    _refuse(source, weights, np.isfinite(values) & (values >= 0), "weights", "a finite number >= 0")
    return values


def token_bytes_of(source: Source, classes: int) -> npt.NDArray[np.int64]:
    """Return the bytes of each token in a file."""
    found = _vector(source, classes, "bytes", "iu", "integers")
    good = (found >= 0) & (found < 2**31)
    _refuse(source, found, good, "bytes", "a number of bytes")
    return found.astype(np.int64)


def _vector(source: Source, classes: int, role: str, kinds: str, expected: str) -> npt.NDArray[Any]:
    if source.dtype.kind not in kinds:
        raise InputError(f"{source.name}: {role} have dtype {source.dtype}, expected {expected}")
    if source.shape != (classes,):
        article = "a weight" if role == "weights" else "one number"
        raise InputError(
            f"{source.name}: {role} have shape {source.shape}, expected {(classes,)}, "
            f"{article} for each class of the logits"
        )
    return source.read(0, classes)


def _refuse(
    source: Source, values: npt.NDArray[Any], good: npt.NDArray[np.bool_], role: str, expected: str
) -> None:
    if not good.all():
        first = int(good.argmin())
        raise InputError(f"{source.name}: {role}[{first}] is {values[first]}, expected {expected}")
