"""The softmax losses in long double, for arrays too large for ``oracle.py``, with their budget.

Forms without cancellation: with the largest logit ``m`` set apart, ``rest`` the sum of the other
``exp(x - m)``, every class has ``-log p = log1p(rest) - (x - m)``, two terms of one sign. A long
double has 11 bits more than float64, so that an error of a few of its ulp, times the spread of a
row, is under a hundredth of the float64 budget. test_oracle.py holds this file to the oracle.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from ulp import BUDGETS, tolerance

Array = np.ndarray
Wide = np.longdouble

if np.finfo(Wide).eps > 2.0**-63:
    raise ImportError("the reference needs a long double of 64 bits or more")


@dataclass(frozen=True)
class Expected:
    """True values and the largest errors allowed."""

    loss: Array
    loss_tolerance: Array
    gradient: Array
    gradient_tolerance: Array
    hessian: Array | None = None  # its diagonal
    hessian_tolerance: Array | None = None


@dataclass(frozen=True)
class Rows:
    """A matrix of logits, one row each, as every softmax loss sees it."""

    x: Array
    m: Array  # largest logit (rows, 1)
    rest: Array  # sum of exp(x - m) without the largest itself (rows, 1)
    nll: Array  # -log p
    p: Array
    p_minus_one: Array
    lse: Array  # (rows, 1)
    gap: Array  # abs(x - the largest of the others)


def softmax_rows(logits: Array) -> Rows:
    """Return what the rows of a matrix of logits are worth."""
    x = logits.astype(Wide)
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        m = x.max(axis=1, keepdims=True)
        top = np.arange(x.shape[1]) == x.argmax(axis=1)[:, None]
        below = np.exp(x - m)
        rest = np.where(top, np.where(np.isnan(below), np.nan, 0), below).sum(axis=1, keepdims=True)
        log_total = np.log1p(rest)
        nll = np.where(np.isnan(rest), np.nan, log_total - (x - m))
        p = np.where(np.isnan(rest), np.nan, below / (1 + rest))
        p_minus_one = np.where(top, -rest / (1 + rest), p - 1)
        second = np.where(top, -np.inf, x).max(axis=1, keepdims=True)
        gap = np.where(top, m - second, m - x)
    return Rows(x, m, rest, nll, p, p_minus_one, m + log_total, gap)


def softmax_cross_entropy(
    logits: Any,
    labels: Any,
    *,
    class_weight: Any = None,
    sample_weight: Any = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    ignore_index: int = -100,
    axis: int = -1,
    reduction: str = "mean",
    normalizer: Any = "weight",
    rows: Rows | None = None,
) -> Expected:
    """Return loss, gradient and Hessian with their budget; ``rows`` may be given to save work."""
    moved = np.moveaxis(np.asarray(logits), axis, -1)
    *items, n = moved.shape
    dtype = moved.dtype
    rows = softmax_rows(moved.reshape(-1, n)) if rows is None else rows
    w = np.ones(n, Wide) if class_weight is None else np.asarray(class_weight).astype(Wide)
    given = 1.0 if sample_weight is None else np.asarray(sample_weight)
    s = np.broadcast_to(given, items).ravel().astype(Wide)
    targets, a, ignored = _targets(
        np.asarray(labels), w, s, Wide(label_smoothing), ignore_index, n, axis
    )
    s = np.where(ignored, 0, s)[:, None]
    z = Wide(z_loss)

    pull = targets.sum(axis=1, keepdims=True)
    slope = 2 * z * rows.lse
    with np.errstate(invalid="ignore"):
        loss = np.where(targets == 0, np.where(np.isnan(rows.nll), np.nan, 0), targets * rows.nll)
        loss = loss.sum(axis=1, keepdims=True) + z * rows.lse**2
        gradient = rows.p * (pull - targets) + targets * rows.p_minus_one + slope * rows.p
        loss, gradient = (np.where(s == 0, 0, s * v) for v in (loss, gradient))
        scale = s * (pull + 2 * z * np.maximum(1, np.abs(rows.lse)))  # lse is right to 1e-7 of 1
        # A class without a target has p times the whole, whose two parts may cancel.
        size = np.where(targets == 0, np.where(s == 0, 0, scale * rows.p), np.abs(gradient))
        variance = rows.p * -rows.p_minus_one
        square = np.where(z == 0, 0, 2 * z * s * rows.p**2)
        hessian = np.where(s == 0, 0, s * (pull + slope) * variance + square)
        hessian_size = np.where(s == 0, 0, scale * variance + square)
    loss, scale = loss[:, 0], np.where(np.isfinite(scale), scale, 0)

    single = ((targets != 0).sum(axis=1, keepdims=True) <= 1) & (z_loss == 0)
    spread_of_loss, spread = _spread(rows, targets, single, dtype)
    loss_tolerance = tolerance(
        loss,
        np.maximum(scale[:, 0], np.abs(loss)),
        dtype,
        spread_of_loss,
        terms=n,
        rounded=reduction == "none",
    )
    divisor = _divisor(a, ignored, normalizer) if reduction == "mean" else Wide(1)
    if reduction == "none":
        loss, loss_tolerance = loss.reshape(items), loss_tolerance.reshape(items)
    else:
        loss, loss_tolerance = loss.sum(), loss_tolerance.sum()
        loss = loss / divisor if divisor else Wide(np.nan)
        loss_tolerance = np.maximum(
            loss_tolerance / (divisor or 1), BUDGETS[dtype].reduced * np.abs(loss)
        )
    divisor = divisor or Wide(1)
    gradient = gradient / divisor
    gradient_tolerance = tolerance(size / divisor, scale / divisor, dtype, spread)
    gap = np.where(hessian_size == 0, 0, rows.gap)
    hessian_tolerance = tolerance(hessian_size / divisor, scale / divisor, dtype, gap, factors=2)
    return Expected(
        loss,
        loss_tolerance,
        *(
            np.moveaxis(entries.reshape(moved.shape), -1, axis)
            for entries in (gradient, gradient_tolerance, hessian / divisor, hessian_tolerance)
        ),
    )


def _targets(
    labels: Array, w: Array, s: Array, eps: Wide, ignore_index: int, n: int, axis: int
) -> tuple[Array, Array, Array]:
    """Return the target of every class (rows, n), the rows' weights and which are ignored."""
    if labels.dtype.kind == "f":
        q = np.moveaxis(labels, axis, -1).reshape(-1, n).astype(Wide)
        return w * ((1 - eps) * q + eps / n), s, np.zeros(len(s), bool)
    y = labels.reshape(-1)
    ignored = y == ignore_index
    y = np.where(ignored, 0, y).astype(np.intp)
    one_hot = np.arange(n) == y[:, None]
    targets = np.where(one_hot, (1 - eps) * w, 0) + eps / n * w
    return targets, np.where(ignored, 0, s * w[y]), ignored


def _divisor(a: Array, ignored: Array, normalizer: Any) -> Any:
    """Return what a mean divides by."""
    if not isinstance(normalizer, str):
        return Wide(normalizer)
    return {
        "weight": a.sum(),
        "valid": Wide((~ignored).sum()),
        "all": Wide(a.size),
        "nonzero": Wide((a != 0).sum()),
    }[normalizer]


def _spread(rows: Rows, targets: Array, single: Array, dtype: Any) -> tuple[Array, Array]:
    """Return ``max abs(x_c - x_y)`` over the classes that matter, of losses and gradient entries.

    A class matters if it changes a digit of the sum: it is within ``-log eps`` of the largest of
    the classes other than the label; to a gradient entry its own class and the largest logit
    matter as well. inf where small results are no promise, because several terms make them up:
    unless the row has a single target and no z loss, for losses and for entries with a target.
    """
    reach = -np.log(BUDGETS[np.dtype(dtype)].eps)
    y = targets.argmax(axis=1)[:, None]
    others = np.where(np.arange(targets.shape[1]) == y, -np.inf, rows.x)
    with np.errstate(invalid="ignore"):
        from_label = np.abs(rows.x - np.take_along_axis(rows.x, y, axis=1))
        matters = others >= others.max(axis=1, keepdims=True) - reach
        of_row = np.where(matters, from_label, 0).max(axis=1, keepdims=True)
        of_entry = rows.m - rows.x
        of_single = np.fmax(of_entry, np.where(targets == 0, from_label, 0))
        of_entry = np.where(single, np.fmax(of_single, of_row), of_entry)
    of_entry = np.where((targets == 0) | single, of_entry, np.inf)
    of_entry = np.where((targets == 0) & (rows.x == -np.inf), 0, of_entry)  # exactly 0
    return np.where(single, of_row, np.inf)[:, 0], of_entry
