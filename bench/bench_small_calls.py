"""softmax_cross_entropy where the call costs more than the work: small inputs, hot in the cache."""

from __future__ import annotations

from typing import Any

from bench import shapes

FUNCTION = "softmax_cross_entropy"
SHAPES = shapes.SMALL
MODES = ("loss", "gradient", "gradient-fresh")


def test_small_calls(run_cell: Any) -> None:
    run_cell()
