"""softmax_cross_entropy with class probabilities as labels."""

import itertools

import cases
import numpy as np
import pytest
import wide
from ulp import assert_within

from fastce import softmax_cross_entropy

F32, F64 = cases.DTYPES
INF, NAN = np.inf, np.nan
CLASS_COUNTS = (*range(1, 20), 31, 33, 63, 65, 70, 127, 128, 130)
CLASS_COUNTS += (239, 256, 257, 273, 319, 320, 1001, 4097)


def probabilities(shape, dtype) -> np.ndarray:
    """Return targets of which a third are 0 and whose rows do not sum to 1."""
    q = cases.seeded(*shape).random(shape)
    return np.where(q < 1 / 3, 0, q / shape[-1] * 2).astype(dtype)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_every_kind_of_row(dtype, each_isa) -> None:
    for n_classes in CLASS_COUNTS:
        logits, _, _ = cases.rows_of_every_kind(n_classes, dtype)
        q = probabilities(logits.shape, dtype) * np.isfinite(logits)
        for options in ({}, {"class_weight": 2 * cases.seeded(n_classes).random(n_classes)}):
            true = wide.softmax_cross_entropy(logits, q, reduction="none", **options)
            for isa in each_isa():
                what = f"{isa}, {n_classes} classes, {cases.described(options)}"
                alone = softmax_cross_entropy(logits, q, reduction="none", **options)
                assert_within(alone, true.loss, true.loss_tolerance, dtype, what)
                loss, grad = softmax_cross_entropy(
                    logits, q, reduction="none", return_grad=True, **options
                )
                assert_within(loss, true.loss, true.loss_tolerance, dtype, what)
                assert_within(grad, true.gradient, true.gradient_tolerance, dtype, what)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("n_classes", [2, 3, 10, 60, 130, 300])
def test_options(n_classes, dtype, each_isa) -> None:
    rows = 21
    logits = cases.random_logits((rows, n_classes), dtype)
    q = probabilities(logits.shape, dtype)
    known = wide.softmax_rows(logits)
    some = 0.25 + cases.seeded(n_classes).random(n_classes)
    for w, s, eps, z, (reduction, normalizer) in itertools.product(
        (None, some, np.where(np.arange(n_classes) % 3 == 2, 0, some)),
        (None, np.where(np.arange(rows) % 3 == 0, 0, cases.seeded(rows).random(rows))),
        (0.0, 0.1, 1.0),
        (0.0, 0.05),
        (
            ("none", "weight"),
            ("sum", "weight"),
            *(("mean", n) for n in ("weight", "valid", "all", "nonzero", 7)),
        ),
    ):
        options = {
            "class_weight": w,
            "sample_weight": s,
            "label_smoothing": eps,
            "z_loss": z,
            "reduction": reduction,
            "normalizer": normalizer,
        }
        true = wide.softmax_cross_entropy(logits, q, rows=known, **options)
        loss_dtype = dtype if reduction == "none" else F64
        for isa in each_isa():
            in_place = logits.copy()
            for loss, grad in (
                (softmax_cross_entropy(logits, q, **options), None),
                softmax_cross_entropy(logits, q, return_grad=True, **options),
                softmax_cross_entropy(in_place, q, grad_out=in_place, **options),
            ):
                what = f"{isa}, {cases.described(options)}"
                assert_within(loss, true.loss, true.loss_tolerance, loss_dtype, what)
                if grad is not None:
                    assert_within(grad, true.gradient, true.gradient_tolerance, dtype, what)


def test_one_hot_probabilities_are_integer_labels(isa) -> None:
    for n_classes in (2, 5, 100, 300):
        logits = cases.random_logits((40, n_classes), F64)
        labels = cases.random_labels((40,), n_classes)
        one_hot = np.eye(n_classes)[labels]
        options = {"label_smoothing": 0.1, "z_loss": 0.01, "return_grad": True}
        by_label = softmax_cross_entropy(logits, labels, **options)
        by_probability = softmax_cross_entropy(logits, one_hot, **options)
        assert by_label[0] == pytest.approx(by_probability[0], rel=1e-15)
        np.testing.assert_allclose(by_label[1], by_probability[1], rtol=1e-14, atol=1e-16)


def test_the_loss_is_linear_in_the_labels(isa) -> None:
    logits = cases.random_logits((40, 9), F64)
    q = probabilities(logits.shape, F64)
    options = {"reduction": "none", "return_grad": True}
    one, three = (softmax_cross_entropy(logits, k * q, **options) for k in (1, 3))
    np.testing.assert_allclose(three[0], 3 * one[0], rtol=1e-15)
    np.testing.assert_allclose(three[1], 3 * one[1], rtol=1e-14, atol=1e-15)
    nothing = softmax_cross_entropy(logits, 0 * q, **options)
    np.testing.assert_array_equal(nothing[0], 0)
    np.testing.assert_array_equal(nothing[1], 0)


def test_the_gradient_is_the_slope_of_the_loss(isa) -> None:
    h = 2.0**-9
    for n_classes in (2, 5, 100, 300):
        logits = cases.random_logits((9, n_classes), F64)
        q = probabilities(logits.shape, F64)
        options = {
            "class_weight": 0.5 + cases.seeded(1).random(n_classes),
            "label_smoothing": 0.1,
            "z_loss": 0.01,
            "reduction": "none",
        }
        _, grad = softmax_cross_entropy(logits, q, return_grad=True, **options)
        for c in range(0, n_classes, 1 + n_classes // 20):
            at = {}
            for k in (-2, -1, 1, 2):
                moved = logits.copy()
                moved[:, c] += k * h
                at[k] = softmax_cross_entropy(moved, q, **options)
            slope = (at[-2] - 8 * at[-1] + 8 * at[1] - at[2]) / (12 * h)
            np.testing.assert_allclose(grad[:, c], slope, rtol=0, atol=1e-11)


def test_ignore_index_has_no_effect(isa) -> None:
    logits = cases.random_logits((10, 4), F64)
    q = np.full((10, 4), 1.0)
    assert softmax_cross_entropy(logits, q, ignore_index=1) == softmax_cross_entropy(logits, q)


def test_dtypes_and_layouts_of_probabilities(isa) -> None:
    for shape in ((37, 2), (37, 5), (21, 70), (21, 300)):
        for dtype in cases.DTYPES:
            logits = cases.random_logits(shape, dtype)
            # Multiples of 1/64, so that every dtype holds them exactly.
            q = cases.seeded(1).integers(0, 64, shape) / 64
            true = wide.softmax_cross_entropy(logits, q, reduction="none")
            for label_dtype in (np.float16, np.float32, np.float64):
                for name, laid in cases.layouts(q.astype(label_dtype)):
                    what = f"{dtype} {label_dtype} {name}"
                    loss, grad = softmax_cross_entropy(
                        logits, laid, reduction="none", return_grad=True
                    )
                    assert_within(loss, true.loss, true.loss_tolerance, dtype, what)
                    assert_within(grad, true.gradient, true.gradient_tolerance, dtype, what)


def test_unusual_values(isa) -> None:
    for n_classes in (2, 3, 10, 64, 130, 300):
        for dtype in cases.DTYPES:
            logits = cases.random_logits((33, n_classes), dtype)
            q = probabilities(logits.shape, dtype)
            q[:, 0] = np.arange(33) % 2
            logits[::4, 0] = -INF
            logits[3, -1], logits[15, 0], logits[17] = NAN, INF, -INF
            for eps in (0.0, 0.1):
                true = wide.softmax_cross_entropy(logits, q, label_smoothing=eps, reduction="none")
                alone = softmax_cross_entropy(logits, q, label_smoothing=eps, reduction="none")
                loss, grad = softmax_cross_entropy(
                    logits, q, label_smoothing=eps, reduction="none", return_grad=True
                )
                what = f"{n_classes} classes, smoothing {eps}"
                assert_within(alone, true.loss, true.loss_tolerance, dtype, what)
                assert_within(loss, true.loss, true.loss_tolerance, dtype, what)
                assert_within(grad, true.gradient, true.gradient_tolerance, dtype, what)
            _, grad = softmax_cross_entropy(logits, q, return_grad=True)
            np.testing.assert_array_equal(grad[::8, 0], 0)
            logits[:] = NAN
            loss, grad = softmax_cross_entropy(
                logits, q, sample_weight=0.0, reduction="none", return_grad=True
            )
            np.testing.assert_array_equal(loss, 0)
            np.testing.assert_array_equal(grad, 0)


@pytest.mark.parametrize(
    ("value", "said"), [(-0.25, "-0.25"), (NAN, "nan"), (INF, "inf"), (-INF, "-inf")]
)
def test_bad_probabilities(value, said, isa) -> None:
    for n_classes in (2, 10, 300):
        logits = np.zeros((40, n_classes), np.float32)
        for dtype in (np.float32, np.float64):
            q = np.ones((40, n_classes), dtype)
            q[38, 1] = value
            out = np.full_like(logits, 7)
            with pytest.raises(ValueError, match=rf"labels\[38, 1\].*{said}"):
                softmax_cross_entropy(logits, q, grad_out=out)
            np.testing.assert_array_equal(out, 7)


def test_shapes_of_probabilities() -> None:
    logits = np.zeros((4, 3), np.float32)
    for shape in ((4,), (3, 4), (4, 1), (1, 3), (2, 4, 3)):
        with pytest.raises(ValueError, match="labels") as caught:
            softmax_cross_entropy(logits, np.ones(shape))
        assert str(shape) in str(caught.value)


def test_an_output_over_its_labels_is_refused() -> None:
    logits, q = np.zeros((4, 3)), np.ones((4, 3))
    with pytest.raises(ValueError, match="grad_out"):
        softmax_cross_entropy(logits, q, grad_out=q)
    np.testing.assert_array_equal(q, 1)


def test_the_same_bits_for_every_number_of_threads(isa) -> None:
    for shape in ((65, 257), (700, 1000), (5001, 10), (20_003, 3), (50_001, 2), (3, 50257)):
        logits, q = cases.random_logits(shape, F32), probabilities(shape, F32)
        first = softmax_cross_entropy(logits, q, return_grad=True, num_threads=1)
        for num_threads in (1, 2, 3, 8, None):
            again = softmax_cross_entropy(logits, q, return_grad=True, num_threads=num_threads)
            assert again[0] == first[0]
            np.testing.assert_array_equal(again[1], first[1])
