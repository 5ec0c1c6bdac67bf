"""Options of `fastce evaluate`, `fastce merge` and `fastce config --json`."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import ml_dtypes
import numpy as np
import pyarrow.parquet
import pytest
from commands import evaluate, refused, run, save, shrink_blocks

import fastce

L3 = math.log(3)


@pytest.fixture
def case(tmp_path):
    """Three pairs of files, and all of them as one."""
    rng = np.random.default_rng(3)
    x = rng.normal(0, 3, (50, 7)).astype(np.float32)
    y = rng.integers(0, 7, 50)
    y[::8] = -100
    for index, part in enumerate(np.split(np.arange(50), [20, 31])):
        save(tmp_path / f"x{index}.npy", x[part])
        save(tmp_path / f"y{index}.npy", y[part])
    return save(tmp_path / "x.npy", x), save(tmp_path / "y.npy", y), tmp_path


def noted(capsys, *arguments):
    """JSON and standard error of an evaluation that has something to say."""
    status, out, err = run(capsys, "evaluate", *arguments, "--json")
    assert status == 0
    return json.loads(out), err


KEYS = (
    "schema rows ignored_rows nonfinite_rows removed_rows loss_nats loss_standard_error loss_sum "
    "weight_sum perplexity accuracy accuracy_standard_error top_k mrr brier entropy_nats "
    "confidence ece ece_bins bits_per_byte documents receipt state_version instruction_set "
    "options version logits labels shape dtype classes loss_bits elapsed_seconds "
    "gigabytes_per_second threads"
)


def test_keys_of_the_json(capsys, case):
    found = evaluate(capsys, *case[:2], "--top", "1,3", "--bins", 10)
    assert set(KEYS.split()) <= found.keys()
    assert found["schema"] == "fastce.evaluation/1"
    assert found["top_k"].keys() == {"1", "3"}
    assert found["ece_bins"] == 10
    assert found["removed_rows"] == {"ignore_index": 7}
    assert found["loss_nats"] == pytest.approx(found["loss_sum"] / found["weight_sum"], rel=1e-15)


@pytest.mark.parametrize("threads", [1, 3])
def test_several_files(capsys, monkeypatch, case, threads):
    shrink_blocks(monkeypatch)
    x, y, folder = case
    whole = evaluate(capsys, x, y)
    xs = [folder / f"x{i}.npy" for i in range(3)]
    ys = [folder / f"y{i}.npy" for i in range(3)]
    manifest = folder / "manifest.txt"
    manifest.write_text("".join(f"x{i}.npy y{i}.npy\n" for i in range(3)))
    for arguments in (
        [*xs, "--labels", *ys],
        [folder / "x?.npy", "--labels", folder / "y?.npy"],
        [*xs, "--labels", y],
        ["--manifest", manifest],
    ):
        found = evaluate(capsys, *arguments, "--threads", threads)
        assert found["receipt"] == whole["receipt"]
        assert found["rows"] == 50
        assert found["logits"] == f"{xs[0]} and 2 more"
        assert len(found["files"]) == 3


def test_states_and_their_sum(capsys, case):
    x, y, folder = case
    whole = evaluate(capsys, x, y)
    states = []
    for i in (1, 0, 2):
        states.append(folder / f"s{i}")
        evaluate(capsys, folder / f"x{i}.npy", folder / f"y{i}.npy", "--state", states[-1])
    output = folder / "all"
    status, out, err = run(capsys, "merge", *states, "--json", "--output", output)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found["receipt"] == whole["receipt"]
    assert found["loss_nats"] == whole["loss_nats"]
    assert fastce.Evaluation.load(output).receipt == whole["receipt"]
    status, out, _ = run(capsys, "merge", output)
    assert whole["receipt"] in out
    assert "already" in refused(capsys, "merge", *states, states[1])
    other = folder / "other"
    evaluate(capsys, x, y, "--state", other, "--label-smoothing", 0.1)
    assert "label_smoothing" in refused(capsys, "merge", *states, other)
    assert refused(capsys, "merge", x).startswith(f"{x}: ")
    assert "No such file" in refused(capsys, "merge", folder / "missing")


def test_an_interrupted_run_goes_on(capsys, monkeypatch, case):
    x, y, folder = case
    whole = evaluate(capsys, x, y)
    state = folder / "state"
    arguments = [folder / "x?.npy", "--labels", folder / "y?.npy", "--state", state]
    from fastce.evaluation.engine import run as engine

    numbers = engine.piece_numbers
    left = [2]

    def interrupted(*given, **options):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return numbers(*given, **options)

    monkeypatch.setattr(engine, "piece_numbers", interrupted)
    assert run(capsys, "evaluate", *arguments)[0] == 130
    assert fastce.Evaluation.load(state).result().all_rows == 31
    left[0] = 1  # the third file alone is read
    found, err = noted(capsys, *arguments)
    assert "2 of 3 files are in" in err
    assert found["receipt"] == whole["receipt"]
    left[0] = 0
    assert noted(capsys, *arguments)[0]["receipt"] == whole["receipt"]
    assert "label_smoothing" in refused(capsys, "evaluate", *arguments, "--label-smoothing", 0.5)
    rows = folder / "rows.npy"
    assert "--rows needs every file" in refused(capsys, "evaluate", *arguments, "--rows", rows)


def test_conditions(capsys, case):
    x, y, folder = case
    assert run(capsys, "evaluate", x, y, "--expect-rows", 50, "--expect-finite")[0] == 0
    status, out, err = run(capsys, "evaluate", x, y, "--expect-rows", 51)
    assert (status, err) == (1, "fastce: rows is 50, expected 51\n")
    assert "loss" in out
    bad = save(folder / "bad.npy", np.array([[np.nan, 0, 0], [0, 1.0, 0]]))
    labels = save(folder / "l.npy", np.array([0, 1]))
    status, out, err = run(capsys, "evaluate", bad, labels, "--expect-finite")
    assert (status, err) == (1, "fastce: 1 rows are not finite, expected none\n")
    assert f"1, the first is row 0 of {bad}" in out
    found = evaluate(capsys, bad, labels)
    assert found["loss_nats"] is None
    assert (found["accuracy"], found["nonfinite_rows"]) == (1.0, 1)
    assert found["nonfinite_places"] == [{"source": str(bad), "row": 0}]


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
@pytest.mark.parametrize("order", "CF")
def test_rows(capsys, monkeypatch, tmp_path, suffix, order):
    shrink_blocks(monkeypatch)
    rng = np.random.default_rng(0)
    x = np.asarray(rng.normal(0, 2, (4, 5, 6)), order=order)
    y = rng.integers(0, 6, (4, 5))
    y[2, 3] = -100
    files = save(tmp_path / "x.npy", x), save(tmp_path / "y.npy", y)
    output = tmp_path / f"rows{suffix}"
    evaluate(capsys, *files, "--rows", output, "--threads", 3)
    if suffix == ".npy":
        table = np.load(output)
    else:
        read = pyarrow.parquet.read_table(output)
        table = {name: read[name].to_numpy() for name in read.column_names}
    order_of = np.argsort(table["row"])
    assert table["row"][order_of].tolist() == list(range(20))
    assert table["label"][order_of].tolist() == y.ravel().tolist()
    wanted = fastce.row_statistics(x, y)
    for name in ("loss", "rank", "predicted", "confidence", "margin", "entropy", "brier"):
        np.testing.assert_array_equal(table[name][order_of], getattr(wanted, name).ravel())
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert "ends in .npy or .parquet" in refused(
        capsys, "evaluate", *files, "--rows", tmp_path / "rows.csv"
    )


def test_language_model(capsys, tmp_path):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(3, 6, 9)), rng.integers(0, 9, (3, 6))
    mask = np.ones((3, 6), bool)
    mask[0, 4:] = False
    size = rng.integers(1, 5, 9)
    files = [save(tmp_path / f"{n}.npy", a) for n, a in [("x", x), ("y", y), ("m", mask)]]
    groups, sizes = save(tmp_path / "g.npy", np.array([4, 4, 9])), save(tmp_path / "b.npy", size)
    options = ["--mask", files[2], "--groups", groups, "--token-bytes", sizes, "--shift", 1]
    found = evaluate(capsys, *files[:2], *options)
    wanted = fastce.evaluate(x, y, mask=mask, groups=np.array([4, 4, 9]), token_bytes=size, shift=1)
    assert found["removed_rows"] == {"mask": 2, "shift": 3}
    assert (found["rows"], found["ignored_rows"], found["documents"]) == (18, 5, 2)
    assert found["bits_per_byte"] == wanted.bits_per_byte
    assert found["loss_nats"] == wanted.loss
    status, out, err = run(capsys, "evaluate", *files[:2], *options)
    assert (status, err) == (0, "")
    assert "5 (2 by mask, 3 by shift)" in out
    assert "bits per byte" in out
    assert "shift 1" in out


def test_ignored_labels(capsys, tmp_path):
    x = save(tmp_path / "x.npy", np.zeros((4, 3)))
    y = save(tmp_path / "y.npy", np.array([0, 255, 2**64 - 100, 1], np.uint64))
    found = evaluate(capsys, x, y, "--ignore-index", 255, "--ignore-index", 2**64 - 100)
    assert (found["ignored_rows"], found["weight_sum"]) == (2, 2)
    assert found["options"]["ignore_index"] == [255, 2**64 - 100]
    assert "(ignore_index 255, --ignore-index 255)" in refused(capsys, "evaluate", x, y)
    y = save(tmp_path / "y.npy", np.full(4, -100))
    _, err = noted(capsys, x, y)
    assert "no row counts" in err


def test_axis_bfloat16_and_names(capsys, tmp_path):
    x = np.array([[0, 0, 0], [L3, 0, 0], [0, 0, 0]])
    files = save(tmp_path / "x.npy", x), save(tmp_path / "y.npy", np.array([1, 1, 2]))
    found, err = noted(capsys, *files, "--axis", 0)
    assert found["loss_nats"] == pytest.approx(0.9026834004)
    assert "axis 1 would fit as well" in err
    half = save(tmp_path / "b.npy", x.astype(ml_dtypes.bfloat16))
    found, _ = noted(capsys, half, files[1], "--dtype", "bfloat16")
    assert found["dtype"] == "bfloat16"
    assert "bfloat16" in refused(capsys, "evaluate", half, files[1])
    np.savez(tmp_path / "n.npz", scores=x, targets=np.array([1, 1, 2]), other=x)
    names = ["--key", "scores", "--labels-key", "targets"]
    found, _ = noted(capsys, tmp_path / "n.npz", *names)
    assert found["loss_nats"] == pytest.approx(1.2688874966)


def test_sigmoid_and_probabilities(capsys, tmp_path):
    x = save(tmp_path / "x.npy", np.array([[3.0], [-3.0]]))
    y = save(tmp_path / "y.npy", np.array([1, 0]))
    found = evaluate(capsys, x, y, "--loss", "sigmoid", "--per-class")
    assert found["loss_nats"] == pytest.approx(0.0485873516)
    assert found["per_class"][0]["positives"] == 1
    p = save(tmp_path / "p.npy", np.array([[0.9, 0.1]]))
    zero = save(tmp_path / "z.npy", np.array([0]))
    found, err = noted(capsys, p, zero)
    assert found["loss_nats"] == pytest.approx(0.3711006660)
    assert "--probabilities" in err
    assert evaluate(capsys, p, zero, "--probabilities")["loss_nats"] == pytest.approx(0.1053605157)


def test_hardest(capsys, case):
    x, y, _ = case
    found = evaluate(capsys, x, y, "--hardest", 3)["hardest"]
    losses = fastce.row_statistics(np.load(x), np.load(y)).loss
    order = np.argsort(-losses)[:3]
    assert [row["row"] for row in found] == order.tolist()
    assert [row["index"] for row in found] == [[i] for i in order.tolist()]
    out = run(capsys, "evaluate", x, y, "--hardest", 3)[1]
    assert out.splitlines()[-3].split()[1] == str(order[0])


def test_appended_arrays_are_refused(capsys, tmp_path):
    x, y = tmp_path / "x.npy", tmp_path / "y.npy"
    with x.open("wb") as file:
        np.save(file, np.zeros((2, 2)))
        np.save(file, np.array([[0, L3], [0, L3]]))
    save(y, np.zeros(2, int))
    assert refused(capsys, "evaluate", x, y).startswith(f"{x}: ")


def test_swapped_files(capsys, case):
    x, y, _ = case
    assert "are the two swapped?" in refused(capsys, "evaluate", y, x)


def test_config_as_json(capsys):
    status, out, err = run(capsys, "config", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out) == fastce.show_config(mode="dict")


def test_help_imports_no_reader_and_no_extra():
    code = (
        "import sys; from fastce.cli import main\n"
        "main(['--help'])\n"
        "late = {'rich', 'pyarrow', 'h5py', 'zarr', 'dask', 'ml_dtypes', 'json', 'decimal',\n"
        "        'fractions', 'zipfile', 'concurrent.futures', 'fastce.evaluation.state'}\n"
        "print(late & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "set()"
