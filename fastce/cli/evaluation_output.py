"""What ``fastce evaluate`` and ``fastce merge`` print: facts and tables, or one JSON object."""

from __future__ import annotations

import argparse
import math
from typing import Any, NamedTuple

import numpy as np

from fastce.cli.report import Report, cell_text
from fastce.evaluation.engine.pairs import Pair
from fastce.evaluation.engine.pieces import row_number
from fastce.evaluation.engine.run import Rules
from fastce.evaluation.results.result import EvaluationResult

SCHEMA = "fastce.evaluation/1"
_TOP = (1, 5)
_TOO_SHORT = 0.05  # seconds, in which there is no throughput to speak of


class Pass(NamedTuple):
    """What was read, and how."""

    pairs: list[Pair]  # all that are evaluated
    left: list[Pair]  # those that were read now
    rules: Rules
    elapsed: float
    threads: int


def show(
    arguments: argparse.Namespace, result: EvaluationResult, report: Report, read: Pass | None
) -> None:
    """Print an evaluation; `read` tells of the files, where they were read now."""
    top = arguments.top or tuple(k for k in _TOP if k == 1 or k < result.options.classes)
    found = result.as_dict(top=top, bins=arguments.bins)
    found |= {"options": _options(result, read)}
    if arguments.json:
        report.json(_json(arguments, result, found, read))
        return
    report.facts(_facts(result, found, read))
    if arguments.per_class:
        report.table(*_per_class_table(result))
    if arguments.hardest:
        rows = [tuple(row.values()) for row in _hardest(result, arguments.hardest, read)]
        report.table(("source", "row", "index", "label", "predicted", "loss", "confidence"), rows)


def _json(
    arguments: argparse.Namespace,
    result: EvaluationResult,
    found: dict[str, Any],
    read: Pass | None,
) -> dict[str, Any]:
    whole: dict[str, Any] = {"schema": SCHEMA}
    if read is not None:
        whole |= _files(read)
    whole |= found
    if read is not None:
        whole |= {
            "elapsed_seconds": read.elapsed,
            "gigabytes_per_second": _rate(read),
            "threads": read.threads,
        }
    whole["nonfinite_places"] = [
        {"source": source, "row": row} for source, row in result.nonfinite_places
    ]
    whole["gaps"] = _gaps(result)
    if arguments.per_class:
        whole["per_class"] = [
            {"class": row.label, "rows": row.rows, "loss_nats": row.loss, "accuracy": row.accuracy}
            | {"positives": row.positives, "predicted": row.predicted}
            | {"precision": row.precision, "recall": row.recall, "f1": row.f1}
            for row in result.per_class()
        ]
    if arguments.hardest:
        whole["hardest"] = _hardest(result, arguments.hardest, read)
    return whole


def _files(read: Pass) -> dict[str, Any]:
    first, more = read.pairs[0], len(read.pairs) - 1
    names = first.logits.name, first.labels.name
    if more:
        names = f"{names[0]} and {more} more", f"{names[1]} and {more} more"
    return {
        "logits": names[0],
        "labels": names[1],
        "shape": first.logits.shape if not more else None,
        "dtype": first.logits.dtype.name,
        "files": [
            {"logits": pair.logits.name, "labels": pair.labels.name, "shape": pair.logits.shape}
            for pair in read.pairs
        ],
    }


def _options(result: EvaluationResult, read: Pass | None) -> dict[str, Any]:
    options = result.options
    shown: dict[str, Any] = {
        "loss": options.loss,
        "class_weight": options.class_weight is not None,
        "label_smoothing": options.label_smoothing,
        "temperature": options.temperature,
        "ignore_index": [options.ignore_index],
        "token_bytes": options.token_bytes is not None,
    }
    if read is not None:
        shown |= {
            "ignore_index": list(read.rules.ignored),
            "shift": read.rules.shift,
            "probabilities": read.rules.probabilities,
            "axis": read.pairs[0].axis,
        }
    return shown


def _rate(read: Pass) -> float:
    nbytes = sum(math.prod(pair.logits.shape) * pair.logits.dtype.itemsize for pair in read.left)
    return nbytes / 1e9 / read.elapsed if read.elapsed else math.nan


def _gaps(result: EvaluationResult) -> list[dict[str, Any]]:
    return [
        {"source": source, "first_row": start, "rows": stop - start}
        for source, ranges in result.gaps.items()
        for start, stop in ranges
    ]


def _facts(
    result: EvaluationResult, found: dict[str, Any], read: Pass | None
) -> list[tuple[str, str]]:
    facts = []
    if read is not None:
        names = _files(read)
        shape = "" if names["shape"] is None else f" {names['shape']}"
        facts += [
            ("logits", f"{names['logits']}{shape} {names['dtype']}"),
            ("labels", names["labels"]),
        ]
    else:
        facts += [("sources", str(len(result.sources))), ("classes", str(found["classes"]))]
    facts += [("rows", str(found["rows"])), ("ignored rows", _removed(found))]
    if found["nonfinite_rows"]:
        facts.append(("non-finite rows", _nonfinite(result)))
    facts += [
        ("loss", f"{_number(found['loss_nats'])} nats, {_number(found['loss_bits'])} bits"),
        ("standard error", f"{_number(found['loss_standard_error'])} nats{_of_documents(found)}"),
        ("loss sum", f"{_number(found['loss_sum'])} of weight {_number(found['weight_sum'])}"),
        ("perplexity", _number(found["perplexity"]) + _of_weighted(result)),
    ]
    if found["documents"] is not None:
        facts.append(("documents", f"{found['documents']}, perplexity "
                      f"{_number(found['document_perplexity'])} of their mean"))  # fmt: skip
    if found["bits_per_byte"] is not None:
        facts.append(("bits per byte", _number(found["bits_per_byte"])))
    facts.append(("accuracy", _percent(found["accuracy"], found["accuracy_standard_error"])))
    facts += [(f"top-{k}", _percent(share)) for k, share in found["top_k"].items() if k != "1"]
    facts += [
        ("mrr", _number(found["mrr"])),
        ("brier", _number(found["brier"])),
        ("entropy", f"{_number(found['entropy_nats'])} nats"),
        ("confidence", _percent(found["confidence"])),
        ("ece", f"{_percent(found['ece'])}, {found['ece_bins']} bins"),
        ("options", _changed(found["options"])),
        ("receipt", found["receipt"]),
        ("fastce", found["version"]),
    ]
    if read is not None:
        short = read.elapsed < _TOO_SHORT
        rate = "too short to tell" if short else f"{_rate(read):.3g} GB/s"
        facts += [("elapsed", f"{read.elapsed:.3g} s"), ("throughput", rate)]
    facts.append(("instruction set", found["instruction_set"]))
    if read is not None:
        facts.append(("threads", str(read.threads)))
    facts += [
        ("missing rows", f"{gap['rows']} from {gap['first_row']} of {gap['source']}")
        for gap in _gaps(result)
    ]
    return facts


def _removed(found: dict[str, Any]) -> str:
    rules = ", ".join(f"{number} by {rule}" for rule, number in found["removed_rows"].items())
    return f"{found['ignored_rows']}" + (f" ({rules})" if rules else "")


def _nonfinite(result: EvaluationResult) -> str:
    source, row = result.nonfinite_places[0]
    return f"{result.nonfinite_rows}, the first is row {row}" + (f" of {source}" if source else "")


def _of_documents(found: dict[str, Any]) -> str:
    return "" if found["documents"] is None else ", between documents"


def _of_weighted(result: EvaluationResult) -> str:
    options = result.options
    kinds = [
        kind
        for kind, given in (
            ("weighted", options.class_weight is not None),
            ("smoothed", options.label_smoothing),
        )
        if given
    ]
    return f", of the {' and '.join(kinds)} loss" if kinds else ""


def _changed(options: dict[str, Any]) -> str:
    """Return the options that are not the defaults."""
    defaults = {"loss": "softmax", "temperature": 1.0, "ignore_index": [-100]}
    shown = []
    for name, value in options.items():
        if name == "axis" or value == defaults.get(name, value and None) or not value:
            continue
        text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
        shown.append(name.replace("_", "-") + ("" if value is True else f" {text}"))
    return ", ".join(shown) or "defaults"


def _number(value: float) -> str:
    return cell_text(float(value))


def _percent(value: float, error: float | None = None) -> str:
    plus = "" if error is None or math.isnan(error) else f" ± {100 * error:.2g}"
    return f"{_number(100 * value)}{plus} %"


def _per_class_table(
    result: EvaluationResult,
) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    columns = ("class", "rows", "loss", "accuracy", "predicted", "precision", "f1")
    rows: list[tuple[object, ...]] = [
        (row.label, row.rows, row.loss, row.accuracy, row.predicted, row.precision, row.f1)
        for row in result.per_class()
    ]
    return columns, rows


def _hardest(result: EvaluationResult, most: int, read: Pass | None) -> list[dict[str, Any]]:
    pairs = {pair.source or "": pair for pair in read.pairs} if read is not None else {}
    found = []
    for row in result.hardest[:most]:
        pair = pairs.get(row.source)
        index = None
        if pair is not None:
            number = row_number(pair, row.row)
            index = [int(i) for i in np.unravel_index(number, pair.shape)]
        line: dict[str, Any] = {
            "source": row.source,
            "row": row.row,
            "index": index,
            "label": row.label,
            "predicted": row.predicted,
            "loss_nats": row.loss,
            "confidence": row.confidence,
        }
        if row.group is not None:
            line["group"] = row.group
        if row.column is not None:
            line["column"] = row.column
        found.append(line)
    return found
