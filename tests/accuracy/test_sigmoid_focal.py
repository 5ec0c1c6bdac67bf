"""The focal loss of binary problems, against mpmath's derivatives of the formula of its users."""

import ml_dtypes
import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf
from ulp import BUDGETS, assert_within, rounding, tolerance

import fastce

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
DTYPES = [F32, F64, np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]
LOGITS = [0.0, -0.0, 0.3, -0.3, 1.0, -2.0, 5.0, -7.0, 17.0, -18.0, 30.0, -41.0, 69.0, -69.0, 86.0]
LABELS = [0.0, 1.0, 0.25, 0.5, 0.9375]


def formula(x, z, alpha, gamma):
    """Return the loss as torchvision and optax write it, in mpmath's arithmetic."""
    p, q = 1 / (1 + mp.exp(-x)), 1 / (1 + mp.exp(x))
    entropy = z * mp.log1p(mp.exp(-x)) + (1 - z) * mp.log1p(mp.exp(x))
    share = 1 if alpha is None else alpha * z + (1 - alpha) * (1 - z)
    return share * entropy * ((1 - z) * p + z * q) ** gamma


def expected(x, z, alpha, gamma):
    """Return loss and derivatives of elements as long doubles."""
    found = []
    with mp.workdps(150):
        for one, label in zip(x, z, strict=True):

            def f(v, label=label):
                return formula(v, mpf(float(label)), alpha, mpf(gamma))

            at = mpf(float(one))
            true = (f(at), mpmath.diff(f, at), mpmath.diff(f, at, 2))
            found.append([np.longdouble(mpmath.nstr(v, 30)) for v in true])
    return np.array(found).T


@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_loss_and_derivatives(gamma, alpha, each_isa) -> None:
    for dtype in DTYPES:
        wide = F32 if dtype.itemsize == 2 else dtype
        x, z = (np.array(v).ravel() for v in np.meshgrid(LOGITS, LABELS))
        x = x.astype(dtype)
        true = expected(x, z, alpha, gamma)
        # A label between 0 and 1 makes a sum of terms of two signs; others lose no digit.
        spread = np.where((z == 0) | (z == 1), np.abs(x.astype(np.longdouble)), np.inf)
        scale = np.maximum(1, np.abs(true[0]))
        allowed = [
            tolerance(true[k], (scale, 1 + gamma, (1 + gamma) ** 2)[k], wide, spread, factors=f)
            for k, f in enumerate((1 + gamma, 1 + gamma, 2 + gamma))
        ]
        # Below p = 0.058 the second derivative of gamma = 2 is a difference.
        least = np.exp(-np.abs(x.astype(np.longdouble)))
        allowed[2] += (2 + gamma) * (1 + gamma) * 100 * BUDGETS[wide].eps * least
        for isa in each_isa():
            found = fastce.sigmoid_focal_loss(
                x, z, alpha=alpha, gamma=gamma, reduction="none", return_grad=True, return_hess=True
            )
            for name, got, right, most in zip(
                ("loss", "gradient", "second"), found, true, allowed, strict=True
            ):
                if dtype != wide and name != "loss":
                    most = most + 1.01 * rounding(right, dtype)
                assert_within(got.astype(wide), right, most, wide, f"{isa}, {dtype}, {name}")


def test_clear_winners_keep_their_digits(isa) -> None:
    """At p = 1 - 1e-30 the loss is q ** (1 + gamma), and its gradient 1 + gamma times that."""
    for dtype in (F32, F64):
        x = np.array([-69.0775527898, 69.0775527898], dtype)
        q = float(np.exp(-np.longdouble(x[1])))
        for gamma in (0.5, 1.0, 2.0, 5.0):
            loss, grad = fastce.sigmoid_focal_loss(
                x, [0, 1], gamma=gamma, reduction="none", return_grad=True
            )
            near = {"rel": 90 * (1 + gamma) * BUDGETS[dtype].eps, "abs": BUDGETS[dtype].tiny}
            assert loss == pytest.approx([q ** (1 + gamma)] * 2, **near)
            slope = (1 + gamma) * q ** (1 + gamma)
            assert grad == pytest.approx([slope, -slope], **near)


def test_infinite_logits(isa) -> None:
    inf = np.inf
    x, z = np.array([inf, -inf, inf, -inf, np.nan, inf, -inf]), [1, 1, 0, 0, 1, 0.5, 0.5]
    for dtype in DTYPES:
        for gamma in (0.0, 0.5, 2.0):
            loss, grad, hess = fastce.sigmoid_focal_loss(
                x.astype(dtype),
                z,
                gamma=gamma,
                reduction="none",
                return_grad=True,
                return_hess=True,
            )
            np.testing.assert_array_equal(loss, [0, inf, inf, 0, np.nan, inf, inf])
            np.testing.assert_array_equal(np.float32(grad[:5]), [0, -1, 1, 0, np.nan])
            np.testing.assert_array_equal(np.float32(hess[:5]), [0, 0, 0, 0, np.nan])


@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_options(axis, isa) -> None:
    rng = np.random.default_rng(2)
    x, z = rng.normal(size=(3, 40, 50)) * 3, rng.random((3, 40, 50)).round(1)
    options = {"alpha": 0.3, "gamma": 1.5}
    each, slope, second = fastce.sigmoid_focal_loss(
        x, z, **options, reduction="none", return_grad=True, return_hess=True
    )
    items = each if axis is None else each.sum(axis)
    weight = rng.random(items.shape).round(1)
    spread = weight if axis is None else np.expand_dims(weight, axis)
    got = fastce.sigmoid_focal_loss(
        x, z, **options, axis=axis, sample_weight=weight, return_grad=True, return_hess=True
    )
    assert got[0] == pytest.approx((weight * items).sum() / weight.sum(), rel=1e-12)
    np.testing.assert_allclose(got[1], slope * spread / weight.sum(), rtol=1e-12, atol=1e-18)
    np.testing.assert_allclose(got[2], second * spread / weight.sum(), rtol=1e-12, atol=1e-18)
    for kept in (z.astype(np.float32), np.asfortranarray(z)):
        alone = fastce.sigmoid_focal_loss(x, kept, **options, axis=axis, reduction="none")
        np.testing.assert_allclose(alone, items, rtol=1e-6 if kept.itemsize == 4 else 1e-12)
    in_place = x.copy()
    fastce.sigmoid_focal_loss(
        in_place, z, **options, axis=axis, sample_weight=weight, grad_out=in_place, num_threads=2
    )
    np.testing.assert_array_equal(in_place, got[1])


def test_an_element_is_a_function_of_itself(isa) -> None:
    rng = np.random.default_rng(3)
    for dtype in DTYPES:
        x = (rng.normal(size=600) * 8).astype(dtype)
        z = np.where(rng.random(600) < 0.7, rng.integers(0, 2, 600), rng.random(600))
        options = {"gamma": 1.5, "reduction": "none", "return_grad": True, "return_hess": True}
        whole = fastce.sigmoid_focal_loss(x, z, **options)
        order = rng.permutation(600)
        moved = fastce.sigmoid_focal_loss(x[order], z[order], **options)
        for a, b in zip(whole, moved, strict=True):
            np.testing.assert_array_equal(a[order], b)
        for i in range(0, 600, 37):
            alone = fastce.sigmoid_focal_loss(x[i : i + 1], z[i : i + 1], **options)
            for a, b in zip(whole, alone, strict=True):
                assert a[i] == b[0]


def test_refusals() -> None:
    x = np.zeros(3)
    for bad, accepted in (({"gamma": -1}, "in [0, 1e6]"), ({"alpha": 1.5}, "in [0, 1], or None")):
        (name,) = bad
        with pytest.raises(ValueError, match=rf"{name} is .*, accepted is a number") as error:
            fastce.sigmoid_focal_loss(x, [0, 1, 1], **bad)
        assert accepted in str(error.value)
    with pytest.raises(ValueError, match=r"labels\[1\] is 2"):
        fastce.sigmoid_focal_loss(x, [0, 2, 1], grad_out=x)
    assert not x.any()
