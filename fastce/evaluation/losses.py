"""From logits to the statistics of their rows, block by block, under the options."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastce
from fastce._validation.scalars import Integer
from fastce.evaluation.options import Options

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_ROWS = 1 << 16  # rows of a block
_COPIED = 1 << 19  # logits of a block of which a copy is made


class RowNumbers(NamedTuple):
    """What is known of each row: the fields of `row_statistics` that an evaluation reads."""

    loss: Floats
    predicted: Integers
    rank: Integers
    confidence: Floats
    margin: Floats
    entropy: Floats
    brier: Floats


def softmax_blocks(
    logits: NDArray[Any], labels: NDArray[Any], options: Options, num_threads: Integer | None
) -> Iterator[RowNumbers]:
    """Yield the numbers of rows of one class each, in order; logits of shape (N, ..., C)."""
    for part, y in _blocks(logits, labels, 1, options):
        found = fastce.row_statistics(
            part,
            y,
            fields=RowNumbers._fields,
            ignore_index=options.ignore_index,
            temperature=options.temperature,
            num_threads=num_threads,
        )
        numbers = RowNumbers(*(np.asarray(getattr(found, name)) for name in RowNumbers._fields))
        if options.label_smoothing:
            scaled = part
            if options.temperature != 1:
                scaled = part.astype(np.float64) / options.temperature
            losses = fastce.softmax_cross_entropy(
                scaled,
                y,
                class_weight=options.class_weight,
                label_smoothing=options.label_smoothing,
                ignore_index=options.ignore_index,
                reduction="none",
                num_threads=num_threads,
            ).astype(np.float64)
            numbers = with_losses(numbers, losses)
        elif options.class_weight is not None:
            numbers = numbers._replace(loss=weighted(numbers.loss, y, options))
        yield numbers


def with_losses(numbers: RowNumbers, losses: NDArray[Any]) -> RowNumbers:
    """Return the numbers with other losses; that of a row with NaN is NaN, whatever its weight."""
    return numbers._replace(loss=np.where(numbers.predicted < 0, np.nan, losses))


def weighted(loss: Floats, labels: NDArray[Any], options: Options) -> Floats:
    """Return losses times the weights of their classes; a weight of 0 gives 0."""
    valid = labels != options.ignore_index
    weights = np.asarray(options.class_weight)[np.where(valid, labels, 0).astype(np.intp)]
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where((weights == 0) & ~np.isnan(loss), 0.0, weights * loss)


def sigmoid_blocks(
    logits: NDArray[Any], labels: NDArray[Any], options: Options, num_threads: Integer | None
) -> Iterator[RowNumbers]:
    """Yield the numbers of independent labels, in order; logits and labels of one shape."""
    for part, y in _blocks(logits, labels, 0, options):
        # The losses of float64 logits are not rounded to float32.
        x = part.astype(np.float64)
        if options.temperature != 1:
            x /= options.temperature
        target = np.where(y == 1, 1.0, 0.0)
        loss = fastce.sigmoid_cross_entropy(
            x,
            target,
            label_smoothing=options.label_smoothing,
            reduction="none",
            num_threads=num_threads,
        )
        yield _of_sigmoids(x, y == 1, np.asarray(loss))


def _of_sigmoids(x: Floats, positive: NDArray[np.bool_], loss: Floats) -> RowNumbers:
    """Form the numbers of labels with probability 1 / (1 + exp(-x)); predicted 1 for x > 0."""
    margin = np.abs(x)
    with np.errstate(invalid="ignore", under="ignore"):
        odds = np.exp(-margin)  # of the other label against the predicted one
        other = odds / (1.0 + odds)
        spread = np.where(np.isinf(margin), 0.0, margin * other)
        hit = (x > 0) == positive
        brier = np.where(hit, other, 1.0 / (1.0 + odds)) ** 2
    undefined = np.isnan(x) | np.isnan(loss)
    rank = np.where(hit, 0, 1)
    return RowNumbers(
        loss=loss,
        predicted=np.where(undefined, -1, x > 0),
        rank=np.where(undefined, -1, rank),
        confidence=1.0 / (1.0 + odds),
        margin=margin,
        entropy=np.log1p(odds) + spread,
        brier=brier,
    )


@functools.cache
def arithmetic() -> tuple[str, str]:
    """Return the version of fastce and the instruction set in use."""
    return fastce.__version__, str(fastce.show_config(mode="dict")["instruction_set"])


def _blocks(
    logits: NDArray[Any], labels: NDArray[Any], class_axes: int, options: Options
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Cut logits and labels along their first axis."""
    rows = math.prod(labels.shape[1:])
    height = _ROWS // max(1, rows)
    if not class_axes or (options.label_smoothing and options.temperature != 1):
        height = min(height, _COPIED // max(1, math.prod(logits.shape[1:])))
    height = max(1, height)
    for start in range(0, len(labels), height):
        yield logits[start : start + height], labels[start : start + height]
