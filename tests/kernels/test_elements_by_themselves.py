"""What is returned of one element depends on that element and the options, and on nothing else.

Losses one by one, gradients, Hessians and sigmoids are compared bit by bit: alone, beside any
others, at any place, from any memory, and whatever else the call computes.
"""

import cases
import ml_dtypes
import numpy as np
import pytest

from fastce import binary_cross_entropy, sigmoid, sigmoid_cross_entropy

DTYPES = (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)
SIZE = 3000  # three chunks
LOGITS = (0.0, -0.0, 1e-30, 39.9, 40.1, 50, 88, -88, -100, 700, -740, 6e4, np.inf, -np.inf, np.nan)
PROBABILITIES = (0.0, 1.0, 1e-7, 1e-30, 2.0**-61, 1e-40, 0.9999, 1 - 2.0**-24, 1 - 2.0**-50, np.nan)
LABELS = (0.0, 1.0, 0.5, 0.25, 1e-30, 1 - 2.0**-24)

both = pytest.mark.parametrize(
    "function", [sigmoid_cross_entropy, binary_cross_entropy], ids=["sigmoid", "binary"]
)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)


def inputs(function, dtype, n: int = SIZE) -> np.ndarray:
    """Return ordinary inputs of a function, in which each unusual one stands at several places."""
    x = cases.seeded(n).normal(size=n) * 5
    if function is binary_cross_entropy:
        x = 1 / (1 + np.exp(-x))
    values = PROBABILITIES if function is binary_cross_entropy else LOGITS
    for k, value in enumerate(values):
        x[7 + 61 * k :: 977] = value
    with np.errstate(over="ignore"):
        return x.astype(dtype)


def labels_for(n: int) -> np.ndarray:
    """Return labels: a stretch of hard ones, then hard and soft ones mixed, then soft ones."""
    random = cases.seeded(n, 1)
    hard, soft = random.integers(0, 2, n).astype(float), random.random(n)
    mixed = np.where(random.random(n) < 0.5, hard, soft)
    z = np.concatenate([hard[: n // 3], mixed[n // 3 : 2 * n // 3], soft[2 * n // 3 :]])
    z[1::100] = np.resize(LABELS, len(z[1::100]))
    return z


def results(function, x, z, **options) -> list[np.ndarray]:
    """Return the losses one by one, the gradient and, of logits, the Hessian."""
    hess = {"return_hess": True} if function is sigmoid_cross_entropy else {}
    return list(function(x, z, reduction="none", return_grad=True, **hess, **options))


def assert_same_bits(actual, expected, what: str = "") -> None:
    """Compare numbers bit by bit, and of NaN that it is one."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    bits = f"u{actual.dtype.itemsize}"
    a, b = np.ascontiguousarray(actual), np.ascontiguousarray(expected)
    different = (a.view(bits) != b.view(bits)) & ~(np.isnan(a) & np.isnan(b))
    assert not different.any(), (
        what,
        np.flatnonzero(different)[:5],
        a[different][:5],
        b[different][:5],
    )


OPTIONS = {
    sigmoid_cross_entropy: ({}, {"label_smoothing": 0.1}, {"pos_weight": 3.0}),
    binary_cross_entropy: ({}, {"eps": 1e-7}),
}


@both
@each_dtype
def test_alone(function, dtype, isa) -> None:
    x, z = inputs(function, dtype), labels_for(SIZE)
    places = [*range(0, SIZE, 13), *range(7, SIZE, 61), *range(1, SIZE, 100)]
    for options in OPTIONS[function]:
        together = results(function, x, z, **options)
        for i in places:
            alone = results(function, x[i : i + 1], z[i : i + 1], **options)
            for part, whole in zip(alone, together, strict=True):
                assert_same_bits(part, whole[i : i + 1], f"{x[i]}, {z[i]}, {options}")


@both
@each_dtype
def test_any_cut_place_and_order(function, dtype, isa) -> None:
    x, z = inputs(function, dtype), labels_for(SIZE)
    order = cases.seeded(3).permutation(SIZE)
    weights = cases.seeded(4).random(SIZE)
    weights[::50] = 0
    for options in (*OPTIONS[function], {"sample_weight": weights}):
        together = results(function, x, z, **options)
        for parts in (np.split(np.arange(SIZE), [1, 8, 17, 130, 1100, 2049, 2993]), [order]):
            for part in parts:
                some = {**options}
                if "sample_weight" in options:
                    some["sample_weight"] = weights[part]
                for a, b in zip(results(function, x[part], z[part], **some), together, strict=True):
                    assert_same_bits(a, b[part], str(list(options)))


@both
@each_dtype
def test_beside_any_others(function, dtype, isa) -> None:
    """One element of each kind among others of each kind."""
    n, here = 200, 77
    values = PROBABILITIES if function is binary_cross_entropy else LOGITS
    with np.errstate(over="ignore"):
        elements = np.array([0.3, 0.7, *values]).astype(dtype)
    x, z = np.zeros(n, dtype), np.zeros(n)
    for options in OPTIONS[function]:
        for label in LABELS:
            expected = None
            for others, their_labels in ((0.25, 0), (0.25, 1), (0.75, 0.5), (np.nan, 1)):
                x[:], z[:] = others, their_labels
                z[here + 1] = 1 - 2.0**-40
                got = []
                for x[here] in elements:
                    z[here] = label
                    got.append([a[here] for a in results(function, x, z, **options)])
                expected = got if expected is None else expected
                for a, b in zip(got, expected, strict=True):
                    for c, d in zip(a, b, strict=True):
                        assert_same_bits(c, d, f"{label}, {options}")


@both
@each_dtype
def test_whatever_else_is_computed(function, dtype, isa) -> None:
    x, z = inputs(function, dtype), labels_for(SIZE)
    for options in OPTIONS[function]:
        losses, gradient, *hessian = results(function, x, z, **options)
        assert_same_bits(function(x, z, reduction="none", **options), losses)
        alone = function(x, z, reduction="none", return_grad=True, **options)
        assert_same_bits(alone[0], losses)
        assert_same_bits(alone[1], gradient)
        assert_same_bits(function(x, z, reduction="sum", return_grad=True, **options)[1], gradient)
        normalizer = {"reduction": "mean", "normalizer": 1.0, "return_grad": True}
        assert_same_bits(function(x, z, **normalizer, **options)[1], gradient)
        out = x.copy()
        function(out, z, reduction="sum", grad_out=out, **options)
        assert_same_bits(out, gradient)
        if hessian:
            only = function(x, z, reduction="sum", return_hess=True, **options)[1]
            assert_same_bits(only, hessian[0])


@both
@each_dtype
def test_sums_over_an_axis(function, dtype, isa) -> None:
    x, z = inputs(function, dtype), labels_for(SIZE)
    gradient = function(x, z, reduction="sum", return_grad=True)[1]
    for shape in ((3, 1000), (1000, 3), (30, 100), (10, 3, 100)):
        for axis in range(len(shape)):
            options = {"axis": axis, "reduction": "sum", "return_grad": True}
            other = function(x.reshape(shape), z.reshape(shape), **options)[1]
            assert_same_bits(other.ravel(), gradient)


@both
@each_dtype
def test_any_dtype_of_labels_and_any_layout(function, dtype, isa) -> None:
    x, z = inputs(function, dtype), labels_for(SIZE)
    z = z.astype(np.float16).astype(float)  # values that every dtype has
    expected = results(function, x, z)
    for label_dtype in (np.float16, np.float32, ml_dtypes.bfloat16):
        if label_dtype is ml_dtypes.bfloat16:
            z = z.astype(label_dtype).astype(float)
            expected = results(function, x, z)
        for a, b in zip(results(function, x, z.astype(label_dtype)), expected, strict=True):
            assert_same_bits(a, b, np.dtype(label_dtype).name)
    hard = np.round(z)
    expected = results(function, x, hard)
    for label_dtype in (bool, np.int8, np.uint8, np.int64, np.uint64, np.float32):
        for a, b in zip(results(function, x, hard.astype(label_dtype)), expected, strict=True):
            assert_same_bits(a, b, np.dtype(label_dtype).name)
    memory = np.zeros((SIZE, 3), dtype)
    memory[:, 1] = x
    for a, b in zip(results(function, memory[:, 1], hard[::-1][::-1]), expected, strict=True):
        assert_same_bits(a, b)
    for start in range(1, 18):
        for a, b in zip(results(function, x[start:], hard[start:]), expected, strict=True):
            assert_same_bits(a, b[start:])


@both
@pytest.mark.parametrize("dtype", DTYPES[:3], ids=lambda d: np.dtype(d).name)
def test_labels_that_a_check_has_kept(function, dtype, isa) -> None:
    n = (1 << 18) + 1025
    x, z = inputs(function, dtype, n), labels_for(n)
    part = slice(n // 3 - 1500, n // 3 + 1500)
    options = {"reduction": "sum", "return_grad": True}
    expected = function(x[part], z[part], **options)[1]
    out = np.empty_like(x)
    function(x, z, reduction="sum", grad_out=out)
    assert_same_bits(out[part], expected)
    assert_same_bits(function(x, z, **options)[1], out)


@both
@each_dtype
def test_weights_of_one(function, dtype, isa) -> None:
    """They may take another arithmetic; losses have the same bits all the same."""
    x, z = inputs(function, dtype), labels_for(SIZE)
    weighted = function(x, z, reduction="none", sample_weight=np.ones(SIZE))
    assert_same_bits(weighted, function(x, z, reduction="none"))


@each_dtype
def test_sigmoid(dtype, isa) -> None:
    x = inputs(sigmoid_cross_entropy, dtype)
    together = sigmoid(x)
    for i in range(SIZE):
        assert_same_bits(sigmoid(x[i : i + 1]), together[i : i + 1])
    order = cases.seeded(5).permutation(SIZE)
    assert_same_bits(sigmoid(x[order]), together[order])
    out = x.copy()
    assert_same_bits(sigmoid(out, out=out), together)
