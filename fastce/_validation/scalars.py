"""Scalar arguments: numbers, integers and flags within their bounds."""

from __future__ import annotations

import math
import operator
from numbers import Real
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from fractions import Fraction

# What type checkers are told of scalars: all that is accepted and has a type of its own.
Number: TypeAlias = "float | np.floating[Any] | np.integer[Any] | Fraction"
Integer: TypeAlias = SupportsIndex

LARGEST = math.nextafter(math.inf, 0)
SMALLEST = math.ulp(0.0)
REDUCTIONS = ("none", "sum", "mean")
NORMALIZERS = ("weight", "valid", "all", "nonzero")


def is_number(value: object) -> bool:
    """Whether this is one real number: of Python, NumPy or ml_dtypes; no bool, text or time."""
    if isinstance(value, (bool, np.timedelta64)):
        return False
    return isinstance(value, Real) or (
        isinstance(value, np.generic) and value.dtype.name == "bfloat16"
    )


def as_number(value: object, name: str, low: float, high: float, accepted: str) -> float:
    """Return a real number within [low, high]."""
    if type(value) is float and low <= value <= high:
        return value
    if not is_number(value):
        raise TypeError(f"{name} is {value!r}, accepted is a number {accepted}")
    try:
        x = float(value)  # type: ignore[arg-type]
    except OverflowError:
        x = math.inf
    if not low <= x <= high:
        raise ValueError(f"{name} is {value!r}, accepted is a number {accepted}")
    return x


def as_integer(value: object, name: str, accepted: str) -> int:
    """Return what can stand as an index: no float, and no bool, which is a slip."""
    if type(value) is int:
        return value
    if not isinstance(value, (bool, np.bool_, np.timedelta64)):
        try:
            return operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            pass
    raise TypeError(f"{name} is {value!r}, accepted is {accepted}")


def as_label(value: object, name: str) -> int:
    """Return an integer that labels are compared with as int64."""
    k = as_integer(value, name, "an integer")
    if not -(2**63) <= k < 2**63:
        raise ValueError(f"{name} is {k}, accepted is an integer in [-2**63, 2**63)")
    return k


def as_axis(value: object, name: str, ndim: int, what: str) -> int:
    """Return an axis as a number from 0 on."""
    if ndim == 0:
        raise ValueError(f"{name} is {value!r}, but {what} have no axes: accepted is None")
    k = as_integer(value, name, f"an integer in [{-ndim}, {ndim})")
    if not -ndim <= k < ndim:
        raise ValueError(f"{name} is {k}, accepted is [{-ndim}, {ndim}), the axes of {what}")
    return k % ndim


def as_flag(value: object, name: str) -> bool:
    """Return True or False: a text, None or an array has a truth, but hardly the one meant."""
    if type(value) is bool:
        return value
    if not isinstance(value, np.bool_):
        raise TypeError(f"{name} is {value!r}, accepted are True and False")
    return bool(value)


def as_threads(value: object) -> int | None:
    """Return a number of threads; None is what the work deserves."""
    if value is None:
        return None
    n = as_integer(value, "num_threads", "None or an integer >= 1")
    if n < 1:
        raise ValueError(f"num_threads is {n}, accepted is None or an integer >= 1")
    return n


def as_reduction(value: object) -> str:
    """Return the name of a reduction."""
    if not isinstance(value, str) or value not in REDUCTIONS:
        raise ValueError(f"reduction is {value!r}, accepted are {', '.join(map(repr, REDUCTIONS))}")
    return str(value)


def as_normalizer(value: object) -> str | float:
    """Return the name of what a mean divides by, or that number."""
    if isinstance(value, str) and value in NORMALIZERS:
        return str(value)
    accepted = f"> 0 and finite, or one of {', '.join(map(repr, NORMALIZERS))}"
    if isinstance(value, str):
        raise ValueError(f"normalizer is {value!r}, accepted is a number {accepted}")
    return as_number(value, "normalizer", SMALLEST, LARGEST, accepted)
