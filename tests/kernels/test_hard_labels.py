"""Losses of labels 0 and 1 are summed as one product: what that must not change.

A chunk is 1024 elements, a step of the product 16 vectors. Around their seams, and around the
bounds of what a product can hold, sums, losses and gradients must agree with the true values.
"""

import cases
import numpy as np
import pytest
import wide_elements
from ulp import BUDGETS, assert_within

from fastce import binary_cross_entropy, sigmoid, sigmoid_cross_entropy

F32, F64 = cases.DTYPES
SIZES = (*range(1, 40), 63, 64, 65, 127, 128, 129, 255, 256, 257, 1023, 1024, 1025, 1040, 3000)


def check(function, x, labels, isas, **options) -> None:
    """Assert that sum, losses and gradient agree with the true values, and with each other."""
    reference = getattr(wide_elements, function.__name__)
    for reduction in ("sum", "none"):
        true = reference(x, labels, reduction=reduction, **options)
        dtype = F64 if reduction == "sum" else x.dtype
        for isa in isas():
            out = np.full_like(x, 7)
            alone = function(x, labels, reduction=reduction, **options)
            loss, grad = function(x, labels, reduction=reduction, grad_out=out, **options)
            what = f"{function.__name__}, {isa}, {x.size}, {reduction}"
            assert_within(alone, true.loss, true.loss_tolerance, dtype, what)
            assert_within(loss, true.loss, true.loss_tolerance, dtype, what)
            assert_within(grad, true.gradient, true.gradient_tolerance, x.dtype, what)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_every_length(dtype, each_isa) -> None:
    for n in SIZES:
        labels = cases.seeded(n).integers(0, 2, n)
        x = cases.random_logits((n,), dtype)
        check(sigmoid_cross_entropy, x, labels.astype(dtype), each_isa)
        check(binary_cross_entropy, sigmoid(x), labels.astype(dtype), each_isa)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("n", [1, 8, 16, 127, 2500])
def test_one_unusual_element(n, dtype, each_isa) -> None:
    labels = cases.seeded(n).integers(0, 2, n).astype(dtype)
    x = cases.random_logits((n,), dtype)
    p = np.clip(sigmoid(x), dtype.type(1e-6), dtype.type(1 - 2.0**-20))
    for where in {0, n // 2, n - 1}:
        for value in (39.9, 40.1, -40.1, 60, 88, -88, 100, -700, 1e30, np.inf, -np.inf, np.nan):
            some = x.copy()
            some[where] = value
            check(sigmoid_cross_entropy, some, labels, each_isa)
        for value in (0, -0.0, 1, 1e-45, 1e-30, 2.0**-61, 2.0**-59, np.nan):
            some = p.copy()
            some[where] = value
            check(binary_cross_entropy, some, labels, each_isa)
            check(binary_cross_entropy, some, labels, each_isa, eps=1e-7)
        for value in (0.5, 1e-40, 1 - 2.0**-20, -0.0):
            some = labels.copy()
            some[where] = value
            check(sigmoid_cross_entropy, x, some, each_isa)
            check(binary_cross_entropy, p, some, each_isa)


def test_sums_at_the_limits_of_the_product(each_isa) -> None:
    """All factors as large, or as small, as a product may hold."""
    for n in (1, 17, 300, 1024, 5000):
        ones = np.ones(n, np.float32)
        for size in (40.0, 20.0, 0.0, -1.0, -10.0, -20.0, -30.0, -39.5):
            for labels in (0 * ones, ones):
                x = np.full(n, size, np.float32)
                true = wide_elements.sigmoid_cross_entropy(x, labels, reduction="sum").loss
                for _ in each_isa():
                    loss = sigmoid_cross_entropy(x, labels, reduction="sum")
                    allowed = max(BUDGETS[F32].reduced, (4 + abs(size)) * 2.0**-23) * true
                    assert abs(loss - true) <= allowed, (n, size)
        for p in (2.0**-60, 2.0**-59, 1e-6, 0.25, 0.5, 0.9, 1 - 2.0**-24, 1.0):
            probs = np.full(n, p, np.float32)
            for labels in (0 * ones, ones):
                true = wide_elements.binary_cross_entropy(probs, labels, reduction="sum").loss
                for _ in each_isa():
                    loss = binary_cross_entropy(probs, labels, reduction="sum")
                    assert loss == true or abs(loss - true) <= BUDGETS[F32].reduced * true, (n, p)


def test_a_product_is_more_precise_than_its_terms(each_isa) -> None:
    """The errors of exponentials cancel in a large sum; those of its addition must not add up."""
    x = cases.random_logits((300_000,), F32)
    labels = cases.seeded(3).integers(0, 2, x.shape)
    true = wide_elements.sigmoid_cross_entropy(x, labels).loss
    probs = np.clip(sigmoid(x), np.float32(1e-6), np.float32(0.99999))
    true_binary = wide_elements.binary_cross_entropy(probs, labels).loss
    for _ in each_isa():
        assert abs(sigmoid_cross_entropy(x, labels) - true) <= 1e-8 * true
        assert abs(binary_cross_entropy(probs, labels) - true_binary) <= 1e-9 * true_binary


def test_labels_of_every_dtype_give_the_same_bits(isa) -> None:
    x = cases.random_logits((3001,), F32)
    labels = cases.seeded(1).integers(0, 2, x.shape)
    first = sigmoid_cross_entropy(x, labels.astype(np.float32), return_grad=True)
    for dtype in (bool, "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f8"):
        loss, grad = sigmoid_cross_entropy(x, labels.astype(dtype), return_grad=True)
        assert loss == first[0]
        np.testing.assert_array_equal(grad, first[1])


@pytest.mark.parametrize("value", [2, -1, 2**31, 2**32, 2**32 + 1, 2**62, -(2**32)])
def test_large_integers_are_no_labels(value, isa) -> None:
    labels = np.ones(100, np.int64)
    labels[70] = value
    out = np.full(100, 7, np.float32)
    for options in ({}, {"grad_out": out}):
        with pytest.raises(ValueError, match=rf"labels\[70\] is {value}"):
            sigmoid_cross_entropy(np.zeros(100, np.float32), labels, **options)
    np.testing.assert_array_equal(out, 7)


def test_float64_labels_keep_their_digits(each_isa) -> None:
    x = np.array([100.0, 1e4, -1e5, 3.0], np.float32)
    labels = np.array([1 - 2e-8, 1 - 2e-8, 1e-12, 1 / 3])  # in float32 two of them are 1
    check(sigmoid_cross_entropy, x, labels, each_isa)
    # Here nothing but the labels is unusual.
    x, labels = np.full(9, 30, np.float32), np.full(9, 1 - 2e-8)
    check(sigmoid_cross_entropy, x, labels, each_isa)


@pytest.mark.parametrize("dtype", [np.float16, *cases.DTYPES], ids=str)
def test_streamed_gradients_at_every_alignment(dtype, isa) -> None:
    """More than 2 MB are written past the caches, whole lines from registers."""
    n = (1 << 21) // np.dtype(dtype).itemsize + 333
    x = cases.random_logits((n + 64,), F32).astype(dtype)
    labels = cases.seeded(2).integers(0, 2, n + 64).astype(np.float32)
    for function, inputs in ((sigmoid_cross_entropy, x), (binary_cross_entropy, sigmoid(x))):
        for start in (0, 1, 5, 16, 31):
            span = slice(start, start + n)
            expected = function(inputs[span], labels[span], reduction="sum", return_grad=True)
            memory = np.full(n + 64, 7, dtype)
            loss, _ = function(
                inputs[span], labels[span], reduction="sum", grad_out=memory[32 - start :][:n]
            )
            assert loss == expected[0]
            np.testing.assert_array_equal(memory[32 - start :][:n], expected[1])
            assert (memory[: 32 - start] == 7).all()
            assert (memory[32 - start + n :] == 7).all()
            small = function(
                inputs[span][:999], labels[span][:999], reduction="sum", return_grad=True
            )
            np.testing.assert_array_equal(small[1], expected[1][:999])
    memory = np.full(n + 64, 7, dtype)
    sigmoid(x[:n], out=memory[3 : n + 3])
    np.testing.assert_array_equal(memory[3 : n + 3], sigmoid(x[:n].copy()))
    assert (memory[:3] == 7).all()
    assert (memory[n + 3 :] == 7).all()
