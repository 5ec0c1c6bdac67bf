"""One pass over the logits of pairs, into the state of an evaluation.

Design: threads take whole pieces. They compute the numbers of their rows, which is nearly all of
the work and releases the GIL, and add them to the state, one thread at a time. Its sums are exact,
so neither the number of threads nor the order changes a bit of the result. (Were the calling thread
to add, each piece would wait for the interpreter's switch between threads, 5 ms.)
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastce.evaluation.engine.in_order import map_in_order
from fastce.evaluation.engine.labels import Scored
from fastce.evaluation.engine.pairs import Pair, check_all_labels
from fastce.evaluation.engine.piece_numbers import piece_numbers
from fastce.evaluation.engine.pieces import Piece, count_pieces, pieces
from fastce.evaluation.engine.probabilities import look_like_probabilities
from fastce.evaluation.losses import RowNumbers
from fastce.evaluation.options import Options
from fastce.evaluation.state import Evaluation
from fastce.readers.errors import InputError

_MOST_THREADS = 16  # more would wait for the interpreter, and each takes a few megabytes


class Rules(NamedTuple):
    """Which rows count, and what the numbers of the files are."""

    ignored: tuple[int, ...] = (-100,)  # labels that do not count
    shift: int = 0  # how many positions behind its logits a label lies
    probabilities: bool = False
    first_row: int = 0  # of arrays in memory, which have no name of their own


class Known(NamedTuple):
    """What is known of the rows of a piece."""

    piece: Piece
    labels: npt.NDArray[np.int64]  # the ignored label of the options where one does not count
    numbers: RowNumbers


class Listener:
    """Who follows a run; each method may be overridden."""

    def advance(self, rows: int) -> None:
        """Count rows that are done."""

    def note(self, text: str) -> None:
        """Tell the user."""

    def keep(self, pair: Pair, known: Known) -> None:
        """Take the numbers of the next piece; pieces come in order."""

    def done(self, pair: Pair) -> None:
        """Learn that all rows of a pair are in the state."""


def check_labels_of(
    pairs: list[Pair], rules: Rules, advance: Callable[[int], object] = lambda rows: None
) -> None:
    """Raise InputError for the first label that is no class; `advance` is told of rows done."""
    for pair in pairs:
        check_all_labels(pair, rules.ignored, rules.shift, advance)


def run_pairs(
    pairs: list[Pair], state: Evaluation, rules: Rules, threads: int, listener: Listener
) -> None:
    """Add all rows of the pairs, whose labels have been checked, to the state."""
    for pair in pairs:
        _run(pair, state, rules, threads, listener)
        pair.check()
        listener.done(pair)


def _run(pair: Pair, state: Evaluation, rules: Rules, threads: int, listener: Listener) -> None:
    labels = pair.row_labels(rules.ignored, rules.shift)
    options = Options(**state.options)
    name = pair.logits.name
    before = 0
    if pair.source is None:
        before = max(rules.first_row, _rows_without_name(state))
    adding = Lock()

    def read(piece: Piece) -> Known:
        pair.logits.check()  # reading a map past the end of its file would end the process
        scored = labels.of(piece.numbers)
        of_rows = scored.labels
        if scored.removed:
            of_rows = np.where(scored.counts, of_rows, options.ignore_index)
        numbers = piece_numbers(
            piece.logits, of_rows, options, probabilities=rules.probabilities, name=name
        )
        known = Known(piece, of_rows, numbers)
        with adding:
            _add(state, known, scored, pair, before)
        return known

    first = True
    for known in map_in_order(read, pieces(pair), threads, 1):
        if first and not rules.probabilities and not pair.sigmoid:
            _note_probabilities(known.piece.logits, name, listener)
        first = False
        listener.keep(pair, known)
        listener.advance(known.piece.rows)


def _rows_without_name(state: Evaluation) -> int:
    """Return how many rows of arrays in memory there have been."""
    return max((stop for _, stop in state.result().sources.get("", ())), default=0)


def _add(state: Evaluation, known: Known, scored: Scored, pair: Pair, before: int) -> None:
    removed = {rule: rows for rule, rows in scored.removed.items() if rule != "ignore_index"}
    try:
        state.add(
            known.numbers,
            known.labels,
            losses=known.numbers.loss,
            first_row=before + known.piece.first_row,
            group=scored.groups,
            source=pair.source,
            removed=removed,
        )
    except ValueError as error:  # rows that are there already, groups or none as before
        raise InputError(f"{pair.logits.name}: {error}") from error


def threads_for(pairs: list[Pair], wanted: int) -> int:
    """Return how many threads have something to do, at most `wanted`."""
    return max(1, min(wanted, _MOST_THREADS, max(map(count_pieces, pairs), default=1)))


def _note_probabilities(logits: npt.NDArray[Any], name: str, listener: Listener) -> None:
    if look_like_probabilities(logits):
        listener.note(
            f"{name}: rows are not negative and sum to 1 as probabilities do, but are taken as "
            "logits; say if they are probabilities (probabilities=True, --probabilities)"
        )
