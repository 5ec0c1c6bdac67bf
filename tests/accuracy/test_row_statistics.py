"""Row statistics against their definitions in many digits, within a budget written beforehand.

Of its own size an error is at most EPS[dtype] times what stands here, plus, where a number is about
as small as exp(-gap), the rounding of that gap (semantics, section 8: a small loss).
"""

import cases
import ml_dtypes
import numpy as np
import pytest
import row_statistics as oracle

import fastce

EPS = {4: 2.0**-23, 8: 2.0**-52}
TINY = {4: 2.0**-126, 8: 2.0**-1022}  # what squares of distances may lose by underflow
# Of the size of the number itself, in eps: float32 and half, float64.
OWN = {
    "loss": (2, 4),
    "entropy": (2, 8),
    "confidence": (2, 4),
    "brier": (3, 8),
    "logit_variance": (16, 64),
    "margin": (0, 1),
}
# Of that of the number or 1, whichever is larger.
OF_SCALE = {"logsumexp": (1.5, 4), "mean_logit": (1.5, 4)}
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
HALF = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


def check(x, y, names, true, temperature=1.0) -> None:
    """Assert that every statistic of every row is within its budget, and integers are exact."""
    got = fastce.row_statistics(x, y, temperature=temperature)._asdict()
    double = x.dtype.itemsize == 8 or temperature != 1
    eps = EPS[8 if double else 4]
    margin = np.where(np.isfinite(true["margin"]), true["margin"], 0)
    for name, value in got.items():
        if name in ("predicted", "rank"):
            np.testing.assert_array_equal(value, true[name], err_msg=name)
            continue
        with np.errstate(invalid="ignore", over="ignore"):
            size = np.abs(true[name])
            allowed = (
                OF_SCALE[name][double] * eps * np.maximum(size, 1)
                if name in OF_SCALE
                else ((OWN[name][double] * eps + margin * 2.0**-52) * size)
            )
            allowed = allowed + TINY[8 if double else 4]
            apart = np.abs(value - true[name])
        same = (value == true[name]) | (np.isnan(value) & np.isnan(true[name]))
        bad = ~(same | (apart <= allowed))
        assert not bad.any(), "\n".join(
            f"{name} of {names[i]}: {value[i]!r}, true {true[name][i]!r}, "
            f"{float(apart[i] / allowed[i]):.3g} of what is allowed"
            for i in np.flatnonzero(bad)[:10]
        )


@pytest.mark.parametrize("dtype", HALF, ids=str)
@pytest.mark.parametrize("n", [5, 33])
def test_half_precision(n, dtype, each_isa) -> None:
    x, y, names = cases.rows_of_every_kind(n, F32)
    x = np.clip(x, -60000, 60000, where=np.isfinite(x), out=x).astype(dtype)
    true = oracle.row_statistics(x, y)
    for _ in each_isa():
        check(x, y, names, true)


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 17, 64, 100])
def test_rows_of_every_kind(n, dtype, each_isa) -> None:
    x, y, names = cases.rows_of_every_kind(n, dtype)
    true = oracle.row_statistics(x, y)
    for _ in each_isa():
        check(x, y, names, true)


def of(n, dtype, rows, temperature=1.0):
    """Return some rows of every kind, their names and true statistics."""
    x, y, names = cases.rows_of_every_kind(n, dtype)
    some = cases.seeded(n).permutation(len(y))[:rows]
    x, y, names = x[some], y[some], [names[i] for i in some]
    return x, y, names, oracle.row_statistics(x, y, temperature)


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
@pytest.mark.parametrize("n", [193, 450])
def test_rows_taken_one_by_one(n, dtype, each_isa) -> None:
    call = of(n, dtype, 24)
    for _ in each_isa():
        check(*call)


@pytest.mark.parametrize("temperature", [0.25, 3.0])
@pytest.mark.parametrize("n", [3, 20, 130])
def test_temperature(n, temperature, each_isa) -> None:
    call = of(n, F32, 16, temperature)
    for _ in each_isa():
        check(*call, temperature)


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_rows_of_several_spans(dtype, each_isa) -> None:
    n = 2 * 32768 + 5
    x = cases.random_logits((3, n), dtype)
    x[0, [40000, 70]] = 30  # equal tops in two spans
    x[1, -1], x[1, 40000:-1] = 12, -np.inf
    x[2, 100] = x[2, n - 1]
    y = np.array([40000, 5, n - 1])
    true = in_long_double(x, y)
    for _ in each_isa():
        check(x, y, ["equal tops", "masked span", "random"], true)


def in_long_double(x, y):
    """Return true statistics of rows of so many classes that many digits would take minutes."""
    wide, rows = x.astype(np.longdouble), np.arange(len(x))
    gap = wide.max(1)[:, None] - wide
    exps = np.exp(-gap)
    others = exps.copy()
    others[rows, x.argmax(1)] = 0
    rest = others.sum(1)
    p, distance = exps / (1 + rest)[:, None], np.where(exps > 0, gap, 0)
    mean_gap = (p * distance).sum(1)
    onehot = np.arange(x.shape[1]) == y[:, None]
    label = x[rows, y][:, None]
    tops = np.sort(wide, 1)[:, -2:]
    return {
        "loss": np.log1p(rest) + gap[rows, y],
        "logsumexp": np.log1p(rest) + wide.max(1),
        "predicted": x.argmax(1),
        "rank": ((x > label) | (x == label) & (np.arange(x.shape[1]) < y[:, None])).sum(1),
        "confidence": 1 / (1 + rest),
        "margin": tops[:, 1] - tops[:, 0],
        "entropy": np.log1p(rest) + mean_gap,
        "brier": ((p - onehot) ** 2).sum(1),
        "mean_logit": wide.max(1) - mean_gap,
        "logit_variance": (p * (distance - mean_gap[:, None]) ** 2).sum(1),
    }
