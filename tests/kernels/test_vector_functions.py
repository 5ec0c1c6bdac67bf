"""exp and log themselves, held to the errors stated at the top of simd/exp.h and simd/log.h.

Arguments are bit patterns: for float32 every 4099th of the range, for float64 one from each of
100,000 strata, and for both the neighbours of the numbers at which a function changes what it
does. True values are long doubles; those of the largest errors are held to mpmath.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import mpmath
import numpy as np
import pytest
from ulp import ulps

import fastce
from fastce import _kernels

Array = np.ndarray
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
BITS = {F32: np.uint32, F64: np.uint64}
SIMD = Path(fastce.__file__).parent / "_kernels" / "simd"
LN2 = np.log(np.longdouble(2))

# The number by which the kernels know a dtype, and a function.
KINDS = {F32: 10, F64: 11}
FUNCTIONS = ("exp", "scaled_exp", "log", "log1p", "brief_log")
SCALE = 2.0**24  # of scaled_exp

# The largest errors, in ulp of the true value; of brief_log, which serves floats, relative to it.
LARGEST_ERROR = {
    ("exp", F32): 0.9,
    ("exp", F64): 1.2,
    ("scaled_exp", F32): 0.9,
    ("scaled_exp", F64): 1.2,
    ("log", F32): 0.9,
    ("log", F64): 1.0,
    ("log1p", F32): 1.0,
    ("log1p", F64): 1.2,
    ("brief_log", F64): 1e-9,
}


# Where errors are largest, found by trying all float32: exp, exp without fused multiply-add, log,
# log1p, log1p without.
WORST = (-5.848642, 80.7961, 1.4141375, 0.4007555, 0.411482)


def apply(function: str, x: Array) -> Array:
    """Return a function's values as the kernels compute them."""
    out = np.empty_like(x)
    _kernels.active.vector_function(FUNCTIONS.index(function), x, out, KINDS[x.dtype])
    return out


def true_values(function: str, x: Array) -> Array:
    """Return a function's values as long doubles."""
    wide = x.astype(np.longdouble)
    if function == "exp":
        return np.exp(wide)
    if function == "scaled_exp":
        return np.exp(wide) * SCALE
    return np.log1p(wide) if function == "log1p" else np.log(wide)


def exact_value(function: str, x: float) -> mpmath.mpf:
    """Return one value to mpmath's precision."""
    number = mpmath.mpf(x)
    if function in ("exp", "scaled_exp"):
        return mpmath.exp(number) * (SCALE if function == "scaled_exp" else 1)
    return mpmath.log1p(number) if function == "log1p" else mpmath.log(number)


# ---------------------------------------------------------------- arguments


def bits_of(x: float, dtype: np.dtype) -> int:
    """Return the bit pattern of a positive number."""
    return int(np.array(x, dtype).view(BITS[dtype]))


def patterns(low: float, high: float, dtype: np.dtype) -> Array:
    """Return numbers between two positive ones, spread over their bit patterns."""
    first, last = bits_of(low, dtype), bits_of(high, dtype)
    if dtype == F32:
        return np.arange(first, last + 1, 4099, dtype=np.uint32).view(F32)
    edges = np.linspace(0, last - first, 100_001).astype(np.uint64)
    jitter = np.random.default_rng(1).random(100_000)
    return (np.uint64(first) + edges[:-1] + (jitter * np.diff(edges)).astype(np.uint64)).view(F64)


def neighbours(points: Array, dtype: np.dtype, reach: int = 8) -> Array:
    """Return the numbers whose bit patterns are next to those of some points."""
    near = np.asarray(points, dtype)
    offsets = np.arange(-reach, reach + 1).astype(BITS[dtype])  # modulo 2^32 or 2^64
    found = (near.view(BITS[dtype])[:, None] + offsets).reshape(-1).view(dtype)
    return found[np.isfinite(found)]


@dataclass(frozen=True)
class Range:
    """Within which numbers a function is as precise as it says."""

    low: float
    high: float

    def of(self, x: Array) -> Array:
        """Return those numbers that are within."""
        return x[(x >= self.low) & (x <= self.high)]


def range_of(function: str, dtype: np.dtype) -> Range:
    """Return where a function is precise: exp, times 2^24 if scaled, where results are normal."""
    info = np.finfo(dtype)
    if function in ("log", "brief_log"):
        return Range(float(info.smallest_normal), float(info.max))
    if function == "log1p":
        return Range(0.0, float(info.max))
    # Results begin a little late, by the rounding of a constant, and half a binade is missing at
    # the upper end: where exponents are bits, 2^128 is inf.
    scaled, part = 24 if function == "scaled_exp" else 0, 1 - 1e-7
    return Range(
        float((info.minexp - scaled) * LN2) * part, float((info.maxexp - 0.5 - scaled) * LN2) * part
    )


def arguments(function: str, dtype: np.dtype) -> Array:
    """Return what to try a function with."""
    info, within = np.finfo(dtype), range_of(function, dtype)
    if function in ("exp", "scaled_exp"):
        # What exp takes from x is a multiple of ln(2), or of ln(2) / 16 where it has a table: it
        # changes halfway between two of them.
        halves = np.arange(-2 * 1100, 2 * 1100) * (LN2 / 2)
        parts = np.arange(-200, 200) * (LN2 / 32)
        x = np.concatenate([
            patterns(2.0**-60, within.high, dtype),
            -patterns(2.0**-60, -within.low, dtype),
            np.linspace(within.low, within.high, 100_000, dtype=dtype),
            np.linspace(-1, 1, 100_000, dtype=dtype),
            neighbours(within.of(halves), dtype),
            neighbours(parts, dtype),
            neighbours([0, within.low, within.high, info.eps, -info.eps, *WORST], dtype, 2000),
        ])  # fmt: skip
    else:
        # log(x) changes from one exponent to the next at sqrt(1/2) times powers of two.
        powers = np.ldexp(np.longdouble(1), np.arange(info.minexp, info.maxexp))
        x = np.concatenate([
            patterns(float(info.smallest_normal), within.high, dtype),
            np.linspace(0.4, 3, 200_000, dtype=dtype),
            neighbours(powers, dtype),
            neighbours(within.of(powers * np.sqrt(np.longdouble(0.5))), dtype),
            neighbours([1, within.high, info.eps, 1 - info.eps, 1 + info.eps, *WORST], dtype, 2000),
        ])  # fmt: skip
        if function == "log1p":  # of subnormal numbers, too
            x = np.concatenate(
                [x, patterns(float(info.smallest_subnormal), 1e-30, dtype), x[:1] * 0]
            )
    return within.of(x)


# ---------------------------------------------------------------- tests


@pytest.mark.parametrize(("function", "dtype"), LARGEST_ERROR, ids=str)
def test_largest_error(function, dtype, each_isa) -> None:
    x = arguments(function, dtype)
    true = true_values(function, x)
    for isa in each_isa():
        y = apply(function, x)
        if function == "brief_log":
            with np.errstate(invalid="ignore"):
                error = np.where(y == true, 0, np.abs(y - true) / np.abs(true))
        else:
            error = ulps(y, true, dtype)
        assert error.max() <= LARGEST_ERROR[function, dtype], (
            isa,
            x[np.argmax(error)],
            error.max(),
        )
        for k in np.argsort(error)[-5:]:
            with mpmath.workdps(60):
                exact = exact_value(function, float(x[k]))
                assert abs(mpmath.mpf(str(true[k])) / exact - 1) < 2.0**-60


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
@pytest.mark.parametrize("function", ["exp", "scaled_exp"])
def test_exp_outside_its_range(function, dtype, isa) -> None:
    """Small results end in 0, what is too large is never small, and NaN stays NaN."""
    within, info = range_of(function, dtype), np.finfo(dtype)
    below = np.array(
        [np.nextafter(dtype.type(within.low), -np.inf), -1e4, info.min, -np.inf], dtype
    )
    below = np.concatenate(
        [below, np.linspace(1.05 * within.low, within.low, 1001, dtype=dtype)[:-1]]
    )
    small = apply(function, below)
    assert np.all((small >= 0) & (small <= 1.001 * info.smallest_normal))
    assert not small[1:4].any()
    above = np.linspace(within.high, 1.05 * float(info.maxexp * LN2), 1001, dtype=dtype)
    above = np.concatenate([above, np.array([1e4, info.max, np.inf], dtype)])
    large = apply(function, above)
    assert np.all(np.isnan(large) | (large > 2.0**100))
    np.testing.assert_array_equal(
        apply(function, np.array([np.nan, 0, -0.0], dtype)), at_zero(function)
    )


def at_zero(function: str) -> list[float]:
    """Return the values at NaN, 0 and -0."""
    one = SCALE if function == "scaled_exp" else 1.0
    return [np.nan, one, one]


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
@pytest.mark.parametrize("function", ["log", "log1p"])
def test_logarithms_at_zero_and_infinity(function, dtype, isa) -> None:
    x = np.array([0, np.inf, np.nan], dtype)
    expected = [0 if function == "log1p" else -np.inf, np.inf, np.nan]
    np.testing.assert_array_equal(apply(function, x), expected)


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
@pytest.mark.parametrize("n", [1, 3, 15, 17])
def test_every_lane_alike(dtype, n, isa) -> None:
    x = np.linspace(0.1, 9, 100).astype(dtype)
    for function in FUNCTIONS:
        np.testing.assert_array_equal(apply(function, x[:n]), apply(function, x)[:n])


def test_headers_state_the_same_numbers() -> None:
    """The tables of the headers read `function  lanes  error  range`."""
    stated = {}
    for name in ("exp.h", "log.h"):
        text = (SIMD / name).read_text()
        for function, lanes, number in re.findall(
            r"^//   (\w+) +(float|double) +([\d.e-]+) ", text, re.M
        ):
            stated[function, F32 if lanes == "float" else F64] = float(number)
    assert stated == LARGEST_ERROR
