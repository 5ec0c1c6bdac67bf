"""softmax_cross_entropy with integer labels: shapes, types, and what must hold of any loss."""

import cases
import numpy as np
import pytest
import wide
from ulp import assert_within

from fastce import softmax_cross_entropy

F32, F64 = cases.DTYPES


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_every_shape_with_and_without_a_gradient(dtype, each_isa) -> None:
    for shape in cases.SHAPES:
        logits = cases.random_logits(shape, dtype)
        labels = cases.random_labels(shape[:1], shape[1])
        rows = wide.softmax_rows(logits)
        each = wide.softmax_cross_entropy(logits, labels, reduction="none", rows=rows)
        mean = wide.softmax_cross_entropy(logits, labels, rows=rows)
        for isa in each_isa():
            what = f"{shape} {isa}"
            loss = softmax_cross_entropy(logits, labels, reduction="none")
            assert loss.dtype == dtype
            assert_within(loss, each.loss, each.loss_tolerance, dtype, what)
            loss = softmax_cross_entropy(logits, labels)
            assert_within(loss, mean.loss, mean.loss_tolerance, F64, what)
            loss, grad = softmax_cross_entropy(logits, labels, return_grad=True)
            assert grad.dtype == dtype
            assert_within(loss, mean.loss, mean.loss_tolerance, F64, what)
            assert_within(grad, mean.gradient, mean.gradient_tolerance, dtype, what)
            loss, grad = softmax_cross_entropy(logits, labels, reduction="none", return_grad=True)
            assert_within(loss, each.loss, each.loss_tolerance, dtype, what)
            assert_within(grad, each.gradient, each.gradient_tolerance, dtype, what)
            in_place = logits.copy()
            loss, grad = softmax_cross_entropy(in_place, labels, grad_out=in_place)
            assert grad is in_place
            assert_within(loss, mean.loss, mean.loss_tolerance, F64, what)
            assert_within(grad, mean.gradient, mean.gradient_tolerance, dtype, what)


def test_leading_axes_are_rows(isa) -> None:
    logits = cases.random_logits((2, 3, 4, 5), F32)
    labels = cases.random_labels((2, 3, 4), 5)
    flat = softmax_cross_entropy(
        logits.reshape(24, 5), labels.reshape(24), reduction="none", return_grad=True
    )
    loss, grad = softmax_cross_entropy(logits, labels, reduction="none", return_grad=True)
    assert loss.shape == (2, 3, 4)
    assert grad.shape == logits.shape
    np.testing.assert_array_equal(loss.ravel(), flat[0])
    np.testing.assert_array_equal(grad.reshape(24, 5), flat[1])


def test_one_row_without_leading_axes(isa) -> None:
    logits = np.array([1.0, 2.0, 3.0])
    loss, grad = softmax_cross_entropy(logits, 2, reduction="none", return_grad=True)
    expected = wide.softmax_cross_entropy(logits[None], [2], reduction="none")
    assert isinstance(loss, np.ndarray)
    assert loss.shape == ()
    assert_within(loss, expected.loss[0], expected.loss_tolerance[0], F64)
    assert_within(grad, expected.gradient[0], expected.gradient_tolerance[0], F64)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_a_reduced_loss_is_a_python_float(reduction, dtype) -> None:
    logits, labels = cases.random_logits((5, 4), dtype), cases.random_labels((5,), 4)
    loss = softmax_cross_entropy(logits, labels, reduction=reduction)
    assert type(loss) is float
    loss, _ = softmax_cross_entropy(logits, labels, reduction=reduction, return_grad=True)
    assert type(loss) is float


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("rows", [(0,), (0, 3), (3, 0)], ids=str)
def test_no_rows(rows, dtype) -> None:
    logits, labels = np.empty((*rows, 4), dtype), np.empty(rows, np.int64)
    assert np.isnan(softmax_cross_entropy(logits, labels))
    assert softmax_cross_entropy(logits, labels, reduction="sum") == 0.0
    assert softmax_cross_entropy(logits, labels, normalizer=8) == 0.0
    loss, grad = softmax_cross_entropy(logits, labels, reduction="none", return_grad=True)
    assert (loss.shape, loss.dtype) == (rows, dtype)
    assert (grad.shape, grad.dtype) == ((*rows, 4), dtype)


def test_nothing_but_ignored_rows(isa) -> None:
    logits, labels = cases.random_logits((20, 4), F32), np.full(20, -100)
    for normalizer in ("weight", "valid", "nonzero"):
        loss, grad = softmax_cross_entropy(logits, labels, normalizer=normalizer, return_grad=True)
        assert np.isnan(loss)
        np.testing.assert_array_equal(grad, 0)
    assert softmax_cross_entropy(logits, labels, normalizer="all") == 0.0
    assert softmax_cross_entropy(logits, labels, reduction="sum") == 0.0


def test_one_class_costs_nothing(isa) -> None:
    logits = cases.random_logits((37, 1), F32)
    loss, grad = softmax_cross_entropy(
        logits, np.zeros(37, int), reduction="none", return_grad=True
    )
    np.testing.assert_array_equal(loss, 0)
    np.testing.assert_array_equal(grad, 0)


@pytest.mark.parametrize("n_classes", [2, 5, 100, 300])
def test_the_gradient_is_the_slope_of_the_loss(n_classes, isa) -> None:
    """Fourth-order differences of the summed loss, along every logit of every row at once."""
    shape, h = (9, n_classes), 2.0**-9
    logits, labels = cases.random_logits(shape, F64), cases.random_labels(shape[:1], n_classes)
    options = {
        "class_weight": 0.5 + cases.seeded(1).random(n_classes),
        "sample_weight": cases.seeded(2).random(9),
        "label_smoothing": 0.1,
        "z_loss": 0.01,
        "reduction": "none",
    }
    _, grad = softmax_cross_entropy(logits, labels, return_grad=True, **options)
    for c in range(0, n_classes, 1 + n_classes // 20):
        at = {}
        for k in (-2, -1, 1, 2):
            moved = logits.copy()
            moved[:, c] += k * h
            at[k] = softmax_cross_entropy(moved, labels, **options)
        slope = (at[-2] - 8 * at[-1] + 8 * at[1] - at[2]) / (12 * h)
        # h**4 / 30 times the fifth derivative, and a few eps of losses below 16 over h.
        np.testing.assert_allclose(grad[:, c], slope, rtol=0, atol=1e-11)


def test_gradients_of_a_row_sum_to_zero(isa) -> None:
    for n_classes in (2, 7, 90, 1000):
        logits = cases.random_logits((40, n_classes), F64)
        labels = cases.random_labels((40,), n_classes)
        _, grad = softmax_cross_entropy(
            logits, labels, label_smoothing=0.2, reduction="none", return_grad=True
        )
        np.testing.assert_allclose(grad.sum(axis=1), 0, atol=1e-15 * n_classes)


@pytest.mark.parametrize("n_classes", [2, 10, 200])
def test_sample_weights_multiply(n_classes, isa) -> None:
    logits = cases.random_logits((50, n_classes), F64)
    labels = cases.random_labels((50,), n_classes)
    s = cases.seeded(3).integers(0, 5, 50) / 4.0
    plain = softmax_cross_entropy(logits, labels, reduction="none", return_grad=True)
    loss, grad = softmax_cross_entropy(
        logits, labels, sample_weight=s, reduction="none", return_grad=True
    )
    np.testing.assert_allclose(loss, s * plain[0], rtol=4e-16)
    np.testing.assert_allclose(grad, s[:, None] * plain[1], rtol=4e-16)


def test_integer_sample_weights_are_repeated_rows(isa) -> None:
    logits, labels = cases.random_logits((30, 6), F64), cases.random_labels((30,), 6)
    times = cases.seeded(4).integers(0, 4, 30)
    w = [1, 2, 0.5, 1, 3, 1]
    weighted = softmax_cross_entropy(logits, labels, sample_weight=times, class_weight=w)
    repeated = softmax_cross_entropy(
        logits.repeat(times, axis=0), labels.repeat(times), class_weight=w
    )
    assert weighted == pytest.approx(repeated, rel=1e-15)


def test_class_weights_are_sample_weights_of_their_labels(isa) -> None:
    logits, labels = cases.random_logits((50, 6), F64), cases.random_labels((50,), 6)
    w = np.array([1, 2, 0.5, 0, 3, 1])
    by_class = softmax_cross_entropy(logits, labels, class_weight=w, return_grad=True)
    by_sample = softmax_cross_entropy(logits, labels, sample_weight=w[labels], return_grad=True)
    assert by_class[0] == pytest.approx(by_sample[0], rel=1e-15)
    np.testing.assert_allclose(by_class[1], by_sample[1], rtol=1e-15)


def test_z_loss_knows_sample_weights_and_no_class_weights(isa) -> None:
    logits, labels = cases.random_logits((20, 5), F64), cases.random_labels((20,), 5)
    s = cases.seeded(5).random(20)
    loss = softmax_cross_entropy(
        logits, labels, class_weight=np.zeros(5), sample_weight=s, z_loss=0.5, reduction="none"
    )
    lse = wide.softmax_rows(logits).lse[:, 0]
    np.testing.assert_allclose(loss, np.asarray(s * 0.5 * lse**2, float), rtol=1e-14)


def test_sample_weights_broadcast_against_rows(isa) -> None:
    logits, labels = cases.random_logits((3, 4, 5), F64), cases.random_labels((3, 4), 5)
    plain = softmax_cross_entropy(logits, labels, reduction="none")
    for s in (2.0, np.float32(2), [2.0], [1, 2, 3, 4], [[1], [0], [3]], np.ones((3, 4), int) * 3):
        loss = softmax_cross_entropy(logits, labels, sample_weight=s, reduction="none")
        np.testing.assert_allclose(loss, plain * np.asarray(s), rtol=4e-16)
        assert softmax_cross_entropy(logits, labels, sample_weight=s) == pytest.approx(
            (plain * np.asarray(s)).sum() / np.broadcast_to(s, (3, 4)).sum(), rel=1e-15
        )


def test_ignored_rows_are_as_if_they_were_not_there(isa) -> None:
    logits, labels = cases.random_logits((60, 7), F64), cases.random_labels((60,), 7)
    for index, kept in ((-100, cases.seeded(6).random(60) < 0.5), (3, labels != 3)):
        marked = np.where(kept, labels, index)
        loss, grad = softmax_cross_entropy(logits, marked, ignore_index=index, return_grad=True)
        fewer = softmax_cross_entropy(logits[kept], labels[kept], return_grad=True)
        assert loss == pytest.approx(fewer[0], rel=1e-15)
        np.testing.assert_allclose(grad[kept], fewer[1], rtol=1e-15)
        np.testing.assert_array_equal(grad[~kept], 0)


def test_ignore_index_can_be_any_integer(isa) -> None:
    logits = cases.random_logits((4, 3), F32)
    for index in (-1, 255, -(2**40), 2**62):
        loss = softmax_cross_entropy(
            logits, np.array([0, index, 2, index]), ignore_index=index, reduction="none"
        )
        np.testing.assert_array_equal(loss == 0, [False, True, False, True])
    # An ignore_index that the labels' dtype cannot hold ignores nothing.
    unsigned = np.array([0, 1, 2, 156], np.uint8)
    with pytest.raises(ValueError, match="156"):
        softmax_cross_entropy(logits, unsigned)
    assert softmax_cross_entropy(logits[:3], unsigned[:3]) > 0


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_grad_out_is_written_and_returned(dtype, isa) -> None:
    for n_classes in (2, 9, 80, 300):
        logits = cases.random_logits((40, n_classes), dtype)
        labels = cases.random_labels((40,), n_classes)
        before = logits.copy()
        _, grad = softmax_cross_entropy(logits, labels, return_grad=True)
        assert not np.shares_memory(grad, logits)
        out = np.full_like(logits, np.nan)
        for flag in (False, True):
            result = softmax_cross_entropy(logits, labels, grad_out=out, return_grad=flag)
            assert result[1] is out
        np.testing.assert_array_equal(out, grad)
        np.testing.assert_array_equal(logits, before)
        result = softmax_cross_entropy(logits, labels, grad_out=logits)
        assert np.shares_memory(result[1], logits)
        np.testing.assert_array_equal(logits, grad)


def test_inputs_are_not_written(isa) -> None:
    logits, labels = cases.random_logits((40, 6), F32), cases.random_labels((40,), 6)
    w, s = np.arange(1.0, 7.0), np.ones(40)
    copies = [a.copy() for a in (logits, labels, w, s)]
    softmax_cross_entropy(logits, labels, class_weight=w, sample_weight=s, return_grad=True)
    for array, copy in zip((logits, labels, w, s), copies, strict=True):
        np.testing.assert_array_equal(array, copy)
