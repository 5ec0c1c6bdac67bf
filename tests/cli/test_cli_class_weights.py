"""What `fastce class-weights` counts, prints and writes."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from commands import evaluate, reference, refused, run, save

import fastce
from fastce.cli import class_weights

COUNTS = [1000, 2300, 20310, 6700]


@pytest.fixture
def counted(tmp_path):
    """Labels with the counts of the worked example, and some to ignore."""
    labels = np.repeat([0, 1, 2, 3, -100], [*COUNTS, 10])
    np.random.default_rng(0).shuffle(labels)
    return save(tmp_path / "counted.npy", labels.reshape(4, 20, -1))


def test_class_weights_of_the_worked_example(capsys, counted):
    status, out, err = run(capsys, "class-weights", counted)
    assert (status, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["class", "count", "ratio", "weight"]
    assert [line[:2] for line in lines[1:]] == [[str(i), str(n)] for i, n in enumerate(COUNTS)]
    assert [f"{float(line[2]):.4g}" for line in lines[1:]] == ["30.31", "13.18", "1.492", "4.524"]
    assert [f"{float(line[3]):.3g}" for line in lines[1:]] == ["3.41", "2.58", "1", "1.51"]
    status, out, _ = run(capsys, "class-weights", counted, "--normalize", "--json")
    found = json.loads(out)
    assert (found["rows"], found["ignored_rows"]) == (30310, 10)
    weights = [line["weight"] for line in found["classes"]]
    assert [f"{weight:.3g}" for weight in weights] == ["1", "0.756", "0.117", "0.442"]


@pytest.mark.parametrize("method", ["log", "balanced", "inverse", "effective", "median"])
@pytest.mark.parametrize("dtype", ["int64", "int16", ">i4"])
@pytest.mark.parametrize("order", "CF")
def test_class_weights_are_those_of_the_library(
    capsys, monkeypatch, tmp_path, counted, method, dtype, order
):
    monkeypatch.setattr(class_weights, "_PIECE", 1000)
    labels = save(tmp_path / "y.npy", np.load(counted).astype(dtype, order=order))
    output = tmp_path / "weights"
    status, _, err = run(
        capsys, "class-weights", labels, "--method", method, "--classes", 4, "--output", output
    )
    assert (status, err) == (0, "")
    weights = np.load(output)
    assert weights.dtype == np.float64
    np.testing.assert_array_equal(weights, fastce.class_weights(COUNTS, method))


def test_written_weights_serve_evaluate(capsys, tmp_path, counted):
    weights = tmp_path / "weights.npy"
    assert run(capsys, "class-weights", counted, "--output", weights)[0] == 0
    labels = np.load(counted)
    logits = np.random.default_rng(0).normal(size=(*labels.shape, 4))
    losses, row_weights, _ = reference(logits, labels, np.load(weights))
    found = evaluate(capsys, save(tmp_path / "x.npy", logits), counted, "--class-weight", weights)
    assert found["loss_nats"] == pytest.approx(losses.sum() / row_weights.sum(), rel=1e-13)


def test_class_weights_options(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(class_weights, "_PIECE", 2)
    y = save(tmp_path / "y.npy", np.array([0, 0, 2, 0, 2, 9, 0]))

    def weights(*options):
        status, out, err = run(capsys, "class-weights", y, "--json", *options)
        assert (status, err) == (0, "")
        return [line["weight"] for line in json.loads(out)["classes"]]

    found = weights("--zero-weight", 0.5, "--ignore-index", 9)
    assert found == fastce.class_weights([4, 0, 2], zero_weight=0.5).tolist()
    found = weights("--zero-weight", 0, "--ignore-index", 9, "--classes", 4)
    assert found == fastce.class_weights([4, 0, 2, 0], zero_weight=0).tolist()
    found = weights("--method", "effective", "--beta", 0.5, "--zero-weight", 0)
    counts = [4, 0, 2, 0, 0, 0, 0, 0, 0, 1]
    wanted = fastce.class_weights(counts, "effective", beta=0.5, zero_weight=0)
    assert found == wanted.tolist()


def test_class_weights_refused(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(class_weights, "_PIECE", 2)
    labels = np.zeros((3, 4), np.int64)
    labels[2, 1] = 3
    y = save(tmp_path / "y.npy", labels)
    message = refused(capsys, "class-weights", y)
    assert message == (
        f"{y}: no label is 1, expected all of 0 to 3, or --zero-weight for classes that never occur"
    )
    for order in "CF":
        y = save(tmp_path / "y.npy", labels.copy(order))
        message = refused(capsys, "class-weights", y, "--classes", 3)
        assert message == f"{y}: labels[2, 1] is 3, expected 0 to 2, or --ignore-index -100"
        message = refused(capsys, "class-weights", save(y, np.array(-1)), "--ignore-index", 7)
        assert message == f"{y}: labels[()] is -1, expected 0 or more, or --ignore-index 7"
    message = refused(capsys, "class-weights", y, "--classes", 2**60 - 1)
    assert message.startswith(f"--classes {2**60 - 1}: not enough memory")
    labels[1, 3] = 10**12
    y = save(tmp_path / "y.npy", labels)
    message = refused(capsys, "class-weights", y)
    assert message == (
        f"{y}: labels[1, 3] is {10**12}, expected less than 2**24, or --classes, "
        "the number of classes"
    )
    unseen = save(tmp_path / "unseen.npy", np.full(3, -100))
    assert refused(capsys, "class-weights", unseen) == (
        f"{unseen}: holds no label that counts, expected some"
    )
    y = save(tmp_path / "y.npy", np.arange(3))
    again = tmp_path / "again.npy"
    again.symlink_to(y)
    for output in (y, again):
        message = refused(capsys, "class-weights", y, "--output", output)
        assert message == f"{output}: is the file of the labels, expected another as --output"
    assert np.load(y).tolist() == [0, 1, 2]
    output = tmp_path / "no" / "weights.npy"
    y = save(tmp_path / "y.npy", np.arange(3))
    assert refused(capsys, "class-weights", y, "--output", output) == (
        f"{output}: cannot be written: No such file or directory"
    )


def test_weights_into_a_pipe(tmp_path):
    y = save(tmp_path / "y.npy", np.array([0, 0, 2, 0, 2, 1, 0]))
    command = [sys.executable, "-m", "fastce", "class-weights", str(y), "--output"]
    with (
        (tmp_path / "table").open("w") as table,
        subprocess.Popen(
            [*command, "/dev/stderr"], stdout=table, stderr=subprocess.PIPE
        ) as process,
    ):
        content = process.communicate(timeout=120)[1]
    found = np.load(io.BytesIO(content))
    np.testing.assert_array_equal(found, fastce.class_weights([4, 1, 2]))


def test_hints_at_labels_that_stand_for_nothing(capsys, tmp_path):
    y = save(tmp_path / "y.npy", np.array([0, 0, 1, 2]))
    assert "class 0 has no label that counts" in refused(
        capsys, "class-weights", y, "--ignore-index", 0
    )
    y = save(tmp_path / "y.npy", np.array([0, 1, 255], np.uint8))
    assert "expected --ignore-index 255" in refused(capsys, "class-weights", y)
    assert run(capsys, "class-weights", y, "--ignore-index", 255)[0] == 0
    y = save(tmp_path / "y.npy", np.array([0, 1, 65436], np.uint16))
    assert "-100 in 16 bits" in refused(capsys, "class-weights", y, "--classes", 2)
    y = save(tmp_path / "y.npy", np.array([0, 1, 2**64 - 100], np.uint64))
    assert run(capsys, "class-weights", y, "--ignore-index", 2**64 - 100)[0] == 0
