"""Probabilities instead of logits: checked, and brought back to logits that have them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastce.readers.errors import InputError

Array = npt.NDArray[Any]

_SUM_TOLERANCE = 0.01  # by which the sum of a row may miss 1
_LOOKED_AT = 64  # rows that tell whether logits look like probabilities
_LOOKS_TOLERANCE = 1e-3


def logits_of_classes(probabilities: Array, name: str) -> Array:
    """Return ln p, whose softmax is p divided by its sum, for p of shape (..., C).

    Raises InputError for numbers outside [0, 1] and rows whose sum is not 1; rows with NaN pass.
    """
    p = probabilities.astype(np.float64)
    _refuse_outside(p, name)
    sums = p.sum(axis=-1)
    far = np.abs(sums - 1) > _SUM_TOLERANCE
    if far.any():
        raise InputError(
            f"{name}: a row of probabilities sums to {sums[far][0]:.6g}, expected 1: "
            f"{_some(p[far][0])}"
        )
    with np.errstate(divide="ignore"):
        return np.log(p)


def logits_of_labels(probabilities: Array, name: str) -> Array:
    """Return ln(p / (1 - p)), whose sigmoid is p, for probabilities of yes of any shape.

    Raises InputError for numbers outside [0, 1]; NaN passes.
    """
    p = probabilities.astype(np.float64)
    _refuse_outside(p, name)
    with np.errstate(divide="ignore"):
        return np.log(p) - np.log1p(-p)


def look_like_probabilities(logits: Array) -> bool:
    """Whether the first rows, shape (..., C), are not negative and sum to 1."""
    rows = logits.reshape(-1, logits.shape[-1])[:_LOOKED_AT].astype(np.float64)
    if rows.shape[1] < 2 or len(rows) == 0:
        return False
    near = np.abs(rows.sum(axis=1) - 1) < _LOOKS_TOLERANCE
    return bool((rows >= 0).all() and near.all())


def _refuse_outside(p: Array, name: str) -> None:
    outside = ((p < 0) | (p > 1 + 1e-6)).any(axis=-1)
    if outside.any():
        raise InputError(
            f"{name}: expected probabilities in [0, 1], found a row {_some(p[outside][0])}: are "
            "they logits?"
        )


def _some(row: Array) -> str:
    shown = ", ".join(f"{value:.4g}" for value in row[:4])
    return f"[{shown}{', ...' if len(row) > 4 else ''}]"
