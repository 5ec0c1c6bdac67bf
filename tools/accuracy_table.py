"""Measure the largest errors of every function and print them as Markdown, for docs/accuracy.md.

    python tools/accuracy_table.py > table.md

Rows and numbers of classes are those of tests/test_accuracy.py, true values those of tests/wide.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import cases
import wide
from ulp import ulps, used

import fastce
from fastce import _kernels

CLASS_COUNTS = tuple(n for n in cases.CLASS_COUNTS if n <= 4097)


class Result(NamedTuple):
    """Results of one call and what they should be."""

    function: str
    quantity: str
    actual: Any
    true: Any
    allowed: Any
    scale: Any


class Worst(NamedTuple):
    """The largest errors seen so far."""

    ulp: float = 0.0
    used: float = 0.0


def softmax_cross_entropy(dtype: np.dtype[Any], n_classes: int) -> Iterator[Any]:
    """Yield a function that calls the loss and returns its results, for each set of options."""
    logits, labels, _ = cases.rows_of_every_kind(n_classes, dtype)
    for options in ({}, {"label_smoothing": 0.1, "z_loss": 1e-4}):
        name = "softmax_cross_entropy" + (", smoothing and z_loss" if options else "")
        true = wide.softmax_cross_entropy(logits, labels, reduction="none", **options)

        def call(name: str = name, true: Any = true, options: Any = options) -> list[Result]:
            loss, grad = fastce.softmax_cross_entropy(
                logits, labels, reduction="none", return_grad=True, **options
            )
            return [
                Result(name, "loss", loss, true.loss, true.loss_tolerance, 1),
                Result(name, "gradient", grad, true.gradient, true.gradient_tolerance, 1),
            ]

        yield call


MEASURED = (softmax_cross_entropy,)


def measure() -> dict[tuple[str, str, str, str], Worst]:
    """Return the largest errors by function, quantity, dtype and instruction set."""
    worst: dict[tuple[str, str, str, str], Worst] = {}
    for dtype in cases.DTYPES:
        for calls in MEASURED:
            for n_classes in CLASS_COUNTS:
                for call in calls(dtype, n_classes):
                    for isa in _kernels.available():
                        _kernels.active = _kernels.load(isa)
                        for result in call():
                            key = (result.function, result.quantity, str(dtype), isa)
                            worst[key] = worse(worst.get(key, Worst()), result, dtype)
    return worst


def worse(worst: Worst, result: Result, dtype: np.dtype[Any]) -> Worst:
    """Return the larger of two errors: in ulp where results are not small, in budgets anywhere."""
    large = np.isfinite(result.true) & (np.abs(result.true) >= result.scale / 2)
    apart = ulps(result.actual, result.true, dtype)[large]
    part = used(result.actual, result.true, result.allowed, dtype)
    return Worst(
        max(worst.ulp, float(apart.max(initial=0))), max(worst.used, float(part.max(initial=0)))
    )


def main() -> None:
    """Print the table."""
    worst = measure()
    isas = _kernels.available()
    print("| function | quantity | dtype |", " | ".join(isas), "|")
    print("| --- " * (3 + len(isas)) + "|")
    for function, quantity, dtype in dict.fromkeys(key[:3] for key in worst):
        cells = (worst[function, quantity, dtype, isa] for isa in isas)
        row = " | ".join(f"{cell.ulp:.2f} ulp, {cell.used:.0%}" for cell in cells)
        print(f"| {function} | {quantity} | {dtype} | {row} |")


if __name__ == "__main__":
    main()
