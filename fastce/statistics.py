"""What a classifier's logits tell of each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastce._dispatch import statistics
from fastce._validation.scalars import Integer, Number


class RowStatistics(NamedTuple):
    """One array for each statistic, of the shape of the logits without `axis`; None if not asked for."""

    loss: npt.NDArray[np.float64] | None
    logsumexp: npt.NDArray[np.float64] | None
    predicted: npt.NDArray[np.int64] | None
    rank: npt.NDArray[np.int64] | None
    confidence: npt.NDArray[np.float64] | None
    margin: npt.NDArray[np.float64] | None
    entropy: npt.NDArray[np.float64] | None
    brier: npt.NDArray[np.float64] | None
    mean_logit: npt.NDArray[np.float64] | None
    logit_variance: npt.NDArray[np.float64] | None


def row_statistics(
    logits: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    fields: Sequence[str] | None = None,
    axis: Integer = -1,
    ignore_index: Integer = -100,
    temperature: Number = 1.0,
    num_threads: Integer | None = None,
) -> RowStatistics:
    """Loss, rank, confidence, entropy and more of each row, from one sweep over the logits."""
    if fields is None:
        fields = statistics.FIELDS if labels is not None else statistics.WITHOUT_LABELS
    given = (logits, labels, fields, axis, ignore_index, temperature, num_threads)
    return RowStatistics(*statistics.row_statistics(given))
