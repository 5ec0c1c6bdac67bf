"""softmax_cross_entropy on the shapes of shapes.py: fastce, the memory limit and opponents."""

from __future__ import annotations

from typing import Any

from bench import shapes

FUNCTION = "softmax_cross_entropy"
SHAPES = shapes.SOFTMAX
MODES = ("loss", "losses", "gradient", "gradient-fresh")


def test_softmax_cross_entropy(run_cell: Any) -> None:
    run_cell()
