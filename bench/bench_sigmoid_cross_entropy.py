"""sigmoid_cross_entropy on the shapes of shapes.py: fastce, the memory limit and opponents."""

from __future__ import annotations

from typing import Any

from bench import shapes

FUNCTION = "sigmoid_cross_entropy"
SHAPES = shapes.SIGMOID
MODES = ("loss", "losses", "gradient", "gradient-fresh")


def test_sigmoid_cross_entropy(run_cell: Any) -> None:
    run_cell()
