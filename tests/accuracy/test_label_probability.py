"""Losses that are a function of the label's probability, against mpmath's derivatives."""

import re
from functools import partial

import cases
import label_probability
import ml_dtypes
import numpy as np
import pytest
from against_reference import F32, assert_right
from arrangements import laid_out

import fastce

DTYPES = [*cases.DTYPES, np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]
LOSSES = {
    "softmax_focal_loss": (0.0, 0.5, 1.0, 2.0, 5.0, 1.7),
    "poly_loss": (1.0, -1.0, 6.0),
    "generalized_cross_entropy": (0.7, 1.0, 1e-3),
    "taylor_cross_entropy": (1, 2, 6),
}
EVERY = [(name, value) for name, values in LOSSES.items() for value in values]
CLASSES = (1, 2, 3, 10, 40, 130, 330)


def loss_of(name, value):
    """Return a loss of the public names, its parameter given."""
    parameter = label_probability.PSI[name][0]
    return partial(getattr(fastce, name), **{parameter: value})


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("name", "value"), EVERY)
def test_every_kind_of_row(name, value, dtype, each_isa) -> None:
    number = EVERY.index((name, value)) + DTYPES.index(dtype)
    for n in CLASSES[number % 2 :: 2] if dtype.itemsize < 4 else CLASSES:
        logits, labels, _ = cases.rows_of_every_kind(n, F32 if dtype.itemsize == 2 else dtype)
        step = 1 if n < 100 else 3
        with np.errstate(over="ignore"):
            logits, labels = logits[::step].astype(dtype), labels[::step]
        usual = np.isfinite(logits[np.arange(len(labels)), labels].astype(F32))
        usual &= (logits < np.inf).all(axis=1)
        logits, labels = logits[usual], labels[usual]
        x = logits.astype(F32) if dtype.itemsize == 2 else logits
        true = label_probability.expected(name, value, x, labels)
        for isa in each_isa():
            assert_right(
                logits, labels, f"{isa}, {n} classes", true, loss_of(name, value), reduction="none"
            )


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("layout", ["axis 0", "axis in the middle"])
def test_classes_on_another_axis(layout, name, each_isa) -> None:
    call = loss_of(name, LOSSES[name][-1])
    for n in (1, 2, 3, 10, 130):
        logits, labels, _ = cases.rows_of_every_kind(n, np.dtype(np.float64))
        x, axis = laid_out(logits, layout)
        true = label_probability.expected(name, LOSSES[name][-1], logits, labels)
        items = x.shape[:axis] + x.shape[axis + 1 :]

        def along(x, y, axis=axis, items=items, **options):
            loss, *entries = self_or_tuple(call(x, y.reshape(items), axis=axis, **options))
            moved = [np.moveaxis(e, axis, -1).reshape(len(y), -1) for e in entries]
            return (loss.reshape(-1), *moved) if moved else loss.reshape(-1)

        for isa in each_isa():
            assert_right(x, labels, f"{isa}, {n} classes", true, along, reduction="none")


def self_or_tuple(result):
    """Return a result that is one array as a tuple as well."""
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_nearly_sure_and_nearly_impossible(dtype, gamma, isa) -> None:
    """At p = 1 - 1e-30 and 1e-30: what the first terms of the series say, to many digits."""
    far = dtype.type(69.07755278982137)
    q = float(np.exp(-np.longdouble(far)))
    logits = np.array([[far, 0], [0, far]], dtype)
    loss, grad, hess = fastce.softmax_focal_loss(
        logits, [0, 0], gamma=gamma, reduction="none", return_grad=True, return_hess=True
    )
    near = {"rel": float((1 + gamma) * (8 + 70) * np.finfo(dtype).eps)}
    near["abs"] = float(np.finfo(dtype).tiny)
    assert loss == pytest.approx([q ** (gamma + 1), float(far)], **near)
    assert grad[0] == pytest.approx(np.array([-1, 1]) * (1 + gamma) * q ** (gamma + 1), **near)
    assert hess[0] == pytest.approx([(1 + gamma) ** 2 * q ** (gamma + 1)] * 2, **near)
    assert grad[1] == pytest.approx([-1, 1], **near)
    second = q * (1 + 2 * gamma - gamma * float(far))
    assert hess[1] == pytest.approx([second] * 2, **near)


def test_the_hessian_is_negative_where_the_loss_is_concave(isa) -> None:
    """The focal loss of gamma = 2 bends the other way below p = 0.058 (two classes)."""
    for p, sign in ((0.055, -1), (0.061, 1)):
        x = np.array([[np.log(p / (1 - p)), 0.0]])
        hess = fastce.softmax_focal_loss(x, [0], return_hess=True)[1]
        assert np.sign(hess).tolist() == [[sign, sign]]


@pytest.mark.parametrize("name", LOSSES)
def test_rows_that_are_not_ordinary(name, isa) -> None:
    inf, nan = np.inf, np.nan
    never = {"generalized_cross_entropy": 1 / 0.7, "taylor_cross_entropy": 1.5}.get(name, inf)
    for n in (2, 5, 40, 400):
        for dtype in DTYPES:
            x = np.zeros((6, n), dtype)
            x[0] = -inf
            x[0, 0] = 3  # sure
            x[1, 0] = -inf  # impossible
            x[2] = -inf
            x[3, 1] = nan
            x[4, 1] = inf
            loss, grad, hess = loss_of(name, {"generalized_cross_entropy": 0.7}.get(name, 2))(
                x, np.zeros(6, int), reduction="none", return_grad=True, return_hess=True
            )
            assert loss[0] == 0
            assert loss[1] == pytest.approx(never, rel=1e-6)
            for entries in (grad, hess):
                assert not entries[0].any()
                assert np.isfinite(entries[1].astype(F32)).all()
            for entries in (loss, grad, hess):
                assert np.isnan(entries[2:5].astype(F32)).all()
                assert np.isfinite(entries[5].astype(F32)).all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("axis", [-1, 0])
def test_options(name, axis, isa) -> None:
    """Weights, ignored rows, reductions and outputs make of rows what they do of cross-entropy."""
    rng = np.random.default_rng(3)
    call = loss_of(name, LOSSES[name][0])
    for n in (2, 7, 60, 400):
        x, y = rng.normal(size=(50, n)) * 3, rng.integers(n, size=50)
        y[::7] = -100
        keep = y >= 0
        by_class, by_sample = rng.random(n), rng.random(50)
        by_sample[5] = by_class[0] = 0
        weight = np.where(keep, by_class[np.where(keep, y, 0)] * by_sample, 0)
        each, of_each, hess_of_each = call(
            x, np.where(keep, y, 0), reduction="none", return_grad=True, return_hess=True
        )
        given = np.ascontiguousarray(x.T) if axis == 0 else x
        options = {"class_weight": by_class, "sample_weight": by_sample, "axis": axis}
        loss, grad, hess = call(given, y, **options, return_grad=True, return_hess=True)
        total = (weight * each).sum()
        assert loss == pytest.approx(total / weight.sum(), rel=1e-12)
        grad, hess = (e.T if axis == 0 else e for e in (grad, hess))
        scale = weight[:, None] / weight.sum()
        np.testing.assert_allclose(grad, scale * of_each, rtol=1e-11, atol=1e-15)
        np.testing.assert_allclose(hess, scale * hess_of_each, rtol=1e-11, atol=1e-15)
        counts = {"all": 50, "valid": keep.sum(), "nonzero": (weight != 0).sum(), 3.5: 3.5}
        for normalizer, count in counts.items():
            mean = call(given, y, **options, normalizer=normalizer)
            assert mean == pytest.approx(total / count, rel=1e-12)
        assert call(given, y, **options, reduction="sum") == pytest.approx(total, rel=1e-12)
        in_place = given.copy()
        call(in_place, y, **options, grad_out=in_place)
        np.testing.assert_array_equal(in_place.T if axis == 0 else in_place, grad)
        for threads in (1, 2):
            assert loss == call(given, y, **options, num_threads=threads)


def test_gamma_of_0_and_q_of_0_are_cross_entropy(isa) -> None:
    rng = np.random.default_rng(4)
    for n in (2, 5, 50, 500):
        x, y = (rng.normal(size=(40, n)) * 4).astype(np.float32), rng.integers(n, size=40)
        true = fastce.softmax_cross_entropy(x, y, reduction="none", return_grad=True)
        for call in (
            partial(fastce.softmax_focal_loss, gamma=0),
            partial(fastce.generalized_cross_entropy, q=0),
            partial(fastce.poly_loss, epsilon=0),
        ):
            got = call(x, y, reduction="none", return_grad=True)
            np.testing.assert_allclose(got[0], true[0], rtol=3e-7)
            np.testing.assert_allclose(got[1], true[1], rtol=3e-7, atol=1e-8)


def test_memory_that_no_kernel_walks(isa) -> None:
    """Byte-swapped and other arrays are copied block by block, with the loss that was asked for."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(30, 20)), rng.integers(20, size=30)
    for name, values in LOSSES.items():
        call = loss_of(name, values[-1])
        true, grad = call(x, y, return_grad=True)
        for where, view in cases.layouts(x):
            got, of_it = call(view, y, return_grad=True)
            assert got == pytest.approx(true, rel=1e-14), where
            np.testing.assert_allclose(of_it, grad, rtol=1e-13, atol=1e-17, err_msg=where)


@pytest.mark.parametrize("name", LOSSES)
def test_refusals(name) -> None:
    parameter = label_probability.PSI[name][0]
    call = getattr(fastce, name)
    x = np.zeros((2, 3))
    with pytest.raises(TypeError, match=r"labels has dtype float64.*one class's probability"):
        call(x, x)
    with pytest.raises(ValueError, match=r"labels\[1\] is 3, but logits have 3 classes"):
        call(x, [0, 3])
    for bad in (-2.0, np.nan, np.inf, 1e300 if parameter != "epsilon" else -1.5):
        with pytest.raises(
            (ValueError, TypeError), match=rf"{parameter} is {re.escape(repr(bad))}, accepted is"
        ):
            call(x, [0, 1], **{parameter: bad})
    with pytest.raises(TypeError, match=f"{parameter} is 'a', accepted is"):
        call(x, [0, 1], **{parameter: "a"})
    with pytest.raises(ValueError, match="terms is 0, accepted is an integer in"):
        fastce.taylor_cross_entropy(x, [0, 1], terms=0)
