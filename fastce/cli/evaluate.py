"""``fastce evaluate``: the loss and accuracy of a classifier whose logits lie in a file."""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import fastce
from fastce.cli import arguments as parse
from fastce.cli.report import Report, cell_text
from fastce.evaluation.block import Options
from fastce.evaluation.evaluate import evaluate
from fastce.evaluation.rows import Rows
from fastce.evaluation.totals import ClassTotals, Totals
from fastce.readers.errors import InputError
from fastce.readers.formats import NAMES, SEVERAL
from fastce.readers.opening import holds_several, open_source
from fastce.readers.source import Source
from fastce.readers.spool import mapped

_SAMPLE = Path(__file__).parents[1] / "data"
_MOST_THREADS = 16  # more would wait for the interpreter, and each takes a few megabytes


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = (
        "Evaluate a classifier: mean cross-entropy, perplexity and accuracy of the logits in a "
        "file. Without files, those of a classifier of handwritten digits that comes with fastce."
    )
    add = parser.add_argument
    add("logits", nargs="?", type=Path, metavar="LOGITS", help=f"{NAMES}, shape (..., classes)")
    add(
        "labels",
        nargs="?",
        type=Path,
        metavar="LABELS",
        help=f"{NAMES} of integers, shape (...); may be left out if LOGITS is a {SEVERAL} with "
        "both",
    )
    add(
        "--ignore-index",
        type=parse.integer,
        default=-100,
        metavar="LABEL",
        help="rows with this label do not count; default: -100",
    )
    add("--class-weight", type=Path, metavar="FILE", help=".npy with one weight for each class")
    add(
        "--label-smoothing",
        type=parse.fraction,
        default=0.0,
        metavar="E",
        help="share of the target that is spread over all classes, 0 to 1; default: 0",
    )
    add("--threads", type=parse.positive, metavar="N", help="default: as 'fastce config' tells")
    add("--per-class", action="store_true", help="also rows, loss and accuracy of each class")
    add("--json", action="store_true", help="print one JSON object and nothing else")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Evaluate, and print."""
    logits, labels = _sources(arguments.logits, arguments.labels, report)
    rows = Rows(logits, labels)
    weights = None
    if arguments.class_weight is not None:
        weights = _weights(_open(arguments.class_weight, "class_weight", report), rows.classes)
    options = Options(
        weights, arguments.label_smoothing, arguments.ignore_index, arguments.per_class
    )
    config = fastce.show_config(mode="dict")
    threads = min(arguments.threads or config["threads"], rows.most_threads, _MOST_THREADS)

    with report.progress("evaluating", rows.count) as advance:

        def step(done: int) -> None:
            logits.check()
            advance(done)

        begun = time.perf_counter()
        totals = evaluate(rows, options, threads, step)
        elapsed = time.perf_counter() - begun
    labels.check()

    result = _summary(rows, totals, elapsed)
    result |= {"instruction_set": config["instruction_set"], "threads": threads}
    table = _per_class(totals.classes, weights) if totals.classes is not None else None
    if arguments.json:
        files = {"logits": logits.name, "labels": labels.name}
        shapes = {"shape": logits.shape, "dtype": logits.dtype.name}
        report.json(files | shapes | result | ({"per_class": table} if table is not None else {}))
        return
    report.facts(_facts(logits, labels, result))
    if table is not None:
        report.table(
            ("class", "rows", "loss", "accuracy"), [tuple(line.values()) for line in table]
        )


def _sources(logits: Path | None, labels: Path | None, report: Report) -> tuple[Source, Source]:
    if logits is None:
        logits, labels = _SAMPLE / "digits_logits.npy", _SAMPLE / "digits_labels.npy"
    both = labels is None
    if labels is None:
        if not holds_several(logits):
            raise InputError(f"{logits}: holds no labels, expected LABELS or a {SEVERAL} with both")
        labels = logits
    return (
        _open(logits, "logits", report, named=both),
        _open(labels, "labels", report, named=both),
    )


def _open(path: Path, role: str, report: Report, *, named: bool = False) -> Source:
    return mapped(open_source(path, role, report, named=named), report)


def _weights(source: Source, classes: int) -> npt.NDArray[np.float64]:
    """Check the class weights: what the library would say of them does not name their file."""
    weights = source.read(0, classes + 1)
    if weights.dtype.kind not in "biuf":
        raise InputError(
            f"{source.name}: weights have dtype {weights.dtype}, expected real numbers"
        )
    if source.shape != (classes,):
        raise InputError(
            f"{source.name}: weights have shape {source.shape}, expected {(classes,)}, "
            "a weight for each class of the logits"
        )
    with np.errstate(over="ignore"):  # a long double past float64 is as good as infinite
        values = np.ascontiguousarray(weights, np.float64)
    good = np.isfinite(values) & (values >= 0)
    if not good.all():
        first = int(good.argmin())
        raise InputError(
            f"{source.name}: weights[{first}] is {weights[first]}, expected a finite number >= 0"
        )
    return values


def _summary(rows: Rows, totals: Totals, elapsed: float) -> dict[str, Any]:
    loss = _ratio(totals.loss, totals.weight)
    return {
        "classes": rows.classes,
        "rows": rows.count,
        "ignored_rows": rows.count - totals.rows,
        "loss_nats": loss,
        "loss_bits": loss / math.log(2),
        "perplexity": _exp(loss),
        "accuracy": _ratio(totals.hits, totals.rows),
        "elapsed_seconds": elapsed,
        "gigabytes_per_second": _ratio(rows.logits.nbytes / 1e9, elapsed),
    }


def _per_class(
    totals: ClassTotals, weights: npt.NDArray[np.float64] | None
) -> list[dict[str, Any]]:
    """Return a line for each class; its loss is the weighted mean of its own rows."""
    weights = np.ones(len(totals.rows)) if weights is None else weights
    columns = (totals.rows, totals.loss, weights, totals.hits)
    return [
        {
            "class": index,
            "rows": rows,
            "loss_nats": _ratio(loss, rows * weight),
            "accuracy": _ratio(hits, rows),
        }
        for index, (rows, loss, weight, hits) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True)
        )
    ]


def _facts(logits: Source, labels: Source, result: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("logits", f"{logits.name} {logits.shape} {logits.dtype.name}"),
        ("labels", f"{labels.name}"),
        ("rows", str(result["rows"])),
        ("ignored rows", str(result["ignored_rows"])),
        ("loss", f"{cell_text(result['loss_nats'])} nats, {cell_text(result['loss_bits'])} bits"),
        ("perplexity", cell_text(result["perplexity"])),
        ("accuracy", f"{cell_text(100 * result['accuracy'])} %"),
        ("elapsed", f"{result['elapsed_seconds']:.3g} s"),
        ("throughput", f"{result['gigabytes_per_second']:.3g} GB/s"),
        ("instruction set", result["instruction_set"]),
        ("threads", str(result["threads"])),
    ]


def _ratio(amount: float, whole: float) -> float:
    return amount / whole if whole else math.nan


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
