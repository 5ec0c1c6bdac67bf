"""What `fastce evaluate` computes and prints, run in this process."""

from __future__ import annotations

import math

import numpy as np
import pytest
from commands import (
    CLASSES,
    LAYOUTS,
    SHAPE,
    evaluate,
    reference,
    run,
    save,
    shrink_blocks,
    some_rows,
)


@pytest.fixture
def small_blocks(monkeypatch):
    shrink_blocks(monkeypatch)


@pytest.fixture
def case():
    return some_rows()


@pytest.fixture
def files(tmp_path, case):
    """The case as two files."""
    logits, labels = case
    return save(tmp_path / "logits.npy", logits), save(tmp_path / "labels.npy", labels)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("labels_layout", ["C", "Fortran", "big-endian"])
@pytest.mark.parametrize("logits_layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.usefixtures("small_blocks")
def test_any_layout(capsys, tmp_path, case, dtype, logits_layout, labels_layout, threads):
    logits, labels = case
    logits = logits.astype(dtype)
    losses, weights, hits = reference(logits, labels)
    found = evaluate(
        capsys,
        save(tmp_path / "x.npy", LAYOUTS[logits_layout](logits)),
        save(tmp_path / "y.npy", LAYOUTS[labels_layout](labels)),
        "--threads",
        threads,
    )
    assert found["shape"] == [*SHAPE, CLASSES]
    assert found["dtype"] == dtype
    assert found["classes"] == CLASSES
    assert found["rows"] == labels.size == 120
    assert found["ignored_rows"] == 12
    assert found["loss_nats"] == pytest.approx(losses.sum() / weights.sum(), rel=1e-7)
    assert found["loss_bits"] == pytest.approx(found["loss_nats"] / math.log(2), rel=1e-14)
    assert found["perplexity"] == pytest.approx(math.exp(found["loss_nats"]), rel=1e-14)
    assert found["accuracy"] == hits.mean()
    assert found["threads"] == threads


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "uint64"])
def test_any_integer_label(capsys, tmp_path, case, dtype):
    logits, labels = case
    labels = np.where(labels == -100, 0, labels)
    x = save(tmp_path / "x.npy", logits)
    wanted = evaluate(capsys, x, save(tmp_path / "wanted.npy", labels))
    found = evaluate(capsys, x, save(tmp_path / "y.npy", labels.astype(dtype)))
    assert found["ignored_rows"] == 0
    assert found["loss_nats"] == wanted["loss_nats"]
    assert found["accuracy"] == wanted["accuracy"]


def test_half_precision(capsys, tmp_path, case):
    logits, labels = case
    half = logits.astype(np.float16)
    found = evaluate(
        capsys, save(tmp_path / "x.npy", half), save(tmp_path / "y.npy", labels), "--per-class"
    )
    losses, _, hits = reference(half, labels)
    assert found["dtype"] == "float16"
    assert found["loss_nats"] == pytest.approx(losses.mean(), rel=1e-6)
    assert found["accuracy"] == hits.mean()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("weights", [None, "float64", "int32", ">f4"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weighted_mean_and_classes(capsys, tmp_path, case, files, weights, smoothing):
    values = None
    options = ["--per-class", "--label-smoothing", smoothing]
    if weights is not None:
        values = np.array([3, 1, 0, 4, 2, 5, 1]).astype(weights)
        options += ["--class-weight", save(tmp_path / "w.npy", values)]
    losses, row_weights, hits = reference(*case, values, smoothing)
    found = evaluate(capsys, *files, *options)
    assert found["loss_nats"] == pytest.approx(losses.sum() / row_weights.sum(), rel=1e-13)
    summed = evaluate(capsys, *files, *options[1:])
    assert summed["loss_nats"] == pytest.approx(found["loss_nats"], rel=1e-13)

    labels = case[1][case[1] != -100]
    for index, line in enumerate(found["per_class"]):
        of_class = labels == index
        assert line["class"] == index
        assert line["rows"] == of_class.sum()
        assert line["accuracy"] == pytest.approx(hits[of_class].mean(), rel=1e-14)
        divisor = row_weights[of_class].sum()
        if divisor:
            loss = losses[of_class].sum() / divisor
            assert line["loss_nats"] == pytest.approx(loss, rel=1e-12, abs=1e-15)
        else:
            assert line["loss_nats"] is None


def test_the_same_bits_for_any_number_of_threads(capsys, files, small_blocks):
    found = [evaluate(capsys, *files, "--threads", n, "--per-class") for n in (1, 2, 5)]
    for result in found:
        for name in ("elapsed_seconds", "gigabytes_per_second", "threads"):
            del result[name]
    assert found[0] == found[1] == found[2]


@pytest.mark.usefixtures("small_blocks")
def test_ties_and_nans_count_as_in_argmax(capsys, tmp_path):
    rng = np.random.default_rng(1)
    logits = rng.integers(0, 2, (50, 60)).astype(np.float32)  # several pieces of classes
    logits[10, 40] = logits[10, 55] = np.nan
    y = save(tmp_path / "y.npy", logits.argmax(axis=1))
    for layout in LAYOUTS.values():
        x = save(tmp_path / "x.npy", layout(logits))
        assert evaluate(capsys, x, y)["accuracy"] == 1
    y = save(tmp_path / "y.npy", 59 - logits[:, ::-1].argmax(axis=1))
    assert evaluate(capsys, x, y)["accuracy"] == 0


def test_ignored_class_does_not_count(capsys, tmp_path):
    x = save(tmp_path / "x.npy", np.array([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0]]))
    y = save(tmp_path / "y.npy", np.array([0, 1, 1]))
    found = evaluate(capsys, x, y, "--ignore-index", 0)
    assert (found["rows"], found["ignored_rows"], found["accuracy"]) == (3, 1, 0.5)


@pytest.mark.parametrize("shape", [(0, 3), (0, 4, 3), (4, 0, 3)])
def test_no_rows(capsys, tmp_path, shape):
    x = save(tmp_path / "x.npy", np.zeros(shape))
    y = save(tmp_path / "y.npy", np.zeros(shape[:-1], np.int64))
    found = evaluate(capsys, x, y, "--per-class")
    assert found["rows"] == 0
    assert found["loss_nats"] is found["accuracy"] is found["perplexity"] is None


def test_one_row_without_an_axis(capsys, tmp_path):
    x = save(tmp_path / "x.npy", np.zeros(4))
    y = save(tmp_path / "y.npy", np.int64(2))
    assert evaluate(capsys, x, y)["loss_nats"] == pytest.approx(math.log(4))


def test_json_of_infinite_loss(capsys, tmp_path):
    x = save(tmp_path / "x.npy", np.array([[-np.inf, 0.0]]))
    y = save(tmp_path / "y.npy", np.array([0]))
    found = evaluate(capsys, x, y)
    assert found["loss_nats"] is found["perplexity"] is None
    assert found["nonfinite_rows"] == 1


def test_sums_beyond_float64(capsys, tmp_path, small_blocks):
    x = save(tmp_path / "x.npy", np.tile([-8e307, 8e307], (20, 1)))
    y = save(tmp_path / "y.npy", np.zeros(20, np.int64))
    found = evaluate(capsys, x, y)
    assert found["loss_nats"] == 1.6e308  # the mean of exact sums
    assert found["loss_sum"] is None


def test_text(capsys, files, case):
    status, out, err = run(capsys, "evaluate", *files, "--per-class")
    assert (status, err) == (0, "")
    losses, _, hits = reference(*case)
    lines = out.splitlines()
    header = next(i for i, line in enumerate(lines) if line.split()[:2] == ["class", "rows"])
    facts = {line[:16].strip(): line[16:] for line in lines[:header]}
    bits = losses.mean() / math.log(2)
    assert facts["loss"] == f"{losses.mean():.6g} nats, {bits:.6g} bits"
    error = np.std(hits, ddof=1) / math.sqrt(hits.size)
    assert facts["accuracy"] == f"{100 * hits.mean():.6g} ± {100 * error:.2g} %"
    assert facts["ignored rows"] == "12 (12 by ignore_index)"
    sums = f"{losses.sum():.6g} of weight {hits.size}"
    assert facts["loss sum"] == sums
    assert lines[header].split()[:4] == ["class", "rows", "loss", "accuracy"]
    assert [line.split()[0] for line in lines[header + 1 :]] == [str(c) for c in range(CLASSES)]


# Archives


@pytest.mark.parametrize("savez", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", "CF")
def test_archives(capsys, tmp_path, case, files, savez, order):
    logits, labels = (np.asarray(array, order=order) for array in case)
    wanted = evaluate(capsys, *files)
    both, named, alone = (tmp_path / f"{name}.npz" for name in ("both", "named", "alone"))
    savez(both, logits=logits, labels=labels)
    savez(named, other=labels, logits=logits)
    savez(alone, labels)
    for arguments in ([both], [both, both], [both, files[1]], [named, alone]):
        found = evaluate(capsys, *arguments)
        assert found["loss_nats"] == pytest.approx(wanted["loss_nats"], rel=1e-14)
        assert found["accuracy"] == wanted["accuracy"]
    assert evaluate(capsys, named, alone)["labels"] == f"{alone}[arr_0]"
