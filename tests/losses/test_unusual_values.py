"""Values that are not ordinary (section 6 of the contract)."""

import cases
import numpy as np
import pytest
import wide
from ulp import assert_within

from fastce import softmax_cross_entropy

INF, NAN = np.inf, np.nan
CLASS_COUNTS = (1, 2, 3, 5, 10, 16, 17, 33, 70, 127, 128, 130)
CLASS_COUNTS += (255, 256, 257, 273, 319, 320, 600, 1001)
POSITIONS = (0, 1, 7, 15, 16, 31, 32)  # of a row among 33: ends and insides of tiles


def both(logits, labels, **options):
    """Return the rows' losses and their gradient, the losses also found without a gradient."""
    alone = softmax_cross_entropy(logits, labels, reduction="none", **options)
    loss, grad = softmax_cross_entropy(
        logits, labels, reduction="none", return_grad=True, **options
    )
    np.testing.assert_array_equal(np.isnan(alone), np.isnan(loss))
    np.testing.assert_array_equal(np.isinf(alone), np.isinf(loss))
    return loss, grad


def check(logits, labels, isas, what, **options) -> None:
    """Assert that a batch is within its budget, row for row, whatever its rows hold."""
    true = wide.softmax_cross_entropy(logits, labels, reduction="none", **options)
    for isa in isas:
        loss, grad = both(logits, labels, **options)
        dtype, here = logits.dtype, f"{isa}, {what}"
        assert_within(loss, true.loss, true.loss_tolerance, dtype, f"loss, {here}")
        assert_within(grad, true.gradient, true.gradient_tolerance, dtype, f"gradient, {here}")


def unusual_rows(n: int):
    """Yield rows and their labels: NaN, +inf and -inf wherever they may stand."""
    usual = cases.seeded(n).standard_normal(n)
    spots = sorted({0, 1, n // 2, n - 2, n - 1} & set(range(n)))
    for label in spots:
        for value in (NAN, INF, -INF):
            yield np.full(n, value), label
        for spot in spots:
            for rest, value in (
                (usual, NAN),
                (usual, INF),
                (usual, -INF),
                (-INF, 2.0),
                (-INF, NAN),
                (-INF, INF),
                (np.where(np.arange(n) == 0, INF, usual), NAN),
            ):
                row = np.array(np.broadcast_to(rest, n))
                row[spot] = value
                yield row, label


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("n_classes", CLASS_COUNTS)
def test_unusual_rows_and_their_neighbours(n_classes, dtype, each_isa) -> None:
    rows, labels = zip(*unusual_rows(n_classes), strict=True)
    # Every other row is ordinary.
    logits = cases.random_logits((2 * len(rows), n_classes), dtype)
    logits[::2] = rows
    y = cases.random_labels((len(logits),), n_classes)
    y[::2] = labels
    check(logits, y, each_isa(), "every other row is unusual")
    check(logits, y, each_isa(), "every other row is unusual, smoothed", label_smoothing=0.1)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("n_classes", CLASS_COUNTS)
def test_one_unusual_row_leaves_the_others_as_they_were(n_classes, dtype, isa) -> None:
    usual = cases.random_logits((33, n_classes), dtype)
    labels = cases.random_labels((33,), n_classes)
    before = both(usual, labels)
    for spot in POSITIONS:
        for value in (NAN, INF, -INF, np.finfo(dtype).max, -np.finfo(dtype).max):
            logits = usual.copy()
            logits[spot] = value
            loss, grad = both(logits, labels)
            others = np.arange(33) != spot
            np.testing.assert_array_equal(loss[others], before[0][others])
            np.testing.assert_array_equal(grad[others], before[1][others])
            if np.isfinite(value):
                assert loss[spot] == pytest.approx(np.log(n_classes), rel=1e-6)
            else:
                assert np.isnan(loss[spot])
                assert np.isnan(grad[spot]).all()


@pytest.mark.parametrize("n_classes", [2, 3, 10, 64, 130, 300])
def test_masked_classes_have_probability_zero(n_classes, isa) -> None:
    logits = cases.random_logits((33, n_classes), np.dtype(np.float32))
    masked = cases.seeded(n_classes).random(logits.shape) < 0.4
    labels = cases.random_labels((33,), n_classes)
    masked[np.arange(33), labels] = False
    logits[masked] = -INF
    _, grad = both(logits, labels)
    np.testing.assert_array_equal(grad[masked], 0)
    # As if the masked classes were not there.
    for row in range(33):
        kept = ~masked[row]
        fewer = both(logits[row][kept][None], [kept[: labels[row]].sum()])
        assert_within(grad[row][kept], fewer[1][0], 2e-7, np.float32)


@pytest.mark.parametrize("n_classes", [2, 3, 10, 64, 130, 300])
def test_a_masked_label_costs_infinity_and_has_a_finite_gradient(n_classes, isa) -> None:
    logits = cases.random_logits((33, n_classes), np.dtype(np.float64))
    labels = cases.random_labels((33,), n_classes)
    logits[np.arange(33), labels] = -INF
    loss, grad = both(logits, labels)
    np.testing.assert_array_equal(loss, INF)
    np.testing.assert_allclose(grad[np.arange(33), labels], -1, rtol=4e-16)
    np.testing.assert_allclose(grad.sum(axis=1), 0, atol=1e-14)
    for reduction in ("mean", "sum"):
        assert softmax_cross_entropy(logits, labels, reduction=reduction) == INF


@pytest.mark.parametrize("n_classes", [2, 3, 10, 64, 130, 300])
def test_a_term_whose_weight_is_zero_is_zero(n_classes, each_isa) -> None:
    """A masked class costs nothing where its class weight is 0, even with smoothing."""
    logits = cases.random_logits((33, n_classes), np.dtype(np.float64))
    labels = np.full(33, n_classes - 1)
    labels[::2] = 0
    logits[:, 0] = -INF
    w = np.ones(n_classes)
    w[0] = 0
    for eps in (0.0, 0.3):
        what = f"smoothing {eps}"
        check(logits, labels, each_isa(), what, class_weight=w, label_smoothing=eps)
    for _ in each_isa():
        loss, grad = both(logits, labels, class_weight=w)
        np.testing.assert_array_equal(loss[::2], 0)
        np.testing.assert_array_equal(grad[::2], 0)
        loss, grad = both(logits, labels, label_smoothing=0.3)
        np.testing.assert_array_equal(loss, INF)
        assert np.isfinite(grad).all()


@pytest.mark.parametrize("n_classes", [1, 2, 3, 10, 64, 130, 300])
@pytest.mark.parametrize("value", [NAN, INF, -INF, 3e38])
def test_rows_that_count_for_nothing_give_exactly_zero(value, n_classes, isa) -> None:
    for dtype in cases.DTYPES:
        logits = cases.random_logits((40, n_classes), dtype)
        labels = cases.random_labels((40,), n_classes)
        empty = np.arange(40) % 3 == 1
        logits[empty] = value
        marked = np.where(empty, -100, labels)
        for y, options in ((marked, {}), (labels, {"sample_weight": np.where(empty, 0.0, 1.0)})):
            for extra in ({}, {"label_smoothing": 0.1}, {"z_loss": 0.1}):
                loss, grad = both(logits, y, **options, **extra)
                np.testing.assert_array_equal(loss[empty], 0)
                np.testing.assert_array_equal(grad[empty], 0)
                mean, grad = softmax_cross_entropy(logits, y, return_grad=True, **options, **extra)
                assert np.isfinite(mean)
                np.testing.assert_array_equal(grad[empty], 0)


def test_a_nan_reaches_the_reduced_loss_and_no_other_row(isa) -> None:
    logits, labels = cases.random_logits((40, 10), np.dtype(np.float32)), np.zeros(40, int)
    logits[11, 3] = NAN
    loss, grad = softmax_cross_entropy(logits, labels, return_grad=True)
    assert np.isnan(loss)
    np.testing.assert_array_equal(np.isnan(grad).any(axis=1), np.arange(40) == 11)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("n_classes", [2, 3, 10, 64, 130, 300, 1001])
def test_the_whole_range_of_the_dtype(n_classes, dtype, each_isa) -> None:
    largest = float(np.finfo(dtype).max)
    rows = np.arange(33) % n_classes
    for high, low in ((largest, -largest), (largest, 0), (0, -largest), (largest, largest / 2)):
        for rest in (low, high):
            logits = np.full((33, n_classes), rest, dtype)
            logits[np.arange(33), rows] = high + low - rest
            for labels in (rows, (rows + 1) % n_classes):
                check(logits, labels, each_isa(), f"{high:g}, {low:g}, {rest:g}")


def test_a_reduced_loss_is_not_bound_to_the_range_of_float32(isa) -> None:
    largest = float(np.finfo(np.float32).max)
    for n_classes in (2, 3, 20, 130, 300):
        logits = np.full((17, n_classes), -largest, np.float32)
        logits[:, -1] = largest
        loss = softmax_cross_entropy(logits, np.zeros(17, int), reduction="sum")
        assert loss == pytest.approx(17 * 2 * largest, rel=1e-7)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_subnormal_logits_are_ordinary_and_stay_so(dtype, each_isa) -> None:
    tiny = np.finfo(dtype).smallest_subnormal
    for n_classes in (2, 3, 20, 130, 300):
        logits = (cases.seeded(1).integers(-9, 9, (33, n_classes)) * tiny).astype(dtype)
        labels = cases.random_labels((33,), n_classes)
        check(logits, labels, each_isa(), f"subnormal, {n_classes} classes")
        for _ in each_isa():
            softmax_cross_entropy(logits, labels)
            # No flush-to-zero mode may be left switched on in the calling thread.
            assert (np.full(8, 4 * tiny, dtype) * dtype.type(0.5) == 2 * tiny).all()


def test_a_label_far_below_costs_its_distance(isa) -> None:
    for distance in (30.0, 90.0, 200.0, 1e4, 1e30):
        for n_classes in (2, 3, 20, 130, 300):
            logits = np.zeros((17, n_classes), np.float32)
            logits[:, 1:] = -1e5
            logits[:, -1] = -distance
            loss, grad = both(logits, np.full(17, n_classes - 1))
            np.testing.assert_allclose(loss, np.float32(distance), rtol=3e-7)
            np.testing.assert_allclose(grad[:, 0], 1, rtol=1e-7)
            np.testing.assert_allclose(grad[:, -1], -1, rtol=1e-7)


@pytest.mark.parametrize("n_classes", [2, 5, 40, 200])
def test_a_row_without_a_target_counts_as_0_whatever_it_holds(n_classes, isa) -> None:
    """In the gradient as in the loss: all of its terms have the factor 0."""
    logits = np.zeros((4, n_classes), np.float32)
    logits[1, 0], logits[2, 0], logits[3] = NAN, INF, -INF
    none, zeros = np.zeros(n_classes), np.zeros((4, n_classes))
    for labels, options in (
        (zeros, {}),
        (zeros + 1, {"class_weight": none}),
        (np.zeros(4, int), {"class_weight": none, "label_smoothing": 0.1}),
        (np.zeros(4, int), {"class_weight": none}),
    ):
        for loss_or_gradient in both(logits, labels, **options):
            np.testing.assert_array_equal(loss_or_gradient, 0)


def test_a_row_of_nothing_is_nan_also_without_a_target(isa) -> None:
    """z_loss squares lse, and the square of -inf is no excuse."""
    for n_classes in (3, 200):
        logits = np.full((2, n_classes), -np.inf, np.float32)
        logits[1] = 0
        loss = softmax_cross_entropy(logits, np.zeros_like(logits), z_loss=0.1, reduction="none")
        assert np.isnan(loss[0])
        np.testing.assert_allclose(loss[1], 0.1 * np.log(n_classes) ** 2, rtol=1e-6)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("n_classes", [2, 5, 40, 200])
def test_equal_weights_however_small_are_no_weights(n_classes, dtype, isa) -> None:
    """A mean's divisor may be so small that its inverse is inf; the quotient of the two is not."""
    logits, labels = (
        cases.random_logits((65, n_classes), dtype),
        cases.random_labels((65,), n_classes),
    )
    options = {"label_smoothing": 0.1, "return_grad": True}
    for axis, x in ((-1, logits), (0, np.ascontiguousarray(logits.T))):
        true = softmax_cross_entropy(x, labels, axis=axis, **options)
        small = softmax_cross_entropy(
            x, labels, axis=axis, sample_weight=np.full(65, 2.0**-1040), **options
        )
        np.testing.assert_allclose(small[1], true[1], rtol=8 * np.finfo(dtype).eps)
        # The loss is a sum of subnormal numbers, which have that many digits.
        np.testing.assert_allclose(small[0], true[0], rtol=65 * 2.0**-34)
