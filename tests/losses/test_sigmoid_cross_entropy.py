"""sigmoid_cross_entropy: independent binary problems."""

import itertools

import cases
import numpy as np
import pytest
import wide_elements
from ulp import assert_within

from fastce import binary_cross_entropy, sigmoid_cross_entropy, softmax_cross_entropy

F32, F64 = cases.DTYPES
INF, NAN = np.inf, np.nan

SHAPES = ((1,), (7,), (16,), (17,), (1000,), (33, 5), (5, 33), (4, 64), (3, 257), (2, 3, 4, 20))


def logits_of(shape, dtype) -> np.ndarray:
    """Return logits of every size, both signs of zero and subnormal numbers among them."""
    x = cases.random_logits(shape, F64, 3.0)
    kinds = cases.seeded(*shape).integers(0, 10, shape)
    x = np.select([kinds == 0, kinds == 1, kinds == 2], [30 * x, 0 * x, 1e-40 * x], x)
    return x.astype(dtype)


def hard_labels(shape) -> np.ndarray:
    return cases.seeded(*shape).integers(0, 2, shape)


def soft_labels(shape) -> np.ndarray:
    """Return multiples of 1/8, which every dtype holds, 0 and 1 among them."""
    return cases.seeded(*shape).integers(0, 9, shape) / 8


def check(logits, labels, isas, **options) -> None:
    """Assert that a call, with and without a gradient and in place, is within its budget."""
    true = wide_elements.sigmoid_cross_entropy(logits, labels, **options)
    dtype = logits.dtype
    loss_dtype = dtype if options.get("reduction") == "none" else F64
    for isa in isas:
        in_place, out = logits.copy(), np.full_like(logits, 7)
        for way, (loss, grad) in {
            "alone": (sigmoid_cross_entropy(logits, labels, **options), None),
            "gradient": sigmoid_cross_entropy(logits, labels, return_grad=True, **options),
            "grad_out": sigmoid_cross_entropy(logits, labels, grad_out=out, **options),
            "in place": sigmoid_cross_entropy(in_place, labels, grad_out=in_place, **options),
        }.items():
            what = f"{isa}, {way}, {logits.shape}, {cases.described(options)}"
            assert_within(loss, true.loss, true.loss_tolerance, loss_dtype, f"loss, {what}")
            if grad is not None:
                assert grad.dtype == dtype
                assert_within(grad, true.gradient, true.gradient_tolerance, dtype, what)
            if options.get("reduction") != "none":
                assert type(loss) is float


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_shapes_and_axes(dtype, each_isa) -> None:
    for shape in SHAPES:
        for axis in (None, *range(-len(shape), len(shape))):
            for labels in (hard_labels(shape), soft_labels(shape)):
                check(logits_of(shape, dtype), labels, each_isa(), axis=axis, reduction="none")
        check(logits_of(shape, dtype), hard_labels(shape), each_isa())


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_accuracy(dtype, each_isa) -> None:
    x = np.concatenate(
        [
            np.linspace(-750, 750, 6001),
            np.geomspace(1e-30, 1e30, 501),
            -np.geomspace(1e-30, 1e30, 501),
        ]
    ).astype(dtype)
    for z in (0, 1):
        check(x, np.full(x.shape, z), each_isa(), reduction="none")
    check(x, soft_labels(x.shape), each_isa(), reduction="none")
    check(x, soft_labels(x.shape), each_isa(), reduction="none", pos_weight=3.7)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_options(dtype, each_isa) -> None:
    shape = (9, 21)
    logits = cases.random_logits(shape, dtype)
    some = cases.seeded(1).integers(0, 4, shape) / 2
    for labels, r, s, eps, axis, (reduction, normalizer) in itertools.product(
        (hard_labels(shape), soft_labels(shape)),
        (None, 2.5, 0.0, 2 * cases.seeded(2).random(21)),
        (None, 0.5, "all"),
        (0.0, 0.1, 1.0),
        (None, -1, 0),
        (
            ("none", "weight"),
            ("sum", "weight"),
            *(("mean", n) for n in ("weight", "valid", "all", "nonzero", 7)),
        ),
    ):
        items = {None: some, -1: some[:, 0], 0: some[0]}[axis]
        check(
            logits,
            labels,
            each_isa(),
            pos_weight=r,
            sample_weight=items if isinstance(s, str) else s,
            label_smoothing=eps,
            axis=axis,
            reduction=reduction,
            normalizer=normalizer,
        )


def test_losses_of_the_last_axis_are_summed_first(isa) -> None:
    """The object detector's shape: logits [b, 13, 13, 3, 20] give losses [b, 13, 13, 3]."""
    logits = cases.random_logits((2, 13, 13, 3, 20), F32)
    labels = hard_labels(logits.shape).astype(np.float32)
    loss = sigmoid_cross_entropy(logits, labels, axis=-1, reduction="none")
    assert (loss.shape, loss.dtype) == ((2, 13, 13, 3), F32)
    each = sigmoid_cross_entropy(logits, labels, reduction="none")
    assert each.shape == logits.shape
    np.testing.assert_allclose(loss, each.sum(axis=-1), rtol=1e-6)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_unusual_values(dtype, each_isa) -> None:
    x = np.array([INF, -INF, NAN, 0.0, -0.0, np.finfo(dtype).max, -np.finfo(dtype).max], dtype)
    logits = np.concatenate([np.tile(x, 5), logits_of((60,), dtype)])
    labels = np.concatenate([np.repeat([0, 1, 0.5, 0.25, 1], len(x)), hard_labels((60,))])
    for options in ({}, {"pos_weight": 0.0}, {"pos_weight": 2.0}):
        # With pos_weight 0 and label 1 nothing is left of a NaN: neither value is promised.
        known = (
            ~(np.isnan(logits) & (labels == 1)) if options.get("pos_weight") == 0 else slice(None)
        )
        check(logits[known], labels[known], each_isa(), reduction="none", **options)
    for _ in each_isa():
        for options in ({"sample_weight": 0.0}, {"sample_weight": 0 * labels}):
            loss, grad = sigmoid_cross_entropy(
                logits, labels, reduction="none", return_grad=True, **options
            )
            np.testing.assert_array_equal(loss, 0)
            np.testing.assert_array_equal(grad, 0)
        loss, grad = sigmoid_cross_entropy(logits, labels, reduction="none", return_grad=True)
        np.testing.assert_array_equal(np.isnan(grad), np.isnan(logits))
        np.testing.assert_array_equal(np.isnan(loss), np.isnan(logits))


def test_small_losses_do_not_cancel(isa) -> None:
    for dtype in cases.DTYPES:
        loss, grad = sigmoid_cross_entropy(
            np.array([50.0, -50.0], dtype), [1, 0], reduction="none", return_grad=True
        )
        np.testing.assert_allclose(loss, 1.9287498479639178e-22, rtol=54 * np.finfo(dtype).eps)
        np.testing.assert_allclose(
            grad, [-1.9287498479639178e-22, 1.9287498479639178e-22], rtol=54 * np.finfo(dtype).eps
        )


def test_the_gradient_is_the_slope_of_the_loss(isa) -> None:
    h = 2.0**-9
    logits = cases.random_logits((12, 7), F64)
    options = {"pos_weight": 2.5, "label_smoothing": 0.1, "reduction": "none"}
    labels = soft_labels(logits.shape)
    _, grad = sigmoid_cross_entropy(logits, labels, return_grad=True, **options)
    at = {k: sigmoid_cross_entropy(logits + k * h, labels, **options) for k in (-2, -1, 1, 2)}
    slope = (at[-2] - 8 * at[-1] + 8 * at[1] - at[2]) / (12 * h)
    np.testing.assert_allclose(grad, slope, rtol=0, atol=1e-11)


def test_two_classes_are_one_binary_problem(isa) -> None:
    x = cases.random_logits((40,), F64)
    y = hard_labels(x.shape)
    pair = softmax_cross_entropy(np.stack([np.zeros(40), x], axis=1), y, reduction="none")
    np.testing.assert_allclose(sigmoid_cross_entropy(x, y, reduction="none"), pair, rtol=1e-15)


def test_dtypes_and_layouts(isa) -> None:
    for shape in ((37,), (13, 6), (3, 4, 5)):
        for dtype in cases.DTYPES:
            logits = cases.random_logits(shape, dtype)
            hard, soft = hard_labels(shape), soft_labels(shape)
            dtypes = (bool, np.int8, np.int64, np.uint8, np.uint32, np.float16, np.float32)
            for labels, label_dtypes in ((hard, dtypes), (soft, (np.float16, np.float32, F64))):
                true = wide_elements.sigmoid_cross_entropy(logits, labels, reduction="none")
                for label_dtype in label_dtypes:
                    for name, laid in cases.layouts(labels.astype(label_dtype)):
                        loss, grad = sigmoid_cross_entropy(
                            logits, laid, reduction="none", return_grad=True
                        )
                        what = f"labels {label_dtype} {name}"
                        assert_within(loss, true.loss, true.loss_tolerance, dtype, what)
                        assert_within(grad, true.gradient, true.gradient_tolerance, dtype, what)
                for name, laid in cases.layouts(logits):
                    loss, grad = sigmoid_cross_entropy(
                        laid, labels, reduction="none", return_grad=True
                    )
                    assert_within(loss, true.loss, true.loss_tolerance, dtype, name)
                    assert_within(grad, true.gradient, true.gradient_tolerance, dtype, name)
                for name, out in cases.layouts(np.zeros_like(logits)):
                    if out.flags.writeable and out.dtype.isnative:
                        _, grad = sigmoid_cross_entropy(
                            logits, labels, reduction="none", grad_out=out
                        )
                        assert grad is out
                        assert_within(grad, true.gradient, true.gradient_tolerance, dtype, name)


def test_no_elements() -> None:
    logits = np.empty((0, 3), np.float32)
    assert np.isnan(sigmoid_cross_entropy(logits, logits))
    assert sigmoid_cross_entropy(logits, logits, reduction="sum") == 0.0
    loss, grad = sigmoid_cross_entropy(logits, logits, axis=-1, reduction="none", return_grad=True)
    assert (loss.shape, grad.shape) == ((0,), (0, 3))


X = np.zeros((8, 4), np.float32)
Z = np.ones((8, 4))


@pytest.mark.parametrize(
    ("labels", "options", "error", "parts"),
    [
        (
            np.where(np.arange(32).reshape(8, 4) == 9, 1.5, Z),
            {},
            ValueError,
            ["labels[2, 1]", "1.5"],
        ),
        (
            np.where(np.arange(32).reshape(8, 4) == 9, -0.5, Z),
            {},
            ValueError,
            ["labels[2, 1]", "-0.5"],
        ),
        (
            np.where(np.arange(32).reshape(8, 4) == 31, NAN, Z),
            {},
            ValueError,
            ["labels[7, 3]", "nan"],
        ),
        (np.where(np.arange(32).reshape(8, 4) == 31, 2, 1), {}, ValueError, ["labels[7, 3]", "2"]),
        (np.where(np.arange(32).reshape(8, 4) == 0, -1, 1), {}, ValueError, ["labels[0, 0]", "-1"]),
        (Z[:7], {}, ValueError, ["labels", "(7, 4)", "(8, 4)"]),
        (Z[:, :1], {}, ValueError, ["labels", "(8, 1)", "(8, 4)"]),
        (Z.astype(complex), {}, TypeError, ["labels", "complex128"]),
        (Z.astype(object), {}, TypeError, ["labels", "object"]),
        (Z, {"pos_weight": -1.0}, ValueError, ["pos_weight", "-1"]),
        (Z, {"pos_weight": NAN}, ValueError, ["pos_weight", "nan"]),
        (Z, {"pos_weight": [1, 2, 3]}, ValueError, ["pos_weight", "(3,)", "4"]),
        (Z, {"pos_weight": [1, 2, INF, 3]}, ValueError, ["pos_weight[2]", "inf"]),
        (Z, {"sample_weight": np.ones(7)}, ValueError, ["sample_weight", "(7,)", "(8, 4)"]),
        (
            Z,
            {"sample_weight": np.ones(4), "axis": -1},
            ValueError,
            ["sample_weight", "(4,)", "(8,)"],
        ),
        (Z, {"sample_weight": -Z}, ValueError, ["sample_weight[0, 0]", "-1"]),
        (Z, {"label_smoothing": 1.1}, ValueError, ["label_smoothing", "1.1"]),
        (Z, {"axis": 2}, ValueError, ["axis", "2"]),
        (Z, {"reduction": "max"}, ValueError, ["reduction", "'max'", "none", "sum", "mean"]),
        (Z, {"normalizer": "rows"}, ValueError, ["normalizer", "'rows'", "valid"]),
        (Z, {"normalizer": 0}, ValueError, ["normalizer", "0"]),
        (Z, {"num_threads": 0}, ValueError, ["num_threads", "0"]),
    ],
)
def test_errors(labels, options, error, parts, isa) -> None:
    out = np.full_like(X, 7)
    for grad_out in (None, out):
        with pytest.raises(error) as caught:
            sigmoid_cross_entropy(X, labels, grad_out=grad_out, **options)
        for part in parts:
            assert part in str(caught.value)
    np.testing.assert_array_equal(out, 7)


def test_outputs_and_logits_that_are_refused() -> None:
    for out in (np.zeros((4, 8), np.float32), np.zeros((8, 4)), X[::-1]):
        with pytest.raises(ValueError, match="grad_out"):
            sigmoid_cross_entropy(X, Z, grad_out=out)
    labels = np.ones((8, 4), np.float32)
    with pytest.raises(ValueError, match="grad_out"):
        sigmoid_cross_entropy(X, labels, grad_out=labels)
    for dtype in (int, bool, complex, object, np.longdouble):
        with pytest.raises(TypeError, match=r"logits.*float32"):
            sigmoid_cross_entropy(X.astype(dtype), Z)


def test_the_same_bits_for_every_number_of_threads(isa) -> None:
    for shape in ((100_003,), (501, 77), (3, 40_001)):
        for dtype in cases.DTYPES:
            logits, labels = cases.random_logits(shape, dtype), hard_labels(shape)
            for axis in (None, -1, 0):
                results = [
                    sigmoid_cross_entropy(
                        logits, labels, axis=axis, return_grad=True, num_threads=num_threads
                    )
                    for num_threads in (1, 1, 2, 3, 8, None)
                ]
                for loss, grad in results:
                    assert loss == results[0][0]
                    np.testing.assert_array_equal(grad, results[0][1])


def test_the_gradient_of_a_mean_without_weight_is_0(isa) -> None:
    """The mean itself has no value."""
    x = np.array([0.25, -3.0, np.inf], np.float32)
    for function, first in ((sigmoid_cross_entropy, x), (binary_cross_entropy, np.full(3, 0.25))):
        for normalizer in ("weight", "nonzero"):
            loss, grad = function(
                first, [0, 1, 1], sample_weight=0, normalizer=normalizer, return_grad=True
            )
            assert np.isnan(loss)
            np.testing.assert_array_equal(grad, 0)
