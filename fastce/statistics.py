"""What a classifier's logits tell of each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastce._dispatch import statistics
from fastce._validation.scalars import Integer, Number


class RowStatistics(NamedTuple):
    """An array of the rows' shape for each statistic; None if it was not asked for."""

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
    """Loss, rank, confidence, entropy and more of each row, from one sweep over the logits.

    With ``x`` the logits of a row, divided by `temperature`, ``lse = log(sum_c exp(x_c))``,
    ``p = softmax(x)`` and ``y`` the label:

    =================  ==========================================================================
    field              value
    =================  ==========================================================================
    `loss`             ``lse - x_y``, in nats; needs labels
    `logsumexp`        ``lse``
    `predicted`        the first class of the largest logit, as ``numpy.argmax``
    `rank`             how many classes beat the label: ``x_c > x_y``, or ``x_c = x_y`` and
                       ``c < y``; 0 if and only if ``predicted`` is the label; needs labels
    `confidence`       ``max_c p_c``
    `margin`           the largest logit minus the largest of the others; inf if there is none
    `entropy`          ``-sum_c p_c log(p_c)``, in nats
    `brier`            ``sum_c (p_c - [c = y])^2``, from 0 to 2: without a factor 1/2; needs labels
    `mean_logit`       ``E[x] = sum_c p_c x_c``
    `logit_variance`   ``sum_c p_c (x_c - E[x])^2``
    =================  ==========================================================================

    Parameters
    ----------
    logits : array of float32, float64, float16 or bfloat16, shape (..., C, ...)
    labels : array of integers, shape of `logits` without `axis`, optional
        The class of each row.
    fields : sequence of str, optional
        The names of what is computed; by default everything, without labels what needs none.
    axis : int, default -1
        The axis of the classes.
    ignore_index : int, default -100
        Rows with this label have loss 0, Brier score 0 and rank -1; all else is as in other rows.
    temperature : float, default 1
        Logits are divided by it, in float64: the result is that of
        ``logits.astype(float64) / temperature``.
    num_threads : int, optional
        By default what the work deserves. The result has the same bits for every number.

    Returns
    -------
    RowStatistics
        A named tuple with an ndarray of the rows' shape for each field, None for those that are not
        asked for: float64, and int64 for `predicted` and `rank`, whatever the dtype of the logits.
        The arrays are parts of one block of memory: copy what is to be kept without the others.
        A row that holds NaN or ``+inf``, or nothing but ``-inf``, has NaN and -1.

    Raises
    ------
    ValueError
        For a label that is no class, shapes that do not match, an unknown field or one that needs
        labels where there are none, a temperature that is not positive and finite.
    TypeError
        For dtypes that are not supported.

    Notes
    -----
    A row's numbers depend on that row alone. From float32 logits `loss`, `entropy` and `confidence`
    are right within 2.4e-7 of their own size, `brier` within 3.6e-7, `logit_variance` within 2e-6,
    `logsumexp` and `mean_logit` within 1.8e-7 of the larger of their size and 1; docs/accuracy.md
    has those for float64. The loss of a clear winner, its entropy and Brier score keep their
    digits. `margin`, `predicted` and `rank` are exact.

    Examples
    --------
    >>> import numpy as np
    >>> import fastce
    >>> s = fastce.row_statistics([[2.0, 1.0, 0.1], [0.5, 2.5, 0.0]], [1, 1])
    >>> s.rank
    array([1, 0])
    >>> s.loss.round(4), s.confidence.round(4), s.entropy.round(4)
    (array([1.417 , 0.1967]), array([0.659 , 0.8214]), array([0.8467, 0.5876]))
    >>> fastce.row_statistics(np.zeros((2, 4)), fields=["entropy"]).entropy / np.log(2)
    array([2., 2.])
    """
    if fields is None:
        fields = statistics.FIELDS if labels is not None else statistics.WITHOUT_LABELS
    given = (logits, labels, fields, axis, ignore_index, temperature, num_threads)
    return RowStatistics(*statistics.row_statistics(given))
