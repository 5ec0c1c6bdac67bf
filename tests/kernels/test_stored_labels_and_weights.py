"""Probability labels and weights of every type and layout: what is refused, what they add up to."""

import math

import ml_dtypes
import numpy as np
import pytest

import fastce
from fastce._dispatch.elementwise import LOGISTIC, Loss
from fastce._dispatch.outcome import CHECKED, SUMS_ONLY
from fastce._dispatch.reduction import Sums

SHAPE = (5, 3, 70)
FLOATS = ("f2", "f4", "f8", ">f2", ">f4", ">f8", ml_dtypes.bfloat16)
WEIGHTS = (*FLOATS, "g", np.dtype("g").newbyteorder(), "?", "i1", "u1", ">i2", "u4", "i8", ">u8")


def unaligned(a: np.ndarray) -> np.ndarray:
    return np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape)


LAYOUTS = {
    "C": lambda a: a,
    "Fortran": np.asfortranarray,
    "reversed": lambda a: a[::-1, :, ::-1].copy()[::-1, :, ::-1],
    "every second": lambda a: np.repeat(a, 2, -1)[..., ::2],
    "axes permuted": lambda a: a.transpose(1, 2, 0).copy().transpose(2, 0, 1),
    "unaligned": lambda a: unaligned(a),
}


def sums_of(weights, shape, num_threads=1) -> Sums:
    """Return what weights of items of this shape add up to."""
    x = np.broadcast_to(np.float32(0), shape)
    scalars = 0.0, 0.0, None, "mean", "weight", False, None, False, num_threads
    call = Loss(LOGISTIC, x, x, None, weights, *scalars)
    return Sums(*call.checked().run(CHECKED | SUMS_ONLY))


BAD = (-1.0, -1e-7, math.nan, math.inf, -math.inf)
RNG = np.random.default_rng(8)


def refused(wrong: float, places, layout, dtype, axis=-1, **options) -> None:
    """Assert that the first of the places is named, and that an output keeps what it held."""
    q = RNG.random(SHAPE).astype(dtype)
    for at in places:
        q[at] = wrong
    out = np.full(SHAPE, 7, np.float32)
    for given in (options, options | {"return_grad": True}, options | {"grad_out": out}):
        with pytest.raises(ValueError, match=r"accepted are finite numbers >= 0") as caught:
            fastce.softmax_cross_entropy(out - 7, layout(q), axis=axis, **given)
        assert f"labels[{', '.join(map(str, min(places)))}] is" in str(caught.value)
    assert (out == 7).all()


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_first_bad_probability_is_named(isa, dtype, layout) -> None:
    for axis in range(3):
        places = [tuple(int(RNG.integers(n)) for n in SHAPE) for _ in range(2)]
        refused(RNG.choice(BAD), places, layout, dtype, axis)


@pytest.mark.parametrize("wrong", BAD)
def test_a_bad_probability_is_found_wherever_it_is(isa, wrong) -> None:
    for last in (0, 1, 7, 31, 32, 63, 64, 69):
        for row in ((0, 0), (2, 1), (4, 2)):
            refused(wrong, [(*row, last)], LAYOUTS["C"], "f4")


def test_rows_of_weight_0_and_many_blocks_are_checked_too() -> None:
    q = np.zeros((40_000, 9), np.float32)
    q[39_999, 8] = np.nan
    for options in ({}, {"sample_weight": 0}, {"num_threads": 2, "return_grad": True}):
        with pytest.raises(ValueError, match=r"labels\[39999, 8\] is nan"):
            fastce.softmax_cross_entropy(np.zeros_like(q), q, **options)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_zeros_of_either_sign_and_subnormal_numbers_are_fine(isa, dtype) -> None:
    q = np.array([[0.0, -0.0, 1.0, 1e-7]]).astype(dtype)
    assert fastce.softmax_cross_entropy(np.zeros((1, 4)), q) == pytest.approx(math.log(4))


@pytest.mark.parametrize("dtype", WEIGHTS, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_weights_add_up_and_weigh(isa, dtype, layout) -> None:
    weights = layout((RNG.random(SHAPE) * 9).astype(dtype))
    plain = weights.astype(np.float64)
    found = sums_of(weights, SHAPE)
    assert found.weight == math.fsum(plain.flat)
    assert found.nonzero == np.count_nonzero(plain)
    x = RNG.normal(size=(*SHAPE, 2))
    y = RNG.integers(0, 2, SHAPE)
    options = {"return_grad": True, "normalizer": "nonzero"}
    for mine, true in zip(
        fastce.softmax_cross_entropy(x, y, sample_weight=weights, **options),
        fastce.softmax_cross_entropy(x, y, sample_weight=plain.copy(), **options),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, true)


def test_long_doubles_past_float64_are_refused() -> None:
    if np.finfo(np.longdouble).max == np.finfo(float).max:
        pytest.skip("a long double is a double here")
    w = np.array([1, 2, np.finfo(np.longdouble).max])
    with pytest.raises(ValueError, match=r"sample_weight\[2\]"):
        fastce.sigmoid_cross_entropy(np.zeros(3), np.zeros(3), sample_weight=w)


@pytest.mark.parametrize("rows", [1, 1023, 1025, 300_000])
def test_sums_of_weights_do_not_depend_on_threads(isa, rows) -> None:
    w = RNG.random(rows) * 10.0 ** RNG.integers(-8, 9, rows)
    one, two = (sums_of(w, (rows,), n) for n in (1, 2))
    assert one == two == (math.fsum(w), rows, rows)


def test_broadcast_weights_count_as_often_as_they_are_spread() -> None:
    for w in (
        np.broadcast_to(2.5, SHAPE),
        np.broadcast_to([[1.0], [0], [3]], SHAPE),
        2,
        [[1], [0], [3]],
    ):
        spread = np.broadcast_to(np.asarray(w, float), SHAPE)
        found = sums_of(w, SHAPE)
        assert (found.weight, found.nonzero) == (spread.sum(), np.count_nonzero(spread))
    none = sums_of([1e308] * 4, (0, 4))
    assert (none.weight, none.nonzero) == (0.0, 0)
