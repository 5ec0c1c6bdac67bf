"""``fastce class-weights``: weights of classes from the labels in a file."""

from __future__ import annotations

import argparse
import io
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

import fastce
from fastce.cli import arguments as parse
from fastce.cli.report import Report
from fastce.evaluation.engine.label_hints import hint_for
from fastce.readers.errors import InputError
from fastce.readers.formats import NAMES
from fastce.readers.opening import open_source
from fastce.readers.source import Source, check_labels
from fastce.readers.spool import mapped

_METHODS = ("log", "balanced", "inverse", "effective", "median")
_PIECE = 1 << 20  # labels counted between two steps of the progress bar
_VOID = 255  # what segmentation data sets give to pixels without a class
_MOST_CLASSES = 1 << 24  # beyond, a label is more likely a mistake than a class


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = "Count the labels in a file and weigh each class by its rarity."
    add = parser.add_argument
    add("labels", type=Path, metavar="LABELS", help=f"{NAMES} of integers, any shape")
    add("--method", choices=_METHODS, default="log", help="default: log")
    add("--normalize", action="store_true", help="divide by the largest weight")
    add("--classes", type=parse.positive, metavar="N", help="default: the largest label + 1")
    add(
        "--ignore-index",
        type=parse.label,
        default=-100,
        metavar="LABEL",
        help="a label that is not counted; default: -100",
    )
    add("--zero-weight", type=parse.weight, metavar="W", help="weight of classes without labels")
    add(
        "--beta",
        type=parse.below_one,
        metavar="B",
        help="of the method 'effective'; default: 0.999",
    )
    add("--json", action="store_true", help="print one JSON object and nothing else")
    add(
        "--output",
        type=Path,
        metavar="FILE",
        help="also write the weights, for 'evaluate --class-weight'",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Count, weigh, write, and print."""
    output = arguments.output
    labels = mapped(open_source(arguments.labels, "labels", report), report)
    check_labels(labels)
    if output is not None and _same_file(output, arguments.labels):
        raise InputError(f"{output}: is the file of the labels, expected another as --output")
    counts = _count(labels, arguments.classes, arguments.ignore_index, report)
    if arguments.zero_weight is None and not counts.all():
        if not counts.any():
            raise InputError(f"{labels.name}: holds no label that counts, expected some")
        raise InputError(_without_labels(labels.name, counts, arguments))
    given = {"beta": arguments.beta, "zero_weight": arguments.zero_weight}
    try:
        weights = fastce.class_weights(
            counts,
            arguments.method,
            arguments.normalize,
            **{name: value for name, value in given.items() if value is not None},
        )
    except ValueError as error:
        raise InputError(f"{labels.name}: {error}") from error
    if output is not None:
        _save(output, weights)
    _show(arguments, labels, counts, weights, report)


def _without_labels(name: str, counts: npt.NDArray[np.int64], arguments: argparse.Namespace) -> str:
    """Say which class has no label, and what may be behind it."""
    missing, largest = int(counts.argmin()), len(counts) - 1
    if missing == arguments.ignore_index:
        return (
            f"{name}: class {missing} has no label that counts, as it is --ignore-index, expected "
            "another --ignore-index, or --zero-weight for classes without labels"
        )
    if arguments.classes is None and largest == _VOID:
        return (
            f"{name}: no label is {missing}, and the largest is {largest}, which often stands for "
            f"no class: expected --ignore-index {largest}, or --zero-weight for classes that never "
            "occur"
        )
    return (
        f"{name}: no label is {missing}, expected all of 0 to {largest}, or --zero-weight for "
        "classes that never occur"
    )


def _count(
    labels: Source, classes: int | None, ignore_index: int, report: Report
) -> npt.NDArray[np.int64]:
    """Count piece by piece; with no number of classes given, as many as the labels call for."""
    try:
        counts = np.zeros(classes or 1, np.int64)
    except (MemoryError, ValueError) as error:
        raise InputError(f"--classes {classes}: not enough memory: {error}") from error
    array = labels.array
    assert array is not None
    in_memory_order = array.ravel(order="K")  # a view, as maps are in C or Fortran order
    with report.progress("counting", array.size) as advance:
        for start in range(0, array.size, _PIECE):
            piece = in_memory_order[start : start + _PIECE]
            kept = piece != ignore_index
            if classes is None:
                counts = _grown(counts, piece, kept, labels.name, array, start)
            outside = kept & ((piece < 0) | (piece >= len(counts)))
            if outside.any():
                first = int(outside.argmax())
                accepted = "0 or more" if classes is None else f"0 to {classes - 1}"
                raise InputError(
                    f"{labels.name}: labels[{_place(array, start + first)}] is "
                    f"{piece[first]}, expected {accepted}, or --ignore-index {ignore_index}"
                    + hint_for(int(piece[first]), array.dtype, classes or len(counts))
                )
            counts += fastce.class_counts(piece, len(counts), ignore_index=ignore_index)
            labels.check()
            advance(len(piece))
    return counts


def _place(labels: npt.NDArray[Any], element: int) -> str:
    """Return the index of an element that is counted in memory order, as between brackets."""
    order: Literal["C", "F"] = "C" if labels.flags.c_contiguous else "F"
    return ", ".join(map(str, np.unravel_index(element, labels.shape, order))) or "()"


def _grown(
    counts: npt.NDArray[np.int64],
    piece: npt.NDArray[Any],
    kept: npt.NDArray[np.bool_],
    name: str,
    labels: npt.NDArray[Any],
    start: int,
) -> npt.NDArray[np.int64]:
    largest = int(piece.max(initial=0, where=kept))
    if largest >= _MOST_CLASSES:
        at = start + int((kept & (piece == largest)).argmax())
        raise InputError(
            f"{name}: labels[{_place(labels, at)}] is {largest}, expected less than "
            f"2**24, or --classes, the number of classes"
        )
    return np.pad(counts, (0, max(0, largest + 1 - len(counts))))


def _same_file(output: Path, labels: Path) -> bool:
    try:
        return output.samefile(labels)
    except OSError:  # there is none yet, or none that can be written
        return False


def _save(path: Path, weights: npt.NDArray[np.float64]) -> None:
    content = io.BytesIO()  # a pipe has no position, which np.save asks a file for
    np.save(content, weights)
    try:
        path.write_bytes(content.getvalue())
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _show(
    arguments: argparse.Namespace,
    labels: Source,
    counts: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64],
    report: Report,
) -> None:
    rows = int(counts.sum())
    ratios = [rows / count if count else math.inf for count in counts.tolist()]
    columns = ("class", "count", "ratio", "weight")
    lines = list(zip(range(len(counts)), counts.tolist(), ratios, weights.tolist(), strict=True))
    if not arguments.json:
        report.table(columns, lines)
        return
    report.json(
        {
            "labels": labels.name,
            "method": arguments.method,
            "normalize": arguments.normalize,
            "rows": rows,
            "ignored_rows": math.prod(labels.shape) - rows,
            "classes": [dict(zip(columns, line, strict=True)) for line in lines],
        }
    )
