"""The numbers of the rows of a piece."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastce.evaluation.engine.probabilities import logits_of_classes, logits_of_labels
from fastce.evaluation.losses import RowNumbers, sigmoid_blocks, softmax_blocks
from fastce.evaluation.options import Options

COPY_ELEMENTS = 1 << 18  # of float64, where logits have to be made: they stay in a core's cache


def piece_numbers(
    logits: npt.NDArray[Any],
    labels: npt.NDArray[np.int64],
    options: Options,
    *,
    probabilities: bool,
    name: str,
) -> RowNumbers:
    """Return the numbers of the rows of a piece, arrays of the shape of the labels.

    Parameters
    ----------
    logits : ndarray, shape (n, m, C)
        Logits or probabilities.
    labels : ndarray of int64, shape (n m,) or, for sigmoid, (n m, C)
        The ignored label of the options where one does not count.
    options : Options
        Those of the evaluation.
    probabilities : bool
        What the logits are.
    name : str
        The file, for messages.
    """
    sigmoid = options.loss == "sigmoid"
    blocks = sigmoid_blocks if sigmoid else softmax_blocks
    of_rows = labels.reshape(logits.shape if sigmoid else logits.shape[:-1])
    if not probabilities:
        return _joined(list(blocks(logits, of_rows, options, 1)), labels.shape)
    to_logits = logits_of_labels if sigmoid else logits_of_classes
    n, m, classes = logits.shape
    found: list[RowNumbers] = []
    width = max(1, COPY_ELEMENTS // classes)
    height = max(1, width // max(1, m))
    for first in range(0, n, height):
        for start in range(0, m, width):
            part = np.s_[first : first + height, start : start + width]
            found += blocks(to_logits(logits[part], name), of_rows[part], options, 1)
    return _joined(found, labels.shape)


def _joined(parts: list[RowNumbers], shape: tuple[int, ...]) -> RowNumbers:
    def joined(field: tuple[Any, ...]) -> Any:
        if len(field) == 1:
            return field[0].reshape(shape)
        return np.concatenate([part.reshape(-1) for part in field]).reshape(shape)

    return RowNumbers(*map(joined, zip(*parts, strict=True)))
