"""Scalar arguments: numbers and integers within their bounds."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np


def as_number(value: object, name: str, low: float, high: float, accepted: str) -> float:
    """Return a real number within [low, high]."""
    if type(value) is float and low <= value <= high:
        return value
    if not isinstance(value, (Real, np.generic)) or isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is {value!r}, accepted is a number {accepted}")
    x = float(value)
    if not low <= x <= high:
        raise ValueError(f"{name} is {value!r}, accepted is a number {accepted}")
    return x


def as_label(value: object, name: str) -> int:
    """Return an integer that labels, compared as int64, can be or can never be."""
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    if not isinstance(value, (Integral, np.integer)) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}, accepted is an integer")
    k = int(value)
    return k if -(2**63) <= k < 2**63 else -(2**63)
