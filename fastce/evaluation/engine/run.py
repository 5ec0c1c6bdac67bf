"""One pass over the logits of pairs, into the state of an evaluation.

Design: threads compute the row statistics of whole pieces, which is nearly all of the work and
releases the GIL; the calling thread adds them to the state. Its sums are exact, so neither the
number of threads nor the cut into pieces changes a bit of the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastce.evaluation.engine.in_order import map_in_order
from fastce.evaluation.engine.pairs import Pair
from fastce.evaluation.engine.pieces import Piece, count_pieces, pieces
from fastce.evaluation.engine.statistics import look_like_probabilities, piece_statistics
from fastce.evaluation.state import Evaluation

_MOST_THREADS = 16  # more would wait for the interpreter, and each takes a few megabytes
_PIECES_AT_A_TIME = 1


@dataclass(frozen=True)
class Rules:
    """Which rows count, and what the numbers of the files are.

    Parameters
    ----------
    ignored : tuple of int
        Labels whose rows do not count.
    shift : int
        How many positions behind its logits a label lies.
    probabilities : bool
        Whether the files hold probabilities, not logits.
    """

    ignored: tuple[int, ...] = (-100,)
    shift: int = 0
    probabilities: bool = False


@dataclass
class Seen:
    """What a run has seen besides what the state keeps."""

    ignored: Counter[int] = field(default_factory=Counter)  # rows by ignored label
    notes: list[str] = field(default_factory=list)


def run(
    pair: Pair,
    state: Evaluation,
    rules: Rules,
    threads: int,
    advance: Callable[[int], object],
    seen: Seen,
    keep: Callable[[Pair, Piece, Any, Any], object] | None = None,
) -> None:
    """Add all rows of a pair to the state; `advance` is told of rows done, `keep` of statistics."""
    labels = pair.row_labels(rules.ignored, rules.shift)
    options = state.options
    ignore_index = int(options["ignore_index"])
    sigmoid = options["loss"] == "sigmoid"

    def read(piece: Piece) -> tuple[Piece, Any, Any]:
        pair.logits.check()  # before each piece: reading a map past the end of its file is fatal
        scored = labels.of(pair.label_numbers(piece.numbers))
        of_rows = np.where(scored.counts, scored.labels, ignore_index)
        statistics = piece_statistics(
            piece.logits, of_rows, options, rules.probabilities, pair.logits.name
        )
        return piece, scored._replace(labels=of_rows), statistics

    for index, (piece, scored, statistics) in enumerate(
        map_in_order(read, pieces(pair), threads, _PIECES_AT_A_TIME)
    ):
        if index == 0 and not rules.probabilities and not sigmoid:
            _note_probabilities(piece.logits, pair, seen)
        state.add(
            statistics,
            scored.labels.reshape(-1, pair.columns) if sigmoid else scored.labels,
            first_row=piece.first_row,
            group=scored.groups,
            source=pair.source,
            removed=scored.removed,
        )
        seen.ignored.update(scored.ignored)
        if keep is not None:
            keep(pair, piece, scored, statistics)
        advance(piece.rows)
    pair.check()


def threads_for(pairs: list[Pair], wanted: int) -> int:
    """Return how many threads have something to do, at most `wanted`."""
    return max(1, min(wanted, _MOST_THREADS, max(map(count_pieces, pairs), default=1)))


def _note_probabilities(logits: npt.NDArray[Any], pair: Pair, seen: Seen) -> None:
    if look_like_probabilities(logits):
        seen.notes.append(
            f"{pair.logits.name}: the rows are not negative and sum to 1, as probabilities do, and "
            "are taken as logits; for probabilities give probabilities (--probabilities)"
        )
