"""Measure the largest errors of every function and print them as Markdown, for docs/accuracy.md.

    python tools/check/accuracy_table.py

Rows and numbers of classes are those of the tests, true values those of tests/wide.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HERE = Path(__file__).resolve().parents[2] / "tests"
sys.path[:0] = [str(HERE), str(HERE / "references")]

import cases
import wide
import wide_elements
from ulp import ulps, used

import fastce
from fastce import _kernels

CLASS_COUNTS = tuple(n for n in cases.CLASS_COUNTS if n <= 4097)
DType = np.dtype[Any]


class Measured(NamedTuple):
    """One call, the true values of all it returns, and what each may be wrong by."""

    function: str
    quantities: tuple[str, ...]
    call: Callable[[], Any]
    true: tuple[Any, ...]
    allowed: tuple[Any, ...]


class Worst(NamedTuple):
    """The largest errors seen so far."""

    ulp: float = 0.0
    used: float = 0.0


def loss_and_gradient(
    name: str, x: Any, labels: Any, reference: Any, note: str = "", **options: Any
) -> Measured:
    """Return the measurement of a loss and its derivatives, row by row unless told otherwise."""
    options = {"reduction": "none", **options}
    true = reference(x, labels, **options)
    curved = true.hessian is not None
    asked = {"return_grad": True} | ({"return_hess": True} if curved else {})

    def call() -> Any:
        return getattr(fastce, name)(x, labels, **asked, **options)

    return Measured(
        name + note,
        ("loss", "gradient", "Hessian")[: 2 + curved],
        call,
        (true.loss, true.gradient, true.hessian)[: 2 + curved],
        (true.loss_tolerance, true.gradient_tolerance, true.hessian_tolerance)[: 2 + curved],
    )


def activation(name: str, x: Any) -> Measured:
    """Return the measurement of an activation."""
    true = getattr(wide_elements, name)(x)
    allowed = wide_elements.activation_tolerance(true, x.dtype)
    return Measured(name, ("value",), lambda: (getattr(fastce, name)(x),), (true,), (allowed,))


def ordinary_rows(n: int, dtype: DType) -> Iterator[tuple[Any, Any]]:
    """Yield what ends in ways of its own where losses are summed: with any label, and the best."""
    random = cases.seeded(n)
    for scale in (0.3, 1, 3, 6):
        x = (random.normal(size=(max(16, 8192 // n // 16 * 16), n)) * scale).astype(dtype)
        yield x, random.integers(0, n, len(x))
        yield x, x.argmax(axis=1)


def measurements(dtype: DType) -> Iterator[Measured]:
    """Yield everything that is measured for one dtype."""
    for n in CLASS_COUNTS:
        x, y, _ = cases.rows_of_every_kind(n, dtype)
        q = cases.seeded(n).random(x.shape) * np.isfinite(x) / n
        for note, labels, options in (
            ("", y, {}),
            (", label_smoothing", y, {"label_smoothing": 0.1}),
            (", z_loss", y, {"z_loss": 1e-4}),
            (", probabilities", q, {}),
        ):
            reference = wide.softmax_cross_entropy
            yield loss_and_gradient("softmax_cross_entropy", x, labels, reference, note, **options)
        for name in ("logsumexp", "log_softmax", "softmax"):
            yield activation(name, x)
        for x, y in ordinary_rows(n, dtype):
            yield loss_and_gradient(
                "softmax_cross_entropy", x, y, wide.softmax_cross_entropy, ", sum", reduction="sum"
            )
    sizes = np.concatenate([np.linspace(-120, 120, 20_001), np.geomspace(1e-40, 1e30, 1001)])
    x = np.concatenate([sizes, -sizes]).astype(dtype)
    p = wide_elements.sigmoid(np.linspace(-16, 16, len(x))).astype(dtype)
    hard = np.arange(len(x)) % 2
    yield activation("sigmoid", x)
    for note, z in (("", hard), (", soft labels", np.arange(len(x)) % 9 / 8)):
        reference = wide_elements.sigmoid_cross_entropy
        yield loss_and_gradient("sigmoid_cross_entropy", x, z, reference, note)
        reference = wide_elements.binary_cross_entropy
        yield loss_and_gradient("binary_cross_entropy", p, z, reference, note)


def worse(worst: Worst, actual: Any, true: Any, allowed: Any, dtype: DType, large: float) -> Worst:
    """Return the larger of two errors: in ulp where results are large, in budgets anywhere."""
    counts = np.isfinite(true) & (np.abs(true) >= large)
    apart = ulps(actual, true, dtype)[counts]
    part = used(actual, true, allowed, dtype)
    return Worst(
        max(worst.ulp, float(apart.max(initial=0))), max(worst.used, float(part.max(initial=0)))
    )


def measure() -> dict[tuple[str, str, str, str], Worst]:
    """Return the largest errors by function, quantity, dtype and instruction set."""
    found: dict[tuple[str, str, str, str], Worst] = {}
    for dtype in cases.DTYPES:
        for m in measurements(dtype):
            for isa in _kernels.available():
                _kernels.active = _kernels.load(isa)
                for what, *values in zip(m.quantities, m.call(), m.true, m.allowed, strict=True):
                    key = (m.function, what, str(dtype), isa)
                    large = 0.125 if what == "Hessian" else 0.5  # p (1 - p) is at most 0.25
                    found[key] = worse(found.get(key, Worst()), *values, dtype, large)
    return found


def main() -> None:
    """Print the table."""
    found = measure()
    isas = _kernels.available()
    print("| function | result | dtype |", " | ".join(isas), "|")
    print("| --- " * (3 + len(isas)) + "|")
    for function, what, dtype in sorted(dict.fromkeys(key[:3] for key in found)):
        cells = (found[function, what, dtype, isa] for isa in isas)
        row = " | ".join(f"{cell.ulp:.2f} ulp, {cell.used:.0%}" for cell in cells)
        print(f"| {function} | {what} | {dtype} | {row} |")


if __name__ == "__main__":
    main()
