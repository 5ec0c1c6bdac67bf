"""binary_cross_entropy: losses of probabilities."""

import itertools

import cases
import numpy as np
import pytest
import wide_elements
from ulp import assert_within

from fastce import binary_cross_entropy

F32, F64 = cases.DTYPES
INF, NAN = np.inf, np.nan


def test_a_label_above_1_by_less_than_a_float32_is_refused(isa) -> None:
    """Rounded to a float32 it is 1, but 1 - z is negative and makes a loss of minus infinity."""
    for out in (None, np.zeros(1, F32)):
        with pytest.raises(ValueError, match=r"labels\[0\] is 1.0000"):
            binary_cross_entropy(np.ones(1, F32), np.array([1 + 5e-8]), grad_out=out)


def probabilities(shape, dtype) -> np.ndarray:
    """Return probabilities, a tenth of them 0 and a tenth 1, and some near either end."""
    rng = cases.seeded(*shape)
    p, kinds = rng.random(shape), rng.integers(0, 10, shape)
    near = 10.0 ** -rng.integers(1, 30, shape)
    return np.select(
        [kinds == 0, kinds == 1, kinds == 2, kinds == 3], [0, 1, near, 1 - near], p
    ).astype(dtype)


def labels_of(shape, hard: bool = False) -> np.ndarray:
    z = cases.seeded(1, *shape).integers(0, 9, shape) / 8
    return np.round(z) if hard else z


def check(probs, labels, isas, **options) -> None:
    """Assert that a call, with and without a gradient and in place, is within its budget."""
    true = wide_elements.binary_cross_entropy(probs, labels, **options)
    dtype = probs.dtype
    loss_dtype = dtype if options.get("reduction") == "none" else F64
    for isa in isas:
        in_place = probs.copy()
        for way, (loss, grad) in {
            "alone": (binary_cross_entropy(probs, labels, **options), None),
            "gradient": binary_cross_entropy(probs, labels, return_grad=True, **options),
            "in place": binary_cross_entropy(in_place, labels, grad_out=in_place, **options),
        }.items():
            what = f"{isa}, {way}, {probs.shape}, {cases.described(options)}"
            assert_within(loss, true.loss, true.loss_tolerance, loss_dtype, f"loss, {what}")
            if grad is not None:
                assert grad.dtype == dtype
                assert_within(grad, true.gradient, true.gradient_tolerance, dtype, what)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_shapes_and_axes(dtype, each_isa) -> None:
    for shape in ((1,), (7,), (17,), (1000,), (33, 5), (5, 33), (3, 257), (2, 3, 4, 20)):
        for axis in (None, *range(-len(shape), len(shape))):
            for hard in (True, False):
                probs = probabilities(shape, dtype)
                check(probs, labels_of(shape, hard), each_isa(), axis=axis, reduction="none")


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_options(dtype, each_isa) -> None:
    shape = (9, 21)
    probs = np.clip(probabilities(shape, dtype), dtype.type(1e-6), dtype.type(1 - 1e-6))
    some = cases.seeded(1).integers(0, 4, shape) / 2
    for hard, s, eps, axis, (reduction, normalizer) in itertools.product(
        (True, False),
        (None, 0.5, "all"),
        (0.0, 1e-7, 0.125, 0.49),
        (None, -1, 0),
        (
            ("none", "weight"),
            ("sum", "weight"),
            *(("mean", n) for n in ("weight", "valid", "all", "nonzero", 7)),
        ),
    ):
        items = {None: some, -1: some[:, 0], 0: some[0]}[axis]
        check(
            probs,
            labels_of(shape, hard),
            each_isa(),
            sample_weight=items if isinstance(s, str) else s,
            eps=eps,
            axis=axis,
            reduction=reduction,
            normalizer=normalizer,
        )


def test_certain_probabilities(isa) -> None:
    p, z = np.array([0.0, 0.0, 1.0, 1.0, 0.0, 1.0]), np.array([0, 1, 0, 1, 0.5, 0.5])
    loss, grad = binary_cross_entropy(p, z, reduction="none", return_grad=True)
    np.testing.assert_array_equal(loss, [0, INF, INF, 0, INF, INF])
    np.testing.assert_array_equal(grad, [1, -INF, INF, -1, -INF, INF])
    loss, grad = binary_cross_entropy(p, z, eps=0.01, reduction="none", return_grad=True)
    np.testing.assert_allclose(loss[[1, 2]], -np.log(0.01), rtol=1e-15)
    np.testing.assert_array_equal(grad[[1, 2]], 0)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_nan_reaches_its_own_item_alone(dtype, each_isa) -> None:
    probs = probabilities((40, 7), dtype)
    probs[11, 3], probs[30, 0] = NAN, NAN
    labels = labels_of(probs.shape)
    check(probs, labels, each_isa(), reduction="none")
    check(probs, labels, each_isa(), reduction="none", axis=-1)
    for _ in each_isa():
        loss, grad = binary_cross_entropy(
            probs, labels, sample_weight=0.0, reduction="none", return_grad=True
        )
        np.testing.assert_array_equal(loss, 0)
        np.testing.assert_array_equal(grad, 0)


def test_the_gradient_is_the_slope_of_the_loss(isa) -> None:
    h = 2.0**-12
    probs = 0.2 + 0.6 * cases.seeded(1).random((12, 7))
    labels = labels_of(probs.shape)
    _, grad = binary_cross_entropy(probs, labels, reduction="none", return_grad=True)
    at = {k: binary_cross_entropy(probs + k * h, labels, reduction="none") for k in (-2, -1, 1, 2)}
    slope = (at[-2] - 8 * at[-1] + 8 * at[1] - at[2]) / (12 * h)
    np.testing.assert_allclose(grad, slope, rtol=0, atol=1e-9)


def test_dtypes_and_layouts(isa) -> None:
    shape = (13, 6)
    for dtype in cases.DTYPES:
        probs = np.clip(probabilities(shape, dtype), dtype.type(1e-6), dtype.type(1 - 1e-6))
        for hard, dtypes in (
            (True, (bool, np.int8, np.uint64, np.float32)),
            (False, (np.float16, np.float32, np.float64)),
        ):
            labels = labels_of(shape, hard)
            true = wide_elements.binary_cross_entropy(probs, labels, reduction="none")
            pairs = [(probs, y) for d in dtypes for _, y in cases.layouts(labels.astype(d))]
            pairs += [(p, labels) for _, p in cases.layouts(probs)]
            for p, y in pairs:
                loss, grad = binary_cross_entropy(p, y, reduction="none", return_grad=True)
                assert_within(loss, true.loss, true.loss_tolerance, dtype)
                assert_within(grad, true.gradient, true.gradient_tolerance, dtype)


def test_no_elements() -> None:
    probs = np.empty((0, 3), np.float32)
    assert np.isnan(binary_cross_entropy(probs, probs))
    assert binary_cross_entropy(probs, probs, reduction="sum") == 0.0


P = np.full((8, 4), 0.5, np.float32)
Z = np.ones((8, 4))
HERE = np.arange(32).reshape(8, 4) == 9


@pytest.mark.parametrize(
    ("probs", "labels", "options", "error", "parts"),
    [
        (np.where(HERE, np.float32(1.5), P), Z, {}, ValueError, ["probs[2, 1]", "1.5"]),
        (np.where(HERE, np.float32(-0.5), P), Z, {}, ValueError, ["probs[2, 1]", "-0.5"]),
        (np.where(HERE, np.float32(INF), P), Z, {}, ValueError, ["probs[2, 1]", "inf"]),
        (P, np.where(HERE, 1.5, Z), {}, ValueError, ["labels[2, 1]", "1.5"]),
        (P, np.where(HERE, NAN, Z), {}, ValueError, ["labels[2, 1]", "nan"]),
        (P, Z[:7], {}, ValueError, ["labels", "(7, 4)", "(8, 4)"]),
        (P, Z, {"eps": 0.5}, ValueError, ["eps", "0.5"]),
        (P, Z, {"eps": -0.1}, ValueError, ["eps", "-0.1"]),
        (P, Z, {"eps": NAN}, ValueError, ["eps", "nan"]),
        (P, Z, {"sample_weight": -Z}, ValueError, ["sample_weight[0, 0]", "-1"]),
        (P, Z, {"axis": 2}, ValueError, ["axis", "2"]),
        (P, Z, {"reduction": "max"}, ValueError, ["reduction", "'max'"]),
        (P.astype(int), Z, {}, TypeError, ["probs", "int64"]),
    ],
)
def test_errors(probs, labels, options, error, parts, isa) -> None:
    out = np.full((8, 4), 7, np.float32)
    for grad_out in (None, out):
        with pytest.raises(error) as caught:
            binary_cross_entropy(probs, labels, grad_out=grad_out, **options)
        for part in parts:
            assert part in str(caught.value)
    np.testing.assert_array_equal(out, 7)


def test_the_same_bits_for_every_number_of_threads(isa) -> None:
    for shape in ((100_003,), (501, 77)):
        probs = 0.01 + 0.98 * cases.seeded(*shape).random(shape, np.float32)
        results = [
            binary_cross_entropy(probs, labels_of(shape), return_grad=True, num_threads=n)
            for n in (1, 1, 2, 3, 8, None)
        ]
        for loss, grad in results:
            assert loss == results[0][0]
            np.testing.assert_array_equal(grad, results[0][1])
