"""float16 and bfloat16 logits: computed as float32, then one rounding of the gradient."""

import cases
import ml_dtypes
import numpy as np
import pytest
import wide
from ulp import assert_within, rounding

from fastce import sigmoid_cross_entropy, softmax_cross_entropy

F32 = np.dtype(np.float32)
FLOAT16, BFLOAT16 = np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)
HALVES = (FLOAT16, BFLOAT16)
CLASS_COUNTS = (1, 2, 3, 7, 15, 16, 17, 31, 33, 64, 70, 127, 128, 130)
CLASS_COUNTS += (255, 257, 273, 319, 320, 1001, 4097)


def problem(n_classes, dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of every kind that the dtype can hold, and labels."""
    with np.errstate(over="ignore"):
        logits, labels, _ = cases.rows_of_every_kind(n_classes, F32)
        logits = logits.astype(dtype)
    finite = np.isfinite(logits.astype(F32))
    known = finite[np.arange(len(labels)), labels] & ~np.isposinf(logits.astype(F32)).any(axis=1)
    return logits[known], labels[known]


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_every_kind_of_row(dtype, each_isa) -> None:
    for n_classes in CLASS_COUNTS:
        logits, labels = problem(n_classes, dtype)
        for options in ({}, {"label_smoothing": 0.1}, {"sample_weight": 0.25}):
            exact = logits.astype(F32)
            each = wide.softmax_cross_entropy(exact, labels, reduction="none", **options)
            total = wide.softmax_cross_entropy(exact, labels, reduction="sum", **options)
            allowed = each.gradient_tolerance + rounding(each.gradient, dtype) * (1 + 2.0**-7)
            for isa in each_isa():
                what = f"{isa}, {n_classes} classes, {cases.described(options)}"
                alone = softmax_cross_entropy(logits, labels, reduction="none", **options)
                in_place = logits.copy()
                for way, (loss, grad) in {
                    "gradient": softmax_cross_entropy(
                        logits, labels, reduction="none", return_grad=True, **options
                    ),
                    "in place": softmax_cross_entropy(
                        in_place, labels, reduction="none", grad_out=in_place, **options
                    ),
                    "alone": (alone, None),
                }.items():
                    assert loss.dtype == F32
                    assert_within(loss, each.loss, each.loss_tolerance, F32, f"{way}, {what}")
                    if grad is not None:
                        assert grad.dtype == dtype
                        wider = grad.astype(F32)
                        assert_within(wider, each.gradient, allowed, F32, f"{way}, {what}")
                loss = softmax_cross_entropy(logits, labels, reduction="sum", **options)
                assert_within(loss, total.loss, total.loss_tolerance, np.float64, what)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_unusual_values(dtype, isa) -> None:
    inf, nan = np.inf, np.nan
    for n_classes in (2, 3, 10, 70, 130, 300):
        logits = cases.random_logits((40, n_classes), F32)
        labels = cases.random_labels((40,), n_classes)
        logits[1], logits[3], logits[5, -1], logits[7, 0] = -inf, inf, nan, inf
        logits[9, labels[9]], logits[11, (labels[11] + 1) % n_classes] = -inf, -inf
        labels[13], logits[13] = -100, nan
        logits = logits.astype(dtype)
        true = wide.softmax_cross_entropy(logits.astype(F32), labels, reduction="none")
        loss, grad = softmax_cross_entropy(logits, labels, reduction="none", return_grad=True)
        assert_within(loss, true.loss, true.loss_tolerance, F32)
        allowed = true.gradient_tolerance + rounding(true.gradient, dtype) * (1 + 2.0**-7)
        assert_within(grad.astype(F32), true.gradient, allowed, F32)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_layouts(dtype, isa) -> None:
    for shape in ((17, 2), (9, 10), (6, 300)):
        logits = cases.random_logits(shape, F32).astype(dtype)
        labels = cases.random_labels(shape[:1], shape[1])
        true = wide.softmax_cross_entropy(logits.astype(F32), labels, reduction="none")
        allowed = true.gradient_tolerance + rounding(true.gradient, dtype) * (1 + 2.0**-7)
        for name, laid in cases.layouts(logits):
            if dtype == BFLOAT16 and name == "byte-swapped":
                continue  # ml_dtypes has no other byte order
            loss, grad = softmax_cross_entropy(laid, labels, reduction="none", return_grad=True)
            assert_within(loss, true.loss, true.loss_tolerance, F32, name)
            assert_within(grad.astype(F32), true.gradient, allowed, F32, name)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_the_same_bits_for_every_number_of_threads(dtype, isa) -> None:
    for shape in ((700, 1000), (5001, 10), (20_003, 3)):
        logits = cases.random_logits(shape, F32).astype(dtype)
        labels = cases.random_labels(shape[:1], shape[1])
        first = softmax_cross_entropy(logits, labels, return_grad=True, num_threads=1)
        for num_threads in (1, 2, 3, 8, None):
            again = softmax_cross_entropy(logits, labels, return_grad=True, num_threads=num_threads)
            assert again[0] == first[0]
            np.testing.assert_array_equal(again[1].view(np.uint16), first[1].view(np.uint16))


def test_outputs_of_another_dtype_are_refused() -> None:
    logits = np.zeros((4, 3), FLOAT16)
    for dtype in (np.float32, BFLOAT16):
        with pytest.raises(ValueError, match="grad_out"):
            softmax_cross_entropy(logits, np.zeros(4, int), grad_out=np.zeros((4, 3), dtype))


def test_half_precision_targets_that_are_nan_are_named_and_nothing_else_is_said(isa) -> None:
    """bfloat16 warns of an invalid comparison for every NaN; here a warning is an error."""
    for dtype in HALVES:
        q = np.ones((2, 3), dtype)
        q[1, 2] = np.nan
        for function in (softmax_cross_entropy, sigmoid_cross_entropy):
            with pytest.raises(ValueError, match=r"labels\[1, 2\] is nan"):
                function(np.zeros((2, 3), F32), q)
