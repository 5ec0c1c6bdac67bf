"""The benchmarks' own arithmetic, and every command of theirs on tiny shapes."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bench import guard, measure, opponents, shapes, sweep, table
from bench.measure import Clock, Result
from bench.shapes import Cell

ROOT = Path(__file__).resolve().parents[2]
SOFTMAX, SIGMOID = shapes.FUNCTIONS


def softmax_cell(shape="64x10", dtype="float32", mode="loss", threads=1):
    return Cell(SOFTMAX, shape, dtype, mode, threads=threads)


def expected_answer(cell, logits, labels):
    """Loss and gradient of the mean in float64, by the textbook."""
    x = logits.astype(np.float64)
    if cell.is_softmax:
        axis = shapes.parse(cell.shape).axis
        exps = np.exp(x - x.max(axis, keepdims=True))
        p = exps / exps.sum(axis, keepdims=True)
        index = np.expand_dims(labels, axis)
        losses = -np.log(np.take_along_axis(p, index, axis)).squeeze(axis)
        onehot = np.zeros_like(p)
        np.put_along_axis(onehot, index, 1, axis)
        return losses, (p - onehot) / labels.size
    z = labels.astype(np.float64)
    p = 1 / (1 + np.exp(-x))
    return -(z * np.log(p) + (1 - z) * np.log(1 - p)), (p - z) / z.size


# torch.compile is left to the benchmarks themselves: it takes seconds per cell.
KINDS = [
    (function, name)
    for function, kinds in opponents.OPPONENTS.items()
    for name, kind in kinds.items()
    if name != "torch.compile" and kind.available()
]


class TestShapes:
    def test_named_and_spelt_out_shapes(self):
        shape = shapes.parse("detection")
        assert (shape.dims, shape.axis, shape.classes) == ((64, 81, 8732), 1, 81)
        assert shape.row_dims == (64, 8732)
        assert not shape.classes_last
        assert shape == shapes.parse("64x81x8732@1")
        head = shapes.parse("detection-head")
        assert (head.dims, head.classes, head.rows) == ((64, 13, 13, 3, 20), 20, 64 * 13 * 13 * 3)
        assert head.row_dims == (64, 13, 13, 3)

    @pytest.mark.parametrize("text", ["", "0x4", "4x0", "4x5@2", "4xfive", "sofa"])
    def test_unknown_shape_is_refused(self, text):
        with pytest.raises(ValueError, match="shape is"):
            shapes.parse(text)

    def test_expand_groups_and_lists(self):
        assert shapes.expand("64x10,classes-2,64x10") == ["64x10", "classes-2"]
        assert shapes.expand("small") == list(shapes.SMALL)
        for group in shapes.GROUPS:
            assert shapes.expand(group)

    @pytest.mark.parametrize("field", ["function", "dtype", "mode"])
    def test_unknown_field_of_a_cell_is_refused(self, field):
        fields = {"function": SOFTMAX, "shape": "64x10", "dtype": "float32", "mode": "loss"}
        with pytest.raises(ValueError, match=f"{field} is 'x', accepted"):
            Cell(**{**fields, field: "x"})


class TestCandidates:
    @pytest.mark.parametrize("mode", shapes.MODES)
    @pytest.mark.parametrize("shape", ["17x10", "5x2", "2x5x3x4@1"])
    @pytest.mark.parametrize(
        ("function", "name"), [(SOFTMAX, "fastce"), (SIGMOID, "fastce"), *KINDS]
    )
    @pytest.mark.filterwarnings("default")  # what other libraries warn of is their own affair
    def test_all_compute_the_same(self, function, name, shape, mode):
        cell = Cell(function, shape, "float32", mode)
        kind = opponents.OPPONENTS[function].get(name, opponents.Fastce)
        if not kind.supports(cell):
            assert name in ("scikit-learn", "log_loss")
            return
        [slot] = measure.arena("float32").slots(cell)
        losses, gradient = expected_answer(cell, slot.logits, slot.labels)
        [call] = measure.bind(kind(cell), [slot])
        answer = call()
        if cell.has_gradient:
            answer, grad = answer
            grad = np.asarray(grad).reshape(gradient.shape)
            np.testing.assert_allclose(grad, gradient, rtol=1e-4, atol=1e-7)
        if mode == "losses":
            np.testing.assert_allclose(np.asarray(answer).reshape(losses.shape), losses, rtol=1e-4)
        else:
            assert float(answer) == pytest.approx(losses.mean(), rel=1e-5)

    def test_gradient_goes_to_the_memory_that_is_given(self):
        cell = softmax_cell(mode="gradient")
        [slot] = measure.arena("float32").slots(cell)
        for kind in (opponents.Fastce, opponents.NumPySoftmax, opponents.ScikitLearn):
            [call] = measure.bind(kind(cell), [slot])
            assert np.shares_memory(call()[1], slot.grad), kind.name

    def test_gradient_fresh_is_fresh(self):
        cell = softmax_cell(mode="gradient-fresh")
        [slot] = measure.arena("float32").slots(cell)
        for kind in (opponents.Fastce, opponents.NumPySoftmax, opponents.ScikitLearn):
            [call] = measure.bind(kind(cell), [slot])
            assert not np.shares_memory(call()[1], slot.grad), kind.name

    def test_unknown_opponent_is_refused(self):
        with pytest.raises(ValueError, match="'Numpy'"):
            opponents.installed("Numpy")

    def test_a_wrong_opponent_is_not_measured(self, monkeypatch):
        monkeypatch.setattr(opponents.NumPySoftmax, "loss", lambda self, logits, labels: 1e3)
        with pytest.raises(ValueError, match="loss of NumPy is 1000"):
            measure.measure(softmax_cell(), ["NumPy"], rounds=1, min_seconds=0)


class TestMeasure:
    def result(self, **samples):
        return Result(softmax_cell("65536x1000"), "avx2", 10**9, samples)

    def test_arithmetic(self):
        result = self.result(fastce=[3.0, 0.5, 0.4], limit=[0.25, 0.2, 9.0], NumPy=[5.0])
        assert result.seconds() == 0.5
        assert result.gigabytes_per_second() == 2
        assert result.gigabytes_per_second("limit") == 4
        assert result.fraction() == 0.5
        assert result.ratio("NumPy") == 10
        assert not result.is_hot

    def test_slots_outgrow_the_cache(self, monkeypatch):
        monkeypatch.setattr(measure, "last_level_cache_bytes", lambda: 4 << 20)
        cell = softmax_cell("1000x301")
        slots = measure.Arena("float32").slots(cell)
        assert sum(slot.logits.nbytes for slot in slots) >= 8 << 20
        for a, b in pairwise(slots):
            assert not np.shares_memory(a.logits, b.logits)
            assert not np.shares_memory(a.grad, b.grad)
        for slot in slots:
            assert slot.logits.shape == slot.grad.shape == (1000, 301)
            assert slot.labels.shape == (1000,)
            assert slot.labels.min() >= 0
            assert slot.labels.max() < 301
            assert slot.logits.std() == pytest.approx(2, rel=0.1)
            for array in (slot.logits, slot.labels, slot.grad):
                assert array.ctypes.data % 64 == 0

    def test_small_shapes_stay_in_the_cache(self):
        assert measure.slot_count(softmax_cell("32x1000")) == 1
        assert measure.slot_count(softmax_cell("65536x1000")) >= 2

    def test_all_candidates_share_one_rotation(self):
        used = []
        calls = [lambda i=i: used.append(i) for i in range(3)]
        clock = Clock()
        for repetitions in (2, 1, 4):
            clock.time(calls, repetitions)
        assert used == [0, 1, 2, 0, 1, 2, 0]

    def test_every_candidate_runs_in_every_round(self):
        result = measure.measure(softmax_cell(), ["NumPy"], rounds=3, min_seconds=1e-4)
        assert set(result.samples) == {"fastce", "limit", "NumPy"}
        for seconds in result.samples.values():
            assert len(seconds) == 3
            assert min(seconds) > 0

    @pytest.mark.parametrize("mode", ["losses", "gradient"])
    @pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
    @pytest.mark.filterwarnings("default")  # what other libraries warn of is their own affair
    def test_other_dtypes(self, dtype, mode):
        # It compares the losses of all of them before it starts.
        result = measure.measure(
            softmax_cell(dtype=dtype, mode=mode), opponents.installed("usual"), 1, min_seconds=0
        )
        half = dtype != "float64"
        assert ("scikit-learn" in result.samples) != half
        assert "NumPy" in result.samples

    def test_environment_of_a_worker(self):
        environment = measure.environment("baseline", 3)
        assert environment["FASTCE_ISA"] == "baseline"
        assert environment["OMP_NUM_THREADS"] == environment["NPROC"] == "3"

    def test_a_worker_that_fails_is_an_error(self):
        with pytest.raises(SystemExit, match="failed"):
            list(measure.run([Cell(SOFTMAX, "64x10", "float32", "loss", isa="sse9")], [], 1))

    def test_command(self, capsys):
        words = f"{SOFTMAX} 64x10 float32 gradient --threads 1 --opponents NumPy --rounds 1"
        measure.main(words.split())
        output = capsys.readouterr().out
        for name in ("fastce", "limit", "NumPy"):
            assert f" {name} " in output

    def test_only_a_half_dtype_may_be_missing(self, monkeypatch):
        def refuse(logits, labels):
            raise TypeError("logits are of an unsupported dtype")

        monkeypatch.setattr("fastce.softmax_cross_entropy", refuse)
        assert not opponents.Fastce.supports(softmax_cell(dtype="float16"))
        assert opponents.Fastce.supports(softmax_cell())  # the error shall show


class TestTable:
    def test_command(self, capsys, tmp_path):
        path = tmp_path / "table.json"
        words = "--shapes 64x10,2x5x4x4@1 --opponents NumPy --rounds 1 --threads 1,2 --json"
        table.main([*words.split(), str(path)])
        output = capsys.readouterr().out
        assert output.count("| 64×10 | float32 | loss | ") == 2
        assert output.count("| 2×5×4×4 axis 1 | float32 | gradient | ") == 2
        assert ", 1 thread; fastce " in output
        assert ", 2 threads; fastce " in output
        table.main(["--from-json", str(path)])
        assert capsys.readouterr().out == output

    def test_row(self):
        samples = {"fastce": [0.02], "limit": [0.01], "in cache": [0.015], "NumPy": [0.25]}
        result = Result(softmax_cell("classes-1000", mode="gradient"), "avx2", 10**8, samples)
        row = ["65536×1000", "float32", "gradient", "20 ms", "5.0", "10.0", "0.50", "0.75"]
        row += ["12.5×", "–"]
        assert table.row(result, ["NumPy", "JAX"]) == row

    def test_unsupported_dtypes_are_left_out_and_named(self, capsys, monkeypatch):
        monkeypatch.setattr(table.Fastce, "supports", lambda cell: not cell.is_half)
        kept = table.accepted([softmax_cell(), softmax_cell(dtype="float16")])
        assert kept == [softmax_cell()]
        assert f"{SOFTMAX} float16" in capsys.readouterr().err


class TestGuard:
    def run(self, monkeypatch, tmp_path, stored, *fresh):
        """Return the guard's status when fastce takes `fresh` seconds, run by run."""
        path = tmp_path / "ratios.json"
        cell = softmax_cell("64x10", threads=1)

        def result(seconds):
            return Result(cell, "avx2", 1, {"fastce": [seconds], "limit": [1.0], "NumPy": [8.0]})

        runs = iter(fresh)
        monkeypatch.setattr(guard, "cells", lambda shapes, threads: [cell])
        monkeypatch.setattr(guard, "measured", lambda wanted, rounds: [result(next(runs))])
        cells = guard.ratios([result(stored)]) if stored else {}
        path.write_text(json.dumps({"processor": table.processor(), "cells": cells}))
        status = guard.main(["--ratios", str(path)])
        assert not list(runs)
        return status

    def test_status(self, monkeypatch, tmp_path, capsys):
        assert self.run(monkeypatch, tmp_path, 2.0, 2.0) == 0
        assert self.run(monkeypatch, tmp_path, 2.0, 2.3) == 0
        assert "FELL" not in capsys.readouterr().out
        assert self.run(monkeypatch, tmp_path, 2.0, 2.5, 2.5) == 1
        assert "FELL" in capsys.readouterr().out

    def test_a_fall_that_does_not_repeat_is_noise(self, monkeypatch, tmp_path):
        assert self.run(monkeypatch, tmp_path, 2.0, 4.0, 2.0) == 0

    def test_nothing_stored(self, monkeypatch, tmp_path, capsys):
        assert self.run(monkeypatch, tmp_path, None) == 2
        assert "--update" in capsys.readouterr().err

    def test_nothing_in_common(self, monkeypatch, tmp_path, capsys):
        path = tmp_path / "ratios.json"
        cells = {"another cell": {"NumPy": 1.0, "limit": 1.0}}
        path.write_text(json.dumps({"processor": table.processor(), "cells": cells}))
        monkeypatch.setattr(guard, "measured", lambda wanted, rounds: [])
        assert guard.main(["--ratios", str(path)]) == 2
        assert "none of the cells" in capsys.readouterr().err

    def test_one_ratio_alone_is_the_machine(self):
        stored = {"NumPy": 10.0, "limit": 0.8}
        assert not guard.has_fallen(stored, {"NumPy": 10.0, "limit": 0.4})
        assert not guard.has_fallen(stored, {"NumPy": 5.0, "limit": 0.8})
        assert guard.has_fallen(stored, {"NumPy": 8.0, "limit": 0.6})

    def test_update_then_compare(self, tmp_path, capsys):
        path = tmp_path / "ratios.json"
        words = f"--shapes 64x10 --rounds 1 --threads 1 --ratios {path}".split()
        assert guard.main([*words, "--update"]) == 0
        stored = json.loads(path.read_text())
        assert len(stored["cells"]) == 6
        for cell in stored["cells"].values():  # so that no noise can make the comparison fail
            cell.update({"NumPy": 1e-3, "limit": 1e-5})
        path.write_text(json.dumps(stored))
        assert guard.main(words) == 0
        assert "0 of 6 cells fell" in capsys.readouterr().out


class TestSweep:
    def test_grid(self):
        grid = sweep.dense(256_000)
        assert grid[:69] == list(range(2, 71))
        assert {127, 128, 129, 32767, 32768, 32769, 131073, 256_000} <= set(grid)
        assert grid == sorted(set(grid))
        assert set(sweep.SPARSE) <= set(grid)
        for cell in sweep.cells(grid, sweep.ELEMENTS, "float32", "", 1):
            assert shapes.parse(cell.shape).elements == pytest.approx(sweep.ELEMENTS, rel=0.01)

    def test_command(self, tmp_path, capsys):
        pytest.importorskip("matplotlib")
        path = tmp_path / "sweep.json"
        words = f"--elements 64 --largest 4 --opponents NumPy --rounds 1 --threads 1 --json {path}"
        sweep.main([*words.split(), "--into", str(tmp_path)])
        assert len(table.load(path)[1]) == 3 * len(sweep.MODES)
        for mode in sweep.MODES:
            plot = tmp_path / f"sweep-{mode}.png"
            assert plot.read_bytes().startswith(b"\x89PNG")
            plot.unlink()
        sweep.main(["--from-json", str(path), "--into", str(tmp_path)])
        assert (tmp_path / "sweep-loss.png").exists()
        assert str(tmp_path / "sweep-gradient.png") in capsys.readouterr().out


def test_pytest_runs_the_benchmarks():
    words = "-m pytest bench -q -p no:cacheprovider --bench-shapes 64x10 --bench-dtypes float32"
    timing = "--benchmark-max-time 0.001 --benchmark-min-rounds 1"
    finished = subprocess.run(
        [sys.executable, *words.split(), *timing.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    for name in ("softmax_cross_entropy", "sigmoid_cross_entropy", "small_calls"):
        for candidate in ("fastce", "limit", "NumPy"):
            assert f"test_{name}[64x10-float32-gradient-{candidate}]" in finished.stdout
