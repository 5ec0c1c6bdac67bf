"""Sigmoid and binary cross-entropy and the activations in long double, with their budget.

As in ``wide.py``: forms without cancellation, held to the oracle by test_oracle.py.
"""

from typing import Any

import numpy as np
from ulp import BUDGETS, tolerance
from wide import Array, Expected, Wide, softmax_rows

# Losses of independent elements ---------------------------------------------------------------


def sigmoid_cross_entropy(
    logits: Any,
    labels: Any,
    *,
    pos_weight: Any = None,
    sample_weight: Any = None,
    label_smoothing: float = 0.0,
    axis: int | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
) -> Expected:
    """Return loss, gradient and Hessian with their budget.

    An element is a row of two classes with the logits x and 0, so that its spread is abs(x).
    """
    logits = np.asarray(logits)
    x = logits.astype(Wide)
    r = Wide(1) if pos_weight is None else np.asarray(pos_weight).astype(Wide)
    eps = Wide(label_smoothing)
    positive = (1 - eps) * np.asarray(labels).astype(Wide) + eps / 2
    negative, positive = 1 - positive, r * positive
    loss = _term(negative, softplus(x)) + _term(positive, softplus(-x))
    gradient = _term(negative, sigmoid(x)) - _term(positive, sigmoid(-x))
    hessian = _term(negative + positive, sigmoid(x) * sigmoid(-x))
    loss, gradient, hessian = (np.where(np.isnan(x), np.nan, v) for v in (loss, gradient, hessian))
    # With one factor 0 the result is a single small number; with two it is their mixture.
    spread = np.where((negative == 0) | (positive == 0), np.abs(x), np.inf)
    scale = negative + positive
    return _reduced(
        loss,
        (scale, spread),
        gradient,
        (scale, spread),
        logits.dtype,
        sample_weight,
        axis,
        reduction,
        normalizer,
        (hessian, np.abs(x)),
    )


def binary_cross_entropy(
    probs: Any,
    labels: Any,
    *,
    sample_weight: Any = None,
    eps: float = 0.0,
    axis: int | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
) -> Expected:
    """Return loss and gradient with their budget.

    The gradient's scale is that of its two terms, since 1 / p is no number around 1.
    """
    probs = np.asarray(probs)
    p, z, least = probs.astype(Wide) + 0, np.asarray(labels).astype(Wide), Wide(eps)
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = _term(z, -np.log(np.maximum(p, least)))
        loss += _term(1 - z, -np.where(1 - p < least, np.log(least), np.log1p(-p)))
        rising = np.where(1 - p < least, 0, _term(1 - z, 1 / (1 - p)))
        falling = np.where(p < least, 0, _term(z, 1 / p))
        gradient = rising - falling
        spread = np.where((z == 0) | (z == 1), np.abs(np.log(p) - np.log1p(-p)), np.inf)
    loss, gradient = (np.where(np.isnan(p), np.nan, v) for v in (loss, gradient))
    steepness = np.where(np.isfinite(gradient), rising + falling, 0)
    one = np.ones_like(p)
    return _reduced(
        loss,
        (one, spread),
        gradient,
        (steepness, np.inf * one),
        probs.dtype,
        sample_weight,
        axis,
        reduction,
        normalizer,
    )


def _term(factor: Array, value: Array) -> Array:
    """Return factor * value, 0 where the factor is 0."""
    with np.errstate(invalid="ignore"):
        return np.where(factor == 0, 0, factor * value)


def _reduced(
    loss: Array,
    loss_budget: tuple[Array, Array],
    gradient: Array,
    gradient_budget: tuple[Array, Array],
    dtype: np.dtype,
    sample_weight: Any,
    axis: int | None,
    reduction: str,
    normalizer: Any,
    hessian: tuple[Array, Array] | None = None,
) -> Expected:
    """Sum elements to items, weigh and reduce them; budgets are given as scale and spread.

    A Hessian is given with its spread.
    """
    items = loss.shape if axis is None else tuple(np.delete(loss.shape, axis))
    given = 1.0 if sample_weight is None else np.asarray(sample_weight)
    s = np.broadcast_to(given, items).astype(Wide)
    each = s if axis is None else np.expand_dims(s, axis)
    none = np.broadcast_to(each == 0, loss.shape)
    with np.errstate(invalid="ignore"):
        loss, gradient = (np.where(none, 0, each * v) for v in (loss, gradient))
    scale, spread = loss_budget
    own = tolerance(loss, np.maximum(each * scale, np.abs(loss)), dtype, spread, rounded=False)
    if axis is not None:
        loss, own = loss.sum(axis=axis), own.sum(axis=axis)
    divisor = Wide(1)
    if reduction == "none":
        # Rounded once more than the sum of its elements.
        loss_tolerance = np.maximum(own, tolerance(loss, 0, dtype))
    else:
        loss, loss_tolerance = loss.sum(), own.sum()
        if reduction == "mean":
            divisor = _divisor(s, normalizer)
            loss = loss / divisor if divisor else Wide(np.nan)
            divisor = divisor or Wide(1)
        loss_tolerance = np.maximum(loss_tolerance / divisor, BUDGETS[dtype].reduced * np.abs(loss))
    scale, spread = gradient_budget
    gradient = gradient / divisor
    allowed = tolerance(gradient, each * scale / divisor, dtype, spread)
    if hessian is None:
        return Expected(loss, loss_tolerance, gradient, allowed)
    curvature, spread = hessian
    curvature = _term(each, curvature) / divisor
    size = np.where(curvature == 0, 0, spread)
    bound = tolerance(curvature, each * loss_budget[0] / divisor, dtype, size, factors=2)
    return Expected(loss, loss_tolerance, gradient, allowed, curvature, bound)


def _divisor(s: Array, normalizer: Any) -> Any:
    """Return what a mean divides by; no item is ever ignored."""
    if not isinstance(normalizer, str):
        return Wide(normalizer)
    count = Wide(s.size)
    return {"weight": s.sum(), "valid": count, "all": count, "nonzero": Wide((s != 0).sum())}[
        normalizer
    ]


# Activations ----------------------------------------------------------------------------------


def softplus(x: Array) -> Array:
    """Return log(1 + exp(x)) in long double."""
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)) in long double."""
    small = np.exp(-np.abs(np.asarray(x).astype(Wide)))
    return np.where(x < 0, small, 1) / (1 + small)


def softmax(logits: Array, axis: int = -1) -> Array:
    """Return exp(x) / sum(exp(x)) along an axis in long double."""
    return _along(logits, axis, lambda rows: rows.p)


def log_softmax(logits: Array, axis: int = -1) -> Array:
    """Return x - log(sum(exp(x))) along an axis in long double."""
    return _along(logits, axis, lambda rows: -rows.nll)


def _along(logits: Array, axis: int, part: Any) -> Array:
    moved = np.moveaxis(np.asarray(logits), axis, -1)
    values = part(softmax_rows(moved.reshape(-1, moved.shape[-1])))
    return np.moveaxis(values.reshape(moved.shape), -1, axis)


def logsumexp(logits: Array, axis: int = -1) -> Array:
    """Return log(sum(exp(x))) along an axis in long double."""
    moved = np.moveaxis(np.asarray(logits), axis, -1)
    flat = moved.reshape(-1, moved.shape[-1])
    rows = softmax_rows(flat)
    # A row without a finite logit is worth its largest one, if it holds no NaN.
    lse = np.where(np.isinf(rows.m), rows.m, rows.lse)
    return np.where(np.isnan(flat).any(axis=1, keepdims=True), np.nan, lse).reshape(
        moved.shape[:-1]
    )


def activation_tolerance(true: Array, dtype: Any) -> Array:
    """Return the budget of activations: that of a row whose scale is 1."""
    return tolerance(true, np.maximum(1, np.abs(true)), dtype)
