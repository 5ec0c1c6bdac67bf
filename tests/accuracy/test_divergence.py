"""Divergences between two arrays of logits, against exact arithmetic."""

import math

import cases
import ml_dtypes
import numpy as np
import pytest
from ulp import BUDGETS

import fastce

F32, F64 = cases.DTYPES
DTYPES = [F32, F64, np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]
LOSSES = {"kl": fastce.kl_divergence, "js": fastce.js_divergence}
CLASSES = (1, 2, 3, 8, 17, 40, 130, 1000)


def log_softmax(x, temperature):
    """Return logarithms of probabilities in long double, and how far rounding may be off."""
    x = np.asarray(x).astype(np.longdouble) / temperature
    m = x.max(axis=-1, keepdims=True)
    return (x - m) - np.log(np.exp(x - m).sum(axis=-1, keepdims=True))


def expected(kind, x, z, temperature):
    """Return divergences and gradients of rows, by sums of terms that are not negative."""
    a, b = log_softmax(x, temperature), log_softmax(z, temperature)
    q, p, u = np.exp(a), np.exp(b), b - a
    if kind == "kl":
        near = sum((-u) ** k / np.longdouble(math.factorial(k)) for k in range(2, 22))
        term = p * np.where(np.abs(u) < 0.5, near, np.exp(-u) - 1 + u)
        return term.sum(axis=-1), p * np.expm1(-u) / temperature
    w = np.tanh(u / 2)
    near = w**2 + w**4 / 6 + w**6 / 15 + w**8 / 28
    with np.errstate(invalid="ignore", divide="ignore"):
        far = (1 + w) * np.log1p(w) + (1 - w) * np.log1p(-w)
    far = np.where(np.abs(w) == 1, 2 * np.log(np.longdouble(2)), far)
    term = (p + q) / 4 * np.where(np.abs(w) < 1e-3, near, far)
    with np.errstate(over="ignore"):
        far = np.log(np.longdouble(2)) - np.logaddexp(0, u)
        slope = np.where(np.abs(u) < 0.01, -np.log1p(np.expm1(np.clip(u, -1, 1)) / 2), far) / 2
    slope = np.where(q == 0, 0, slope)
    mean = (q * slope).sum(axis=-1, keepdims=True)
    return term.sum(axis=-1), q * (slope - mean) / temperature


def pair(n, dtype, apart):
    """Return logits of a model and of a reference that are so far apart."""
    rng = cases.seeded(n, int(1e6 * apart))
    z = (rng.normal(size=(24, n)) * 3).astype(dtype)
    x = (z.astype(np.float64) + apart * rng.normal(size=z.shape)).astype(dtype)
    x[::3] = (x[::3].astype(np.float64) + 5).astype(dtype)
    x[1::3] = (x[1::3].astype(np.float64) - 50).astype(dtype)
    return x, z


@pytest.mark.parametrize("apart", [1e-4, 1e-2, 0.3, 2.0, 15.0])
@pytest.mark.parametrize("kind", LOSSES)
def test_against_long_double(kind, apart, each_isa) -> None:
    """Small divergences to their own digits, others to 1e-7 of 1 and of what is summed."""
    for dtype in DTYPES:
        wide = F32 if dtype.itemsize == 2 else dtype
        eps = BUDGETS[wide].eps
        for n in CLASSES:
            for temperature in (1.0, 2.5):
                x, z = pair(n, dtype, apart)
                loss, slope = expected(kind, x, z, np.longdouble(temperature))
                far = np.abs(log_softmax(x, temperature) - log_softmax(z, temperature))
                most = (1 + far.max(axis=-1)) * BUDGETS[wide].absolute
                spread = np.maximum(np.ptp(x.astype(np.longdouble), axis=-1), 0)
                relative = (16 + far.max(axis=-1) + spread) * eps * loss
                # The reference's own digits: it takes u as a difference of logarithms.
                own = 10 * np.finfo(np.longdouble).eps * (60 + spread)
                relative = relative + own * (loss / apart + np.sqrt(loss))
                lost = own[:, None]
                rows = np.abs(slope).max(axis=-1, keepdims=True)
                for isa in each_isa():
                    got, grad = LOSSES[kind](
                        x, z, temperature=temperature, reduction="none", return_grad=True
                    )
                    what = f"{isa}, {dtype}, {n} classes, T {temperature}"
                    assert (got >= 0).all(), what
                    error = np.abs(got - loss)
                    near = far.max(axis=-1) < 0.4  # all by their series
                    allowed = np.where(near, relative, np.maximum(most, relative))
                    assert (error <= allowed + 1e-37).all(), (what, (error - allowed).max())
                    off = np.abs(grad.astype(np.longdouble) - slope)
                    room = 40 * eps * rows + lost + 1e-37
                    if kind == "js":  # a difference of g and its mean
                        room = room + 4 * eps * far.max(axis=-1, keepdims=True)
                    if dtype != wide:
                        room = room + np.abs(slope) * float(ml_dtypes.finfo(dtype).eps)
                        room = room + float(ml_dtypes.finfo(dtype).smallest_subnormal)
                    assert (off <= room).all(), (what, (off - room).max())


@pytest.mark.parametrize("kind", LOSSES)
def test_equal_logits_have_no_divergence(kind, isa) -> None:
    for n in CLASSES:
        for dtype in DTYPES:
            x, _ = pair(n, dtype, 1.0)
            loss, grad = LOSSES[kind](x, x, reduction="none", return_grad=True)
            assert not loss.any()
            assert not grad.any()


@pytest.mark.parametrize("kind", LOSSES)
def test_unusual_rows(kind, isa) -> None:
    inf, nan = np.inf, np.nan
    x = np.array([[-inf, 0, 1.0], [0, 0, 0], [-inf, 0, 0], [nan, 0, 0], [inf, 0, 0], [-inf] * 3])
    z = np.array([[-inf, 0, 1.0], [-inf, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    for dtype in (F32, F64):
        loss, grad = LOSSES[kind](
            x.astype(dtype), z.astype(dtype), reduction="none", return_grad=True
        )
        assert loss[0] == 0
        assert np.isnan(loss[3:]).all()
        assert np.isfinite(grad[:3]).all()
        if kind == "kl":
            assert loss[1:3] == pytest.approx([np.log(1.5), inf], rel=1e-6)
        else:  # (1/3, 1/3, 1/3) and (0, 1/2, 1/2), in either order
            true = (np.log(2) / 3 + 2 / 3 * np.log(4 / 5) + np.log(6 / 5)) / 2
            assert loss[1:3] == pytest.approx([true, true], rel=1e-6)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_options(kind, axis, isa) -> None:
    rng = np.random.default_rng(1)
    x, z = rng.normal(size=(2, 6, 5, 7))
    items = np.delete(x.shape, axis)
    weight = rng.random(items).round(1)
    weight[0, 0] = 0
    each, slope = LOSSES[kind](x, z, axis=axis, reduction="none", return_grad=True)
    assert each.shape == tuple(items)
    loss, grad = LOSSES[kind](x, z, axis=axis, sample_weight=weight, return_grad=True)
    assert loss == pytest.approx((weight * each).sum() / weight.sum(), rel=1e-13)
    spread = np.expand_dims(weight, axis) / weight.sum()
    np.testing.assert_allclose(grad, slope * spread, rtol=1e-12, atol=1e-18)
    total = LOSSES[kind](x, z, axis=axis, sample_weight=weight, reduction="sum")
    assert total == pytest.approx((weight * each).sum(), rel=1e-13)
    for normalizer, count in (("all", each.size), ("nonzero", np.count_nonzero(weight)), (4, 4)):
        got = LOSSES[kind](x, z, axis=axis, sample_weight=weight, normalizer=normalizer)
        assert got == pytest.approx(total / count, rel=1e-13)
    in_place = x.copy()
    LOSSES[kind](in_place, z, axis=axis, sample_weight=weight, grad_out=in_place, num_threads=2)
    np.testing.assert_array_equal(in_place, grad)
    for where, view in cases.layouts(x):
        got, of_it = LOSSES[kind](view, z, axis=axis, reduction="none", return_grad=True)
        np.testing.assert_array_equal(got, each, err_msg=where)
        np.testing.assert_array_equal(of_it, slope, err_msg=where)
    mixed = LOSSES[kind](x.astype(np.float32), z, axis=axis, reduction="none")
    np.testing.assert_allclose(mixed, each, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", LOSSES)
def test_a_row_is_a_function_of_itself(kind, isa) -> None:
    for dtype in DTYPES:
        for n in (2, 9, 300):
            x, z = pair(n, dtype, 1.0)
            options = {"reduction": "none", "return_grad": True}
            whole = LOSSES[kind](x, z, **options)
            order = np.random.default_rng(0).permutation(len(x))
            moved = LOSSES[kind](x[order], z[order], **options, num_threads=2)
            for a, b in zip(whole, moved, strict=True):
                np.testing.assert_array_equal(a[order], b)
            for i in range(0, len(x), 5):
                alone = LOSSES[kind](x[i : i + 1], z[i : i + 1], **options)
                for a, b in zip(whole, alone, strict=True):
                    np.testing.assert_array_equal(a[i], b[0])


def test_weight_0_and_empty_calls(isa) -> None:
    x = np.array([[np.nan, 0.0], [1.0, 2.0]])
    loss, grad = fastce.kl_divergence(x, x, sample_weight=[0, 1], return_grad=True)
    assert loss == 0
    assert not grad.any()
    assert np.isnan(fastce.kl_divergence(np.zeros((0, 3)), np.zeros((0, 3))))
    assert fastce.kl_divergence(np.zeros((0, 3)), np.zeros((0, 3)), reduction="sum") == 0


def test_very_long_rows(isa) -> None:
    rng = np.random.default_rng(7)
    x, z = rng.normal(size=(2, 3, 70_000))
    for kind, call in LOSSES.items():
        true, slope = expected(kind, x, z, np.longdouble(1))
        loss, grad = call(x, z, reduction="none", return_grad=True)
        np.testing.assert_allclose(loss, true.astype(float), rtol=1e-13)
        np.testing.assert_allclose(grad, slope.astype(float), rtol=1e-11, atol=1e-19)


def test_refusals() -> None:
    x = np.zeros((2, 3))
    with pytest.raises(ValueError, match=r"reference_logits has shape \(3, 2\), but logits have"):
        fastce.kl_divergence(x, x.T)
    with pytest.raises(ValueError, match=r"temperature is 0, accepted is a number in"):
        fastce.kl_divergence(x, x, temperature=0)
    with pytest.raises(ValueError, match="grad_out overlaps reference_logits"):
        fastce.kl_divergence(x.copy(), x, grad_out=x)
    with pytest.raises(TypeError, match="reference_logits has dtype int64"):
        fastce.kl_divergence(x, np.zeros((2, 3), np.int64))
    with pytest.raises(ValueError, match=r"sample_weight\[0\] is -1"):
        fastce.kl_divergence(x, x, sample_weight=[-1, 1])
