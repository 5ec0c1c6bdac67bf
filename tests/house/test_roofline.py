"""What bounds a benchmark's cell: the bytes that it moves, and computing alone."""

from __future__ import annotations

import numpy as np
import pytest

from bench import measure, roofline, shapes
from bench.shapes import Cell

SOFTMAX, SIGMOID = shapes.FUNCTIONS


def softmax_cell(shape="64x10", dtype="float32", mode="loss", threads=1):
    return Cell(SOFTMAX, shape, dtype, mode, threads=threads)


class TestLimit:
    def test_bytes_that_must_move(self):
        logits, labels, losses = 64 * 10 * 4, 64 * 8, 64 * 4
        for mode, nbytes in {
            "loss": logits + labels,
            "losses": logits + labels + losses,
            "gradient": 2 * logits + labels,
            "gradient-fresh": 2 * logits + labels,
        }.items():
            assert roofline.bytes_moved(softmax_cell(mode=mode)) == nbytes
        assert roofline.bytes_moved(Cell(SIGMOID, "64x10", "float64", "losses")) == 3 * 2 * logits
        assert roofline.bytes_moved(softmax_cell(dtype="bfloat16")) == logits // 2 + labels

    @pytest.mark.parametrize("shape", ["17x10", "1x1", "300x7", "2x5x3x4@1"])
    def test_gradient_sweep_writes_every_byte(self, shape):
        cell = softmax_cell(shape, mode="gradient", threads=2)
        [slot] = measure.arena("float32").slots(cell)
        slot.grad.fill(-1)
        [call] = measure.bind(roofline.Limit(cell), [slot])
        call()
        np.testing.assert_array_equal(slot.grad, slot.logits)

    def test_losses_sweep_writes_as_many_bytes_as_the_losses(self):
        cell = softmax_cell("300x7", mode="losses", threads=2)
        [slot] = measure.arena("float32").slots(cell)
        limit = roofline.Limit(cell)
        [call] = measure.bind(limit, [slot])
        call()
        np.testing.assert_array_equal(limit.written.view(np.float32), slot.logits.reshape(-1)[:300])


class TestInCache:
    @pytest.mark.parametrize("mode", ["loss", "losses", "gradient", "gradient-fresh"])
    @pytest.mark.parametrize(
        ("function", "shape", "piece"),
        [
            (SOFTMAX, "100x30", (33, 30)),
            (SOFTMAX, "5x7x20x30@1", (1, 7, 150)),
            (SOFTMAX, "60x7x5x2@1", (15, 7, 10)),
            (SIGMOID, "60x7x10", (1050,)),
        ],
    )
    def test_piece(self, function, shape, piece, mode, monkeypatch):
        monkeypatch.setattr(roofline, "last_level_cache_bytes", lambda: 8 * 4200)
        cell = Cell(function, shape, "float32", mode, threads=1)
        [slot] = measure.arena("float32").slots(cell)
        candidate = roofline.InCache(cell)
        logits, labels = candidate.place(slot.logits, slot.labels)
        assert logits.shape == piece
        elements = candidate.repetitions * logits.size
        assert 0.9 * slot.logits.size < elements <= slot.logits.size
        [call] = measure.bind(candidate, [slot])
        axis = {} if function == SIGMOID else {"axis": -1 if shape == "100x30" else 1}
        expected = candidate.function(logits, labels, reduction=cell.reduction, **axis)
        np.testing.assert_array_equal(call()[0] if cell.has_gradient else call(), expected)

    def test_only_beside_what_comes_from_memory(self):
        assert roofline.InCache in measure.candidates(softmax_cell("65536x1000"), [])
        assert roofline.InCache not in measure.candidates(softmax_cell("64x10"), [])
