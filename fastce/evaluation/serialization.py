"""The state of an evaluation as bytes.

::

    "FASTCE-E"   8 bytes
    version      4 bytes, little-endian, as all that follows
    measured     8 bytes with its length, then a section: options, sums and counts
    places       8 bytes with its length, then a section: what depends on names and places
    SHA-256      32 bytes, of all before

A section is a JSON object, behind 8 bytes with its length, and the int64 arrays that it lists: all
elements of one, or, where it says "sparse", the indices of those that are not 0, then these. The
receipt is the SHA-256 of the first section. There is one way to write a state, and nothing else is
read.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from fastce.evaluation.options import OF_PLACES, Options, check_options
from fastce.evaluation.sums.confusions import Confusions
from fastce.evaluation.sums.exact import ExactSum, ExactTable, Integers
from fastce.evaluation.sums.hardest import Row
from fastce.evaluation.sums.histogram import CONFIDENCE_BUCKETS, LOSS_BUCKETS
from fastce.evaluation.sums.keyed import KeyedSums
from fastce.evaluation.sums.ledger import Ledger
from fastce.evaluation.sums.sums import HITS, ROWS, TOTALS, UNDEFINED, Sums

STATE_VERSION = 1
_MAGIC = b"FASTCE-E"
_DIGEST = 32
_DAMAGED = "this is no state of an evaluation, or it is damaged"

Arrays = dict[str, Integers]


def to_bytes(sums: Sums, options: Options, ledger: Ledger) -> bytes:
    """Write settled sums and the ledger."""
    parts = [_MAGIC, STATE_VERSION.to_bytes(4, "little")]
    for section in (_measured(sums, options), _places(sums, options, ledger)):
        parts += [len(section).to_bytes(8, "little"), section]
    data = b"".join(parts)
    return data + hashlib.sha256(data).digest()


def receipt(sums: Sums, options: Options) -> str:
    """Return the SHA-256 of the options, sums and counts."""
    return hashlib.sha256(_measured(sums, options)).hexdigest()


def from_bytes(data: bytes) -> tuple[Options, Sums, Ledger]:
    """Read what `to_bytes` has written, or raise ValueError."""
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"data is {type(data).__name__}, accepted are bytes")
    data = bytes(data)
    if data[:8] != _MAGIC or len(data) < 12 + _DIGEST:
        raise ValueError(_DAMAGED)
    version = int.from_bytes(data[8:12], "little")
    if hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
        raise ValueError(_DAMAGED)
    if version != STATE_VERSION:
        raise ValueError(
            f"the state of an evaluation has version {version}, accepted is {STATE_VERSION}"
        )
    try:
        read = _read(data[12:-_DIGEST])
        same = to_bytes(read[1], read[0], read[2]) == data
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        same = False
    if not same:
        raise ValueError(_DAMAGED)
    return read


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file as a whole, or leave it as it was."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _measured(sums: Sums, options: Options) -> bytes:
    head = {
        "options": {k: v for k, v in options._asdict().items() if k not in OF_PLACES},
        "arithmetic": sorted(sums.arithmetic),
        "grouped": sums.grouped,
        "ignored": sums.ignored,
        "removed": sums.removed,
        "confusions_kept": sums.confusions.kept,
        "totals": {name: [str(n) for n in t.as_list()] for name, t in sums.totals.items()},
        "losses": [sums.loss_histogram.least.hex(), sums.loss_histogram.largest.hex()],
    }
    keys, counts, tables = sums.groups.sorted()
    confused, confusions = sums.confusions.sorted()
    arrays: Arrays = {
        "classes": sums.classes,
        "predictions": sums.predictions,
        "positives": sums.positives,
        "undefined_positives": sums.undefined_positives,
        "ranks": sums.ranks,
        "confusion_keys": confused,
        "confusions": confusions,
        "group_keys": keys,
        "groups": counts,
        **_levels("class_loss", sums.class_loss),
    }
    for index, table in enumerate(tables):
        arrays |= _levels(f"group_sums_{index}", table)
    histograms: Arrays = {
        "loss_rows": sums.loss_histogram.rows,
        "confidence_rows": sums.confidences.rows,
        "confidence_hits": sums.confidences.hits,
        **_levels("confidence", sums.confidences.confidence),
    }
    return _pack(head, arrays, histograms)


def _places(sums: Sums, options: Options, ledger: Ledger) -> bytes:
    head = {
        "options": {name: getattr(options, name) for name in OF_PLACES},
        "ledger": ledger.ranges,
        "hardest": [(row.loss.hex(), *row[1:6], row.confidence.hex(), row.column)
                    for row in sums.hardest.rows],
        "nonfinite": sums.nonfinite.rows,
    }  # fmt: skip
    arrays: Arrays = {"drawn": sums.drawn}
    for index, table in enumerate(sums.replicates):
        arrays |= _levels(f"replicates_{index}", table)
    return _pack(head, arrays, {})


def _levels(name: str, table: ExactTable) -> Arrays:
    return {f"{name}:{unit}": level for unit, level in table.levels.items()}


def _pack(head: dict[str, Any], dense: Arrays, sparse: Arrays) -> bytes:
    listed, stored = [], []
    for kind, arrays in (("dense", dense), ("sparse", sparse)):
        for name in sorted(arrays):
            values = arrays[name].reshape(-1)
            if kind == "sparse":
                index = np.flatnonzero(values)
                values = np.concatenate([index, values[index]])
            listed.append([name, kind, len(values)])
            stored.append(values.astype("<i8").tobytes())
    head = {**head, "arrays": listed}
    text = json.dumps(head, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    return b"".join([len(text).to_bytes(8, "little"), text, *stored])


def _unpack(section: bytes) -> tuple[dict[str, Any], Arrays]:
    """Return the head of a section and its arrays as they are stored."""
    size = int.from_bytes(section[:8], "little")
    head = json.loads(section[8 : 8 + size])
    arrays: Arrays = {}
    at = 8 + size
    for name, _, count in head["arrays"]:
        arrays[name] = np.frombuffer(section, "<i8", count, at).astype(np.int64)
        at += 8 * count
    return head, arrays


def _read(body: bytes) -> tuple[Options, Sums, Ledger]:
    size = int.from_bytes(body[:8], "little")
    head, arrays = _unpack(body[8 : 8 + size])
    places, drawn = _unpack(body[8 + size + 8 :])
    options = check_options(**(head["options"] | places["options"]))
    if len(arrays["predictions"]) != options.classes:  # before memory is asked for
        raise ValueError("classes")
    if len(drawn["drawn"]) != 2 * options.bootstrap:
        raise ValueError("drawn")
    _check_head(head)
    sums = Sums(options, head["grouped"])
    sums.ignored, sums.removed = head["ignored"], head["removed"]
    sums.arithmetic = {(version, isa) for version, isa in head["arithmetic"]}
    sums.totals = {name: ExactSum(*map(int, head["totals"][name])) for name in TOTALS}
    for name in ("classes", "predictions", "positives", "undefined_positives", "ranks"):
        getattr(sums, name)[...] = _whole(arrays[name], getattr(sums, name))
    _read_table(sums.class_loss, "class_loss", arrays)
    _read_histograms(sums, head, arrays)
    sums.confusions = Confusions(options.classes, head["confusions_kept"])
    sums.confusions.put(arrays["confusion_keys"], arrays["confusions"])
    _read_groups(sums.groups, arrays)
    sums.drawn[...] = _whole(drawn["drawn"], sums.drawn)
    for index, table in enumerate(sums.replicates):
        _read_table(table, f"replicates_{index}", drawn)
    sums.hardest.rows = [
        Row(float.fromhex(loss), group, row, source, label, predicted, float.fromhex(p), column)
        for loss, group, row, source, label, predicted, p, column in places["hardest"]
    ]
    sums.nonfinite.rows = [(source, row) for source, row in places["nonfinite"]]
    _check_counts(sums)
    ledger = Ledger()
    for source, ranges in places["ledger"].items():
        for start, stop in ranges:
            ledger.check(source, start, stop)
            ledger.enter(source, start, stop)
    return options, sums, ledger


def _whole(values: Integers, like: Integers) -> Integers:
    if values.size and values.min() < 0:
        raise ValueError("a count below 0")
    return values.reshape(like.shape)


def _read_table(table: ExactTable, name: str, arrays: Arrays, sparse: bool = False) -> None:
    for key, values in arrays.items():
        kind, _, unit = key.rpartition(":")
        if kind == name:
            table.levels[int(unit)] = _scattered(values, table.size) if sparse else values
            if len(table.levels[int(unit)]) != table.size:
                raise ValueError(name)
    table.carry()


def _scattered(values: Integers, size: int) -> Integers:
    index, counts = values.reshape(2, -1)
    whole = np.zeros(size, np.int64)
    whole[index] = counts
    return whole


def _read_histograms(sums: Sums, head: dict[str, Any], arrays: Arrays) -> None:
    losses, confidences = sums.loss_histogram, sums.confidences
    losses.rows = _scattered(arrays["loss_rows"], LOSS_BUCKETS)
    losses.least, losses.largest = map(float.fromhex, head["losses"])
    confidences.rows = _scattered(arrays["confidence_rows"], CONFIDENCE_BUCKETS)
    confidences.hits = _scattered(arrays["confidence_hits"], CONFIDENCE_BUCKETS)
    _read_table(confidences.confidence, "confidence", arrays, sparse=True)


def _read_groups(groups: KeyedSums, arrays: Arrays) -> None:
    keys = arrays["group_keys"]
    tables = [ExactTable(len(keys)) for _ in range(groups.sums)]
    for index, table in enumerate(tables):
        _read_table(table, f"group_sums_{index}", arrays)
    groups.put(keys, arrays["groups"].reshape(groups.counts, len(keys)), tables)


def _check_head(head: dict[str, Any]) -> None:
    """Refuse what is of another type than an evaluation writes."""
    flags = (head["confusions_kept"], head["grouped"])
    counts = (head["ignored"], *head["removed"].values())
    if flags[0] not in (True, False) or flags[1] not in (True, False, None):
        raise ValueError("flags")
    if any(type(count) is not int or count < 0 for count in counts) or sum(counts[1:]) > counts[0]:
        raise ValueError("counts")


def _check_counts(sums: Sums) -> None:
    """Refuse counts that do not fit each other."""
    rows, hits, undefined = (sums.classes[i].sum() for i in (ROWS, HITS, UNDEFINED))
    for part in (sums.confidences.rows, sums.ranks):
        if part.min() < 0 or part.sum() != rows - undefined:
            raise ValueError("rows")
    _, of_groups, _ = sums.groups.sorted()
    if (sums.grouped and of_groups[ROWS].sum() != rows) or (not sums.grouped and of_groups.size):
        raise ValueError("groups")
    if sums.ranks[0] != hits or sums.confidences.hits.sum() != hits:
        raise ValueError("hits")
