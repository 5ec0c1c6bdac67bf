"""Rows of two, and of three to twelve, classes have forms of their own: what that must not change.

Where a mean or a sum is all that is asked for, a run of 256 rows is one step; where a logit or a
label is not as that needs it, and for the last few rows, tiles do the same in smaller steps.
"""

import cases
import ml_dtypes
import numpy as np
import pytest
import wide
from ulp import assert_within

from fastce import softmax_cross_entropy
from fastce._dispatch import softmax as dispatch

F32, F64 = cases.DTYPES
HALVES = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
CLASSES = (2, 3, 4, 5, 6, 7, 8, 10, 12, 13)
SIZES = (*range(1, 36), 63, 64, 65, 255, 256, 257, 264, 511, 513, 1023, 3001)

each_number_of_classes = pytest.mark.parametrize("classes", CLASSES)


def rows_of(rows: int, classes: int, dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and labels."""
    labels = cases.seeded(rows).integers(0, classes, rows)
    return cases.random_logits((rows, classes), dtype), labels


def check(x, labels, isas, **options) -> None:
    """Assert that loss and gradient agree with the true values, asked for in every way."""
    true = wide.softmax_cross_entropy(x, labels, reduction="sum", **options)
    for isa in isas():
        what = f"{isa}, {x.shape}, {x.dtype}, {options}"
        out = np.full_like(x, 7)
        loss = softmax_cross_entropy(x, labels, reduction="sum", **options)
        _, fresh = softmax_cross_entropy(x, labels, reduction="sum", return_grad=True, **options)
        same, _ = softmax_cross_entropy(x, labels, reduction="sum", grad_out=out, **options)
        rows = softmax_cross_entropy(x, labels, reduction="none", **options)
        assert_within(loss, true.loss, true.loss_tolerance, F64, what)
        assert_within(fresh, true.gradient, true.gradient_tolerance, x.dtype, what)
        np.testing.assert_array_equal(out, fresh)
        np.testing.assert_equal(loss, same)
        each = wide.softmax_cross_entropy(x, labels, reduction="none", **options)
        assert_within(rows, each.loss, each.loss_tolerance, x.dtype, what)


@each_number_of_classes
@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_every_number_of_rows(dtype, classes, each_isa) -> None:
    for rows in SIZES if classes < 5 else (7, 8, 16, 24, 63, 64, 255, 256, 272, 1023):
        check(*rows_of(rows, classes, dtype), each_isa)


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("rows", [1, 8, 100, 600])
def test_one_row_that_is_not_ordinary(rows, dtype, classes, each_isa) -> None:
    x, labels = rows_of(rows, classes, dtype)
    for where in {0, rows // 2, rows - 1}:
        for values in (
            (19.9, -19.9), (20.1, -20.1), (-30, 30), (60, 60), (200, 199), (-1e30, 0), (1e30, 1e30),
            (-np.inf, 0), (0, -np.inf), (-np.inf, -np.inf), (np.inf, 0), (np.nan, 0), (0, np.nan),
        ):  # fmt: skip
            some = x.copy()
            some[where, :1], some[where, 1:] = values
            check(some, labels, each_isa)


@pytest.mark.parametrize("classes", [2, 3, 6])
@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_every_option(dtype, classes, each_isa) -> None:
    x, labels = rows_of(330, classes, dtype)
    weights = cases.seeded(4).random(330)
    weights[::7] = 0
    by_class = np.array([0.25, *[3.0] * (classes - 1)])
    check(x, labels, each_isa, class_weight=by_class)
    by_class[0] = 0
    check(x, labels, each_isa, class_weight=by_class, sample_weight=weights)
    check(x, labels, each_isa, sample_weight=weights, z_loss=1e-3)
    check(x, labels, each_isa, label_smoothing=0.1)
    for ignored in (0, 1, -100):
        some = np.where(np.arange(330) % 5 == 0, ignored, labels)
        check(x, some, each_isa, ignore_index=ignored)


@pytest.mark.parametrize("gap", [0.0, 1.0, 10.0, 16.0, 20.0, 24.0, 30.0, 33.0, 39.0, 41.0, 60.0])
def test_rows_that_are_all_wrong(gap, each_isa) -> None:
    """Losses so large that their product would leave the range of a double; of all short rows."""
    for classes in (2, 3, 4, 5, 10, 100, 200):
        x = np.zeros((320, classes), np.float32)
        x[:, 1] = gap
        labels = np.zeros(320, np.int64)
        true = wide.softmax_cross_entropy(x, labels).loss
        for isa in each_isa():
            loss = softmax_cross_entropy(x, labels)
            assert abs(loss - true) <= 1e-7 * true, (isa, classes, gap)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_labels_of_every_dtype_give_the_same_bits(classes, isa) -> None:
    x, labels = rows_of(1003, classes, F32)
    first = softmax_cross_entropy(x, labels, return_grad=True)
    for dtype in ("i1", "i2", "i4", "u1", "u2", "u4", "u8"):
        loss, grad = softmax_cross_entropy(x, labels.astype(dtype), return_grad=True)
        assert loss == first[0]
        np.testing.assert_array_equal(grad, first[1])
    strided = np.full((1003, 3), 9)
    strided[:, 1] = labels
    loss, grad = softmax_cross_entropy(x, strided[:, 1], return_grad=True)
    assert loss == first[0]
    np.testing.assert_array_equal(grad, first[1])


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("value", ["classes", -1, 2**31, 2**32, 2**32 + 1, 2**62, -(2**63)])
@pytest.mark.parametrize("where", [0, 100, 999])
def test_a_label_that_is_no_class(value, where, classes, isa) -> None:
    value = classes if value == "classes" else value
    x, labels = rows_of(1000, classes, F32)
    labels[where] = value
    out = np.full_like(x, 7)
    for options in ({}, {"return_grad": True}, {"grad_out": out}):
        with pytest.raises(ValueError, match=rf"labels\[{where}\] is {value}"):
            softmax_cross_entropy(x, labels, **options)
    np.testing.assert_array_equal(out, 7)


@each_number_of_classes
@pytest.mark.parametrize("dtype", [*HALVES, *cases.DTYPES], ids=str)
def test_streamed_gradients_at_every_alignment(dtype, classes, isa, monkeypatch) -> None:
    """Whole lines past the caches; a run with a label that is ignored is left to tiles."""
    x, labels = rows_of(3333, classes, F32)
    x, labels[1000] = x.astype(dtype), -100
    loss, expected = softmax_cross_entropy(x, labels, reduction="sum", return_grad=True)
    monkeypatch.setattr(dispatch, "STREAMING_BYTES", 0)
    for start in (0, 1, 5, 16, 31):
        memory = np.full(x.size + 64, 7, dtype)
        out = memory[start : start + x.size].reshape(x.shape)
        same, _ = softmax_cross_entropy(x, labels, reduction="sum", grad_out=out)
        assert same == loss
        np.testing.assert_array_equal(out, expected)
        assert (memory[:start] == 7).all()
        assert (memory[start + x.size :] == 7).all()
    in_place = x.copy()
    softmax_cross_entropy(in_place, labels, reduction="sum", grad_out=in_place)
    np.testing.assert_array_equal(in_place, expected)


@each_number_of_classes
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_half_precision_is_float32_rounded_once(dtype, classes, isa) -> None:
    x = cases.random_logits((1003, classes), F32).astype(dtype)
    labels = cases.random_labels((1003,), classes)
    loss, grad = softmax_cross_entropy(x, labels, reduction="sum", return_grad=True)
    same, expected = softmax_cross_entropy(x.astype(F32), labels, reduction="sum", return_grad=True)
    assert loss == same
    np.testing.assert_array_equal(grad, expected.astype(dtype))


# Logits and a label; copies of such a row are rounded the same way at every step, all of them.
REPEATED = (
    ((0.78863513, -4.0013504, 1.547865, -2.4246085, -3.911153), 0),
    ((-0.4243471, 1.0069942, -0.116559744, 0.7191714), 3),
    ((0.32947803, 0.10822733, 0.15585394), 1),
)


def test_rows_that_are_all_the_same(each_isa) -> None:
    """What rounds the same way in every row does not average out."""
    rows = list(REPEATED)
    for classes in CLASSES:
        for seed in range(40):
            random = cases.seeded(seed)
            row = random.normal(scale=random.uniform(0.3, 3), size=classes)
            rows.append((row, int(random.integers(classes))))
    for row, label in rows:
        x, labels = np.tile(np.array(row, F32), (64, 1)), np.full(64, label)
        true = wide.softmax_cross_entropy(x, labels, reduction="sum")
        for isa in each_isa():
            loss, grad = softmax_cross_entropy(x, labels, reduction="sum", return_grad=True)
            assert_within(loss, true.loss, true.loss_tolerance, F64, f"{isa}, {row}, {label}")
            assert_within(grad, true.gradient, true.gradient_tolerance, F32, f"{isa}, {row}")


@pytest.mark.parametrize("normalizer", [1e-39, 1e-35, 1e-30, 1e-10, 1e10, 1e14, 1e16])
def test_numbers_that_a_mean_is_divided_by(normalizer, each_isa) -> None:
    for classes in (2, 3, 5):
        x, labels = rows_of(256, classes, F32)
        for logits in (x, np.full_like(x, 14)):
            options = {"reduction": "mean", "normalizer": normalizer}
            true = wide.softmax_cross_entropy(logits, labels, **options)
            for isa in each_isa():
                _, grad = softmax_cross_entropy(logits, labels, return_grad=True, **options)
                what = f"{isa}, {classes} classes"
                assert_within(grad, true.gradient, true.gradient_tolerance, F32, what)


def test_a_row_of_weight_0_far_from_the_others(isa) -> None:
    """Its gradient is 0 whatever it holds, also where rows have shifts of their own."""
    for value in (np.nan, np.inf, -np.inf, 3e38):
        logits = np.zeros((31, 2), np.float32)
        logits[3], logits[9], logits[20, 1] = 1000, value, -500
        weight = np.ones(31, np.int32)
        weight[9] = 0
        for options in ({"class_weight": [1.0, 1.77]}, {"z_loss": 0.01}):
            _, grad = softmax_cross_entropy(
                logits, np.zeros(31, int), sample_weight=weight, return_grad=True, **options
            )
            assert not grad[9].any(), (value, options)
            assert np.isfinite(grad).all(), (value, options)
