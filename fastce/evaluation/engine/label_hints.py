"""What a label that is no class may have been meant for."""

from __future__ import annotations

from typing import Any

import numpy as np

_IGNORED = -100  # what other libraries ignore by default
_VOID = 255  # what segmentation data sets give to pixels without a class


def hint_for(label: int, dtype: np.dtype[Any], classes: int) -> str:
    """Return the end of a sentence that says what the label may stand for, or nothing."""
    bits = 8 * dtype.itemsize
    if dtype.kind == "u" and label == _IGNORED + 2**bits:
        return f"; it is {_IGNORED} in {bits} bits without a sign: perhaps to be ignored, too"
    if label == _VOID:
        return "; perhaps it is to be ignored, too (ignore_index 255, --ignore-index 255)"
    if dtype.kind == "i" and label < 0 and 0 <= label + 2**bits < classes:
        return f"; it is {label + 2**bits} in {bits} bits: the labels need a wider dtype"
    return ""
