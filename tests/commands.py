"""Running the command line in a test's process, and what it should find."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastce.cli import main
from fastce.evaluation.engine import pieces, rows


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``fastce *arguments``."""
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def evaluate(capsys, *arguments):
    """The JSON that ``fastce evaluate *arguments`` prints."""
    status, out, err = run(capsys, "evaluate", *arguments, "--json")
    assert (status, err) == (0, "")
    return json.loads(out)


def refused(capsys, *arguments):
    """The one line that ``fastce *arguments`` prints on standard error, without its prefix."""
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("fastce: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err.removeprefix("fastce: error: ").rstrip("\n")


def reference(logits, labels, weights=None, smoothing=0.0):
    """Losses of the rows, their weights and the hits, straight from the formulas in float64."""
    logits = np.asarray(logits, np.float64).reshape(-1, logits.shape[-1])
    labels = np.asarray(labels, np.int64).reshape(-1)
    classes = logits.shape[-1]
    weights = np.ones(classes) if weights is None else np.asarray(weights, np.float64)
    valid = labels != -100
    logits, labels = logits[valid], labels[valid]
    logs = np.log(np.exp(logits).sum(axis=1, keepdims=True)) - logits
    of_label = weights[labels] * logs[np.arange(len(labels)), labels]
    losses = (1 - smoothing) * of_label + smoothing / classes * (logs @ weights)
    return losses, weights[labels], logits.argmax(axis=1) == labels


def save(path, array):
    np.save(path, array)
    return path


CLASSES = 7
SHAPE = (5, 4, 6)


def some_rows():
    """Logits and labels of several axes, every tenth row ignored."""
    rng = np.random.default_rng(7)
    logits = rng.normal(0, 3, (*SHAPE, CLASSES))
    labels = rng.integers(0, CLASSES, SHAPE)
    labels.flat[::10] = -100
    return logits, labels


LAYOUTS = {
    "C": lambda array: array,
    "Fortran": np.asfortranarray,
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "big-endian Fortran": lambda a: np.asfortranarray(a.astype(a.dtype.newbyteorder(">"))),
}


def shrink_blocks(monkeypatch):
    """Make pieces of few rows, so that small files have many; one row can be more than a piece."""
    for module in (rows, pieces):
        monkeypatch.setattr(module, "PIECE_BYTES", 100)
    monkeypatch.setattr(pieces, "CHUNK_BYTES", 300)
