"""Results of the softmax loss as shares of their budget, against the references in long double."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import wide
from ulp import rounding, used

import fastce

Array = np.ndarray
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def expected(logits: Array, labels: Array, **options: Any) -> wide.Expected:
    """Return what the reference expects of a call, half precision taken as float32."""
    x = logits.astype(F32) if logits.dtype.itemsize == 2 else logits
    with np.errstate(all="ignore"):
        return wide.softmax_cross_entropy(x, labels, **options)


def shares(
    logits: Array,
    labels: Array,
    true: wide.Expected | None = None,
    call: Callable[..., Any] = fastce.softmax_cross_entropy,
    **options: Any,
) -> dict[str, tuple[Array, Array, Array]]:
    """Call a loss; return by quantity the share of its budget each result uses, it and the truth.

    Past 1 a result is wrong.
    """
    true = expected(logits, labels, **options) if true is None else true
    stored = logits.dtype
    dtype = F32 if stored.itemsize == 2 else stored
    loss_dtype = dtype if options.get("reduction") == "none" else F64
    alone = call(logits, labels, **options)
    loss, *entries = call(logits, labels, return_grad=True, return_hess=True, **options)
    found = {
        name: (used(got, true.loss, true.loss_tolerance, loss_dtype), got, true.loss)
        for name, got in (("loss", alone), ("loss beside gradient", loss))
    }
    for name, got, right, allowed in (
        ("gradient", entries[0], true.gradient, true.gradient_tolerance),
        ("Hessian", entries[1], true.hessian, true.hessian_tolerance),
    ):
        assert got.dtype == stored
        if stored != dtype:
            got, right, allowed = in_half_precision(got, right, allowed, dtype)
        found[name] = (used(got, right, allowed, dtype), got, right)
    return found


def in_half_precision(got: Array, right: Array, allowed: Array, dtype: Any) -> tuple[Array, ...]:
    """Return results as float32, the truth and what is allowed with one rounding more.

    What is past the largest number of the stored dtype is infinite, and as right as that number.
    """
    stored, got = got.dtype, got.astype(dtype)
    largest = float(ml_dtypes.finfo(stored).max)
    finite = np.isfinite(right)
    got = np.where(finite, np.clip(got, -largest, largest), got)
    right = np.where(finite, np.clip(right, -largest, largest), right)
    return got, right, np.where(finite, allowed + 1.01 * rounding(right, stored), allowed)


def assert_right(
    logits: Array,
    labels: Array,
    what: str = "",
    true: wide.Expected | None = None,
    call: Callable[..., Any] = fastce.softmax_cross_entropy,
    **options: Any,
) -> None:
    """Assert that loss, gradient and Hessian of a call are within their budgets."""
    wrong = []
    for name, (share, got, right) in shares(logits, labels, true, call, **options).items():
        share = np.atleast_1d(share)
        at = np.unravel_index(np.argmax(share), share.shape)
        if share[at] > 1:
            wrong.append(
                f"{name} at {tuple(int(i) for i in at)} is {np.atleast_1d(got)[at]!r}, "
                f"not {np.atleast_1d(right)[at]!r}: {float(share[at]):.3g} times the budget; "
                f"{int((share > 1).sum())} of {share.size} are past it"
            )
    assert not wrong, "\n".join([what, *wrong])
