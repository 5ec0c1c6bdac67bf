"""In which rows the label's logit is the largest."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastce.evaluation import rows

_SHORT_ROW = 64  # classes; below, NumPy's argmax does not use whole vectors


def find_hits(logits: npt.NDArray[Any], labels: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Whether ``logits.argmax(axis=-1)`` is the label, for each row."""
    if logits.shape[1] >= _SHORT_ROW:
        return np.equal(_largest(logits), labels)
    # For short rows argmax takes longer than the loss. With the classes along the first axis NumPy
    # works on many rows at a time; argmax then decides ties and rows with NaN.
    native = logits.dtype.newbyteorder("=")
    columns = np.ascontiguousarray(logits.T, dtype=native)
    largest = columns.max(axis=0)
    hits: npt.NDArray[np.bool_] = columns[labels, np.arange(len(labels))] == largest
    unclear = np.flatnonzero((columns == largest).sum(axis=0, dtype=np.uint8) != 1)
    hits[unclear] = logits[unclear].argmax(axis=-1) == labels[unclear]
    return hits


def _largest(logits: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """``logits.argmax(axis=-1)``, also its ties and NaNs, without a copy of a large block."""
    count, classes = logits.shape
    width = max(1, rows.BLOCK_BYTES // (max(1, count) * logits.itemsize))
    if width >= classes:
        largest: npt.NDArray[np.intp] = logits.argmax(axis=-1)
        return largest
    # NumPy copies what is strided or byte-swapped; a piece of the classes is a small copy.
    every = np.arange(count)
    best, top = np.zeros(count, np.intp), logits[:, 0].copy()
    for start in range(0, classes, width):
        piece = logits[:, start : start + width]
        at = piece.argmax(axis=-1)
        values = piece[every, at]
        better = ~((values <= top) | np.isnan(top))  # a NaN is larger than any number
        best[better], top[better] = start + at[better], values[better]
    return best
