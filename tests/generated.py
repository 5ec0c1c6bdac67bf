"""Generated calls of the softmax loss and the activations: small shapes, every kind of row.

A call is told by its number, so that whatever is found can be made again. `tools/check/calls.py`
makes half a million; tests/accuracy/test_generated_calls.py makes some.
"""

from dataclasses import dataclass
from typing import Any

import arrangements
import ml_dtypes
import numpy as np
import wide_elements
from against_reference import F32, F64, expected, shares
from ulp import rounding, used

import fastce

Array = np.ndarray
DTYPES = [np.dtype(d) for d in ("f4", "f4", "f4", "f8", "f8", "f2", ml_dtypes.bfloat16)]
CLASSES = (
    *range(1, 25), *range(1, 25), 31, 32, 33, 40, 47, 48, 49, 64, 65, 70, 100, 127, 128, 129, 200,
    257, 319, 320, 321, 1000,
)  # fmt: skip
NORMALIZERS = ("weight", "valid", "all", "nonzero", 7.3, 1e-3, 1e5)
ACTIVATIONS = ("softmax", "log_softmax", "logsumexp")


@dataclass(frozen=True)
class Problem:
    """One set of arguments; ``labels`` are class labels or targets."""

    number: int
    logits: Array
    labels: Array
    axis: int
    options: dict[str, Any]

    def __str__(self) -> str:
        """Return the problem in a line."""
        shown = {
            k: f"{v.min():.3g}..{v.max():.3g}" if isinstance(v, Array) else v
            for k, v in self.options.items()
        }
        kind = "labels" if self.labels.dtype.kind == "i" else f"targets {self.labels.dtype}"
        return f"call {self.number}: {self.logits.dtype} {self.logits.shape}, {kind}, {shown}"


def make_rows(rng: np.random.Generator, rows: int, n: int) -> Array:
    """Return rows of logits, each of one kind."""
    kinds = list(arrangements.KINDS.values())
    x = np.empty((rows, n))
    scale = 10.0 ** rng.uniform(-1, 1.7)
    only = rng.integers(7) if rng.random() < 0.7 else None
    for row in x:
        which = rng.integers(7) if only is None else only
        if which <= 1:
            row[:] = scale * rng.normal(size=n)
        elif which == 2:
            row[:] = arrangements.language_model_rows(rng, 1, n)[0]
        elif which == 3:  # a clear winner
            row[:] = rng.normal(size=n)
            row[rng.integers(n)] += rng.uniform(0, 60)
        elif which == 4:  # a maximum that comes late, up to 36 above a long beginning
            level, begin = rng.choice([-1, 1]) * rng.uniform(14, 40), int(rng.integers(n))
            row[:begin] = level
            row[begin:] = level + rng.uniform(-40, 36, n - begin)
        elif which == 5:
            row[:] = rng.normal(size=n)
            row += rng.choice(arrangements.SHIFTED_TO) - row.max()
        else:
            row[:] = kinds[int(rng.integers(len(kinds)))](rng, n)
    return x


def make_targets(rng: np.random.Generator, x: Array, dtype: Any) -> Array:
    """Return probabilities, one-hot rows or any other targets."""
    rows, n = x.shape
    which = rng.integers(5)
    best = x.argmax(axis=1)
    if which <= 1:
        y = np.where(rng.random(rows) < 0.5, best, rng.integers(n, size=rows))
        q = (np.arange(n) == y[:, None]) * (1.0 if which else rng.uniform(0.1, 3, (rows, 1)))
    else:
        q = rng.random((rows, n)) * (1 if which == 2 else 30)
        if which == 3:
            q[rng.random(q.shape) < 0.7] = 0
        elif which == 4:
            q /= q.sum(axis=1, keepdims=True)
    return q.astype(dtype)


def make_weight(rng: np.random.Generator, size: int) -> Array:
    """Return weights of like or of very different size, some of them 0 now and then."""
    which = rng.integers(4)
    w = rng.random(size) if which else 10.0 ** rng.uniform(-6, 6, size)
    if which == 1:
        w = 0.05 + w
    if which == 2:
        w[rng.random(size) < 0.3] = 0
        w[rng.integers(size)] = 0.7
    return w


def make_problem(number: int) -> Problem:
    """Return the problem of a number."""
    rng = np.random.default_rng((number, 2027))
    n = int(rng.choice(CLASSES))
    rows = int(rng.choice([1, 2, 3, 5, 8, 15, 16, 17, 33, 64, 65, 130]))
    rows = max(1, min(rows, 4096 // n))
    if rng.random() < 1 / 400:
        n, rows = int(rng.choice([4097, 32000])), 2
    dtype = DTYPES[int(rng.integers(len(DTYPES)))]
    x = make_rows(rng, rows, n).astype(dtype)
    options: dict[str, Any] = {"reduction": str(rng.choice(["none", "none", "mean", "sum"]))}
    soft = rng.random() < 0.4
    if soft:
        y = make_targets(rng, x.astype(F64), "f8" if dtype == F64 else rng.choice(["f4", "f8"]))
    else:
        best = x.astype(F64).argsort(axis=1)[:, -1 - rng.integers(min(n, 3))]
        y = np.where(rng.random(rows) < 0.5, best, rng.integers(n, size=rows))
        if rng.random() < 0.2:
            y[rng.random(rows) < 0.3] = -100
    if rng.random() < 0.3:
        options["class_weight"] = make_weight(rng, n)
    if rng.random() < 0.3:
        options["sample_weight"] = make_weight(rng, rows)
    if rng.random() < 0.25:
        options["label_smoothing"] = float(rng.choice([1e-6, 0.01, 0.1, 0.5, 1.0]))
    if rng.random() < 0.1:
        options["z_loss"] = float(rng.choice([1e-4, 0.01, 0.5]))
    if options["reduction"] == "mean":
        options["normalizer"] = NORMALIZERS[int(rng.integers(len(NORMALIZERS)))]
    axis = -1 if rng.random() < 0.6 else 0
    if axis == 0:
        x, y = np.ascontiguousarray(x.T), np.ascontiguousarray(y.T)
    return Problem(number, x, y, axis, options)


def measure(problem: Problem) -> Any:
    """Return a function that makes the problem's calls: shares of budgets by quantity."""
    p = problem
    true = expected(p.logits, p.labels, axis=p.axis, **p.options)
    stored = p.logits.dtype
    dtype = F64 if stored == F64 else F32
    x = p.logits.astype(dtype)
    activations = []
    for name in ACTIVATIONS:
        with np.errstate(all="ignore"):
            right = getattr(wide_elements, name)(x, p.axis)
            allowed = wide_elements.activation_tolerance(right, dtype)
            if stored != dtype and name != "logsumexp":
                allowed = allowed + 1.01 * rounding(right, stored)
        activations.append((name, right, allowed))

    def call() -> dict[str, tuple[Array, Array, Array]]:
        found = shares(p.logits, p.labels, true, axis=p.axis, **p.options)
        for name, right, allowed in activations:
            got = getattr(fastce, name)(p.logits, axis=p.axis).astype(dtype)
            found[name] = used(got, right, allowed, dtype), got, right
        return found

    return call
