"""The losses that are a function psi of the label's log-probability r, with their budget.

psi is written here as its paper has it, in mpmath's arithmetic, and mpmath differentiates it; what
rows are worth comes from ``wide.py``.
"""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import wide
from mpmath import mp, mpf
from ulp import BUDGETS, tolerance

Array = np.ndarray
DIGITS = 40

Psi = Callable[[Any], Any]

# By name of the public function: its parameter's name, psi, and how many numbers of a row's budget
# the loss is a product of.
PSI: dict[str, tuple[str, Callable[[Any], Psi], Callable[[float], float]]] = {
    "softmax_focal_loss": (
        "gamma",
        lambda gamma: lambda r: -((-mp.expm1(r)) ** gamma) * r,
        lambda gamma: 1 + gamma,
    ),
    "poly_loss": (
        "epsilon",
        lambda epsilon: lambda r: -r - epsilon * mp.expm1(r),
        lambda epsilon: 1 + abs(epsilon),
    ),
    "generalized_cross_entropy": (
        "q",
        lambda q: lambda r: -mp.expm1(q * r) / q,
        lambda q: 1 + q,
    ),
    "taylor_cross_entropy": (
        "terms",
        lambda n: lambda r: mp.fsum((-mp.expm1(r)) ** k / k for k in range(1, int(n) + 1)),
        lambda n: 1.0,
    ),
}


def exactly(x: Any) -> Any:
    """Return a long double as a number of mpmath."""
    mantissa, exponent = np.frexp(x)
    high = float(mantissa)
    return (mpf(high) + mpf(float(mantissa - high))) * mpf(2) ** int(exponent)


def rounded(x: Any) -> Any:
    """Return a number of mpmath as a long double, right to some of its ulp."""
    mantissa, exponent = mp.frexp(x)
    high = float(mantissa)
    return np.ldexp(np.longdouble(high) + np.longdouble(float(mantissa - high)), int(exponent))


def digits_lost(r: Any) -> int:
    """Return how many digits psi may lose, which may begin with r^2, or end with exp(r)."""
    return max(0, -2 * int(mp.log10(-r)), int(min(-r, 750) * 0.87))


def derivatives(psi: Psi, r: Any) -> tuple[Any, Any, Any]:
    """Return psi(r), -psi'(r) and psi''(r); 0 of each where the label has all probability.

    mpmath's step is the same for all arguments, so what is differentiated is psi(-exp(v)).
    """
    if r == 0:
        return np.longdouble(0), np.longdouble(0), np.longdouble(0)
    x = exactly(r)
    with mp.workdps(DIGITS + digits_lost(x)):
        v = mp.log(-x)
        first, second = (mpmath.diff(lambda v: psi(-mp.exp(v)), v, k) for k in (1, 2))
        return rounded(psi(x)), rounded(-first / x), rounded((second - first) / x**2)


def expected(
    name: str, parameter: float, logits: Array, labels: Array, weight: Array | float = 1.0
) -> wide.Expected:
    """Return what rows (rows, classes) give, each alone and times its weight, with its budget."""
    dtype = logits.dtype
    rows = wide.softmax_rows(logits)
    _, psi_of, factors_of = PSI[name]
    factors = factors_of(parameter)
    label = np.arange(logits.shape[1]) == labels[:, None]
    nll = rows.nll[label]
    made = [derivatives(psi_of(mpf(parameter)), -x) for x in nll]
    loss, s, t = (weight * np.array(column, np.longdouble) for column in zip(*made, strict=True))
    s, t = s[:, None], t[:, None]
    beside = np.where(label, rows.p_minus_one, rows.p)
    variance = rows.p * -rows.p_minus_one
    gradient, hessian = s * beside, t * beside**2 + s * variance
    size = np.abs(t) * beside**2 + np.abs(s) * variance
    single = np.ones((len(logits), 1), bool)
    of_row, of_entry = wide._spread(rows, label.astype(np.longdouble), single, dtype)
    # What multiplies exponentials as large as 2^74 may be subnormal where s is that small.
    lost = np.where(s < 2.0**-40, np.ldexp(BUDGETS[dtype].tiny, 51), 0)
    scale = np.broadcast_to(np.asarray(weight, np.longdouble), loss.shape)
    return wide.Expected(
        loss,
        tolerance(loss, np.maximum(scale, np.abs(loss)), dtype, of_row, factors=factors),
        gradient,
        lost + tolerance(gradient, np.maximum(scale[:, None], s), dtype, of_entry, factors=factors),
        hessian,
        lost
        + tolerance(
            size,
            np.maximum(scale[:, None], np.maximum(s, np.abs(t) * beside**2)),
            dtype,
            np.where(size == 0, 0, np.maximum(rows.gap, of_row[:, None])),
            factors=1 + factors,
        ),
    )
