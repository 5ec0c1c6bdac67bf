"""``fastce evaluate``: what a classifier's or language model's logits in files are worth."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import fastce
from fastce.cli import arguments as parse
from fastce.cli import evaluation_options as options
from fastce.cli.conditions import unmet
from fastce.cli.evaluation_output import Pass, show
from fastce.cli.report import Report, complain
from fastce.cli.state_file import load, save
from fastce.evaluation.engine.class_vectors import class_weights_of, token_bytes_of
from fastce.evaluation.engine.evaluate import marker
from fastce.evaluation.engine.inputs import Given, Layout, open_pairs
from fastce.evaluation.engine.pairs import Pair, notes_on
from fastce.evaluation.engine.row_file import RowFile
from fastce.evaluation.engine.run import (
    Known,
    Listener,
    Rules,
    check_labels_of,
    run_pairs,
    threads_for,
)
from fastce.evaluation.state import Evaluation
from fastce.readers.errors import InputError
from fastce.readers.opening import open_source
from fastce.readers.several import read_manifest

_SAMPLE = Path(__file__).parents[1] / "data"
_IGNORED = (-100,)
_HARDEST = 50  # rows that a state keeps if no more are asked for


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = (
        "Evaluate a classifier or language model from the logits in files, which are read once: "
        "cross-entropy, perplexity, accuracy, calibration, with standard errors. Without files, "
        "a classifier of handwritten digits that comes with fastce."
    )
    options.add_files(parser)
    options.add_loss(parser)
    options.add_results(parser)
    add = parser.add_argument_group("run").add_argument
    add(
        "--state",
        type=Path,
        metavar="FILE",
        help="keep the exact sums here, written after each file: started again, the command goes "
        "on with the files that are left; 'fastce merge' adds such files",
    )
    add(
        "--rows",
        type=Path,
        metavar="FILE",
        help="write what was found for each row: .npy or .parquet",
    )
    add("--threads", type=parse.positive, metavar="N", help="default: as 'fastce config' tells")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Evaluate, print, and return the exit status."""
    pairs = open_pairs(_given(arguments), _layout(arguments), report)
    rules = _rules(arguments)
    state = _new_state(arguments, pairs[0].classes, rules, report)
    if arguments.state is not None and arguments.state.exists():
        state = load(arguments.state, state)
    left = _left(pairs, state)
    config = fastce.show_config(mode="dict")
    threads = threads_for(left, arguments.threads or config["threads"])
    with report.progress("checking labels", sum(pair.rows for pair in left)) as advance:
        check_labels_of(left, rules, advance)
    with (
        _row_file(arguments.rows, pairs, left) as rows,
        report.progress("evaluating", sum(pair.rows for pair in left)) as advance,
    ):
        listener = _Listener(arguments.state, state, rows, advance)
        begun = time.perf_counter()
        run_pairs(left, state, rules, threads, listener)
        elapsed = time.perf_counter() - begun
    if len(left) < len(pairs):
        complain(f"note: {len(pairs) - len(left)} of {len(pairs)} files are in {arguments.state}")
    for text in dict.fromkeys(text for pair in pairs for text in notes_on(pair)):
        complain(f"note: {text}")
    if arguments.state is not None and not left:
        save(arguments.state, state)
    result = state.result()
    if result.all_rows and not result.rows:
        complain(f"note: all {result.all_rows} rows are ignored: no row counts")
    show(arguments, result, report, Pass(pairs, left, rules, elapsed, threads))
    return unmet(arguments, result)


class _Listener(Listener):
    """Moves the bar, writes rows and states, and says what should be known."""

    def __init__(
        self,
        path: Path | None,
        state: Evaluation,
        rows: RowFile | None,
        advance: Callable[[int], object],
    ) -> None:
        self._path, self._state, self._rows, self._advance = path, state, rows, advance

    def advance(self, rows: int) -> None:
        self._advance(rows)

    def note(self, text: str) -> None:
        complain(f"note: {text}")

    def keep(self, pair: Pair, known: Known) -> None:
        if self._rows is not None:
            self._rows.keep(pair, known)

    def done(self, pair: Pair) -> None:
        if self._path is not None:
            save(self._path, self._state)


def _given(arguments: argparse.Namespace) -> Given:
    logits: Sequence[Any] = arguments.logits
    labels: Sequence[Any] | None = arguments.labels
    if arguments.manifest is not None:
        if logits or labels is not None:
            raise InputError(f"{arguments.manifest}: expected --manifest or LOGITS, not both")
        pairs = read_manifest(arguments.manifest)
        logits, labels = [x for x, _ in pairs], [y for _, y in pairs]
        return Given(logits, labels, arguments.mask, arguments.groups)
    if not logits:
        if labels is not None:
            raise InputError("--labels is given, expected LOGITS as well")
        logits, labels = [_SAMPLE / "digits_logits.npy"], [_SAMPLE / "digits_labels.npy"]
    elif labels is None and len(logits) == 2:
        logits, labels = logits[:1], logits[1:]
    return Given(list(logits), labels, arguments.mask, arguments.groups)


def _layout(arguments: argparse.Namespace) -> Layout:
    return Layout(
        arguments.axis,
        arguments.loss == "sigmoid",
        arguments.key,
        arguments.labels_key,
        arguments.dtype,
        arguments.shift,
    )


def _rules(arguments: argparse.Namespace) -> Rules:
    ignored = tuple(dict.fromkeys(arguments.ignore_index or _IGNORED))
    return Rules(ignored, arguments.shift, arguments.probabilities)


def _new_state(
    arguments: argparse.Namespace, classes: int, rules: Rules, report: Report
) -> Evaluation:
    weights = token_bytes = None
    if arguments.class_weight is not None:
        source = open_source(arguments.class_weight, "class_weight", report)
        weights = class_weights_of(source, classes)
    if arguments.token_bytes is not None:
        source = open_source(arguments.token_bytes, "token_bytes", report)
        token_bytes = token_bytes_of(source, classes)
    try:
        return Evaluation(
            classes,
            class_weight=weights,
            label_smoothing=arguments.label_smoothing,
            ignore_index=marker(rules.ignored),
            temperature=arguments.temperature,
            hardest=max(_HARDEST, arguments.hardest),
            loss=arguments.loss,
            token_bytes=token_bytes,
        )
    except ValueError as error:
        raise InputError(str(error)) from error


def _left(pairs: list[Pair], state: Evaluation) -> list[Pair]:
    """Return the pairs whose rows are not in the state."""
    seen = state.result().sources
    return [
        pair
        for pair in pairs
        if pair.rows == 0 or (0, pair.rows) not in seen.get(pair.source or "", ())
    ]


def _row_file(
    path: Path | None, pairs: list[Pair], left: list[Pair]
) -> AbstractContextManager[RowFile | None]:
    if path is None:
        return nullcontext()
    if len(left) < len(pairs):
        raise InputError(
            f"{path}: --rows needs every file, and some are in the --state already; expected "
            "another --state"
        )
    return RowFile(path, pairs)
