"""Row statistics made with NumPy and SciPy, and rows to make them of."""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, softmax


class Statistics(NamedTuple):
    """The fields that an evaluation reads."""

    loss: np.ndarray
    predicted: np.ndarray
    rank: np.ndarray
    confidence: np.ndarray
    margin: np.ndarray
    entropy: np.ndarray
    brier: np.ndarray


def statistics(logits, labels, ignore_index=-100) -> Statistics:
    """Statistics of rows of logits of shape (N, C), in float64 and by their definitions."""
    x = logits.astype(np.float64)
    count, classes = x.shape
    every = np.arange(count)
    valid = labels != ignore_index
    y = np.where(valid, labels, 0)
    with np.errstate(all="ignore"):
        p = softmax(x, axis=1)
        loss = logsumexp(x, axis=1) - x[every, y]
        own = x[every, y][:, None]
        before = np.arange(classes) < y[:, None]
        rank = ((x > own) | ((x == own) & before)).sum(axis=1)
        highest = np.sort(x, axis=1)
        margin = highest[:, -1] - highest[:, -2] if classes > 1 else np.full(count, np.inf)
        entropy = -np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(axis=1)
        brier = ((p - (np.arange(classes) == y[:, None])) ** 2).sum(axis=1)
    found = Statistics(
        np.maximum(loss, 0), x.argmax(axis=1), rank, p.max(axis=1), margin, entropy, brier
    )
    undefined = np.isnan(p).any(axis=1)
    for field in (found.loss, found.confidence, found.margin, found.entropy, found.brier):
        field[undefined] = np.nan
    found.predicted[undefined] = found.rank[undefined] = -1
    found.loss[~valid], found.brier[~valid], found.rank[~valid] = 0, 0, -1
    return found


def rows(count, classes, seed=0, scale=3.0):
    """Logits of a classifier that is often right, and labels."""
    generator = np.random.default_rng(seed)
    logits = scale * generator.normal(size=(count, classes))
    labels = generator.integers(0, classes, count)
    sure = generator.random(count) < 0.6
    logits[np.arange(count), labels] += np.where(sure, 3 * scale, 0)
    return logits, labels
