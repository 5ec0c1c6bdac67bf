"""Count the rows that are not, in a batch, what they are alone: wanted is 0.

    python tools/check/rows.py

Rows are those of language models: one logit of 22 +- 9 above normal ones. A row differs where one
bit of its loss, gradient, Hessian or softmax does. Exits with status 1 where any row differs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "references")]

from arrangements import bits, language_model_rows
from cases import seeded

import fastce
from fastce import _kernels

CLASSES = (2, 3, 5, 7, 8, 10, 16, 21, 32, 50, 64, 100, 128, 200, 320, 1000, 5000)
DTYPES = ("f2", "f4", "f8")
QUANTITIES = ("loss", "gradient", "Hessian", "softmax")


def results(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the bits of each quantity, one row each."""
    loss, gradient, hessian = fastce.softmax_cross_entropy(
        x, y, reduction="none", return_grad=True, return_hess=True
    )
    return tuple(bits(a) for a in (loss[:, None], gradient, hessian, fastce.softmax(x)))


def count(isa: str) -> tuple[int, int, dict[str, int]]:
    """Return how many rows there were, how many differ, and in what."""
    _kernels.active = _kernels.load(isa)
    total, different, by_quantity = 0, 0, dict.fromkeys(QUANTITIES, 0)
    for dtype in DTYPES:
        for n in CLASSES:
            rows = min(3500, 2**20 // n)
            rng = seeded(n, 11)
            x = language_model_rows(rng, rows, n).astype(dtype)
            y = rng.integers(n, size=rows)
            batch = results(x, y)
            any_differs = np.zeros(rows, bool)
            alone = [results(x[i : i + 1], y[i : i + 1]) for i in range(rows)]
            for k, (name, values) in enumerate(zip(QUANTITIES, batch, strict=True)):
                unlike = (values != np.concatenate([one[k] for one in alone])).any(axis=1)
                by_quantity[name] += int(unlike.sum())
                any_differs |= unlike
            total += rows
            different += int(any_differs.sum())
    return total, different, by_quantity


def main() -> int:
    """Print a line for each instruction set."""
    worst = 0
    for isa in _kernels.available():
        total, different, by_quantity = count(isa)
        parts = ", ".join(f"{name} {n:,}" for name, n in by_quantity.items())
        print(f"{isa}: {different:,} of {total:,} rows differ ({parts})", flush=True)
        worst = max(worst, different)
    return int(worst > 0)


if __name__ == "__main__":
    sys.exit(main())
