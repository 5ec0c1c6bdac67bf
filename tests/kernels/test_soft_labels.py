"""Soft labels and weights have a loop for each combination: what none of them may change.

As in test_hard_labels.py: around the seams of chunks, and around the bounds of what is moderate,
all that is returned must agree with the true values.
"""

import cases
import numpy as np
import pytest
import wide_elements
from test_hard_labels import check
from ulp import BUDGETS

from fastce import binary_cross_entropy, sigmoid_cross_entropy, softmax_cross_entropy

F32, F64 = cases.DTYPES
SIZES = (1, 5, 8, 15, 33, 129, 1030)


def combinations(n: int):
    """Yield the options of both functions, by which the kernels choose their loop."""
    weights, ratio = cases.seeded(n, 1).random(n), cases.seeded(n, 2).random(n) * 3
    weights[n // 2] = 0
    for options in (
        {},
        {"label_smoothing": 0.1},
        {"pos_weight": ratio},
        {"sample_weight": weights},
    ):
        yield sigmoid_cross_entropy, options
    yield sigmoid_cross_entropy, {"pos_weight": 2.5, "sample_weight": weights}
    yield binary_cross_entropy, {}
    yield binary_cross_entropy, {"sample_weight": weights}


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_every_combination_and_length(dtype, each_isa) -> None:
    for n in SIZES:
        x = cases.random_logits((n,), dtype)
        p = np.clip(wide_elements.sigmoid(x), 1e-6, 1 - 1e-6).astype(dtype)
        soft, hard = cases.seeded(n).random(n), cases.seeded(n).integers(0, 2, n)
        for labels in (soft, soft.astype(np.float32), hard):
            for function, options in combinations(n):
                inputs = x if function is sigmoid_cross_entropy else p
                check(function, inputs, labels, each_isa, **options)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("n", [1, 9, 1030])
def test_one_unusual_element(n, dtype, each_isa) -> None:
    x = cases.random_logits((n,), dtype)
    p = np.clip(wide_elements.sigmoid(x), 1e-6, 1 - 1e-6).astype(dtype)
    labels = cases.seeded(n).random(n).astype(dtype)
    for function, options in combinations(n):
        sigmoid = function is sigmoid_cross_entropy
        values = (40.1, -90, 1e30, np.inf, np.nan) if sigmoid else (0, -0.0, 1, 1e-30, np.nan)
        for where, value in zip((0, n // 2, n - 1, n // 3, n - 1), values, strict=True):
            some, others = (x if sigmoid else p).copy(), labels.copy()
            some[where] = value
            check(function, some, labels, each_isa, **options)
            others[where] = (0, 1, -0.0, 1e-40, 1 - 2.0**-20)[values.index(value)]
            check(function, x if sigmoid else p, others, each_isa, **options)


@pytest.mark.parametrize("value", [-1e-6, 1.000001, -np.inf, np.inf, np.nan])
def test_labels_outside_are_found_in_every_loop(value, isa) -> None:
    n = 1500
    x, labels = np.full(n, 0.25, np.float32), np.full(n, 0.5, np.float32)
    labels[1400] = value
    for function, options in combinations(n):
        with pytest.raises(ValueError, match=r"labels\[1400\] is"):
            function(x, labels, return_grad=True, **options)


def test_small_losses_are_not_lost_in_a_product(each_isa) -> None:
    """Where logits and soft labels agree, what is summed without a logarithm each is tiny."""
    for size in (10, 20, 25, 30, 39):
        x = np.tile(np.float32([size, -size]), 600)
        for soft in (0.0, 1e-30, 1e-10, 1e-3):
            labels = np.where(x > 0, 1 - soft, soft)
            labels[7] = soft if x[7] < 0 else 1 - soft
            labels[0] = 1 - 1e-13
            true = wide_elements.sigmoid_cross_entropy(x, labels, reduction="sum").loss
            for _ in each_isa():
                loss = sigmoid_cross_entropy(x, labels, reduction="sum")
                allowed = max(BUDGETS[F32].reduced, (4 + size) * 2.0**-23) * true
                assert abs(loss - true) <= allowed, (size, soft)


def test_what_an_earlier_call_left_in_memory_does_not_count(isa) -> None:
    for n in (1, 5, 9, 17, 33, 1041):
        p = cases.seeded(n).random(n, np.float32) * 0.9 + np.float32(0.05)
        z = cases.seeded(n, 3).integers(1, 8, n) / 8  # in doubles, which a float would round
        wide = p.astype(F64)
        right = -(z * np.log(wide) + (1 - z) * np.log1p(-wide)).mean()
        for shape, axis in (((8, 3), 1), ((64, 3), 1), ((2, 64), 0), ((300, 7), 1), ((300, 2), 1)):
            x = np.full(shape, np.nan, np.float32)
            for targets in (np.full(shape, 0.5), np.zeros(x.size // shape[axis], int)):
                softmax_cross_entropy(x, targets, axis=axis, return_grad=True, num_threads=1)
                got = binary_cross_entropy(p, z, num_threads=1)
                assert abs(got - right) <= 1e-7 * right, (n, shape)
