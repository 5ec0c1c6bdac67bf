"""Labels of large arrays are kept by the check that precedes a gradient in the caller's memory.

What was kept must be what was given: for every dtype, layout and option the results are those of
a call without `grad_out`, which checks as it computes.
"""

import cases
import numpy as np
import pytest

from fastce import binary_cross_entropy, sigmoid_cross_entropy

SIZE = (1 << 18) + 3 * 1024 + 77  # just enough to be kept, and no multiple of anything
DTYPES = ("?", "i1", "u1", "i4", "i8", "u8", "f2", "f4", "f8")


def compare(function, x, labels, **options) -> None:
    """Assert that a call with `grad_out` returns what one without does."""
    loss, grad = function(x, labels, return_grad=True, **options)
    out = np.full_like(x, 7)
    kept = function(x, labels, grad_out=out, **options)
    np.testing.assert_array_equal(kept[0], loss)
    np.testing.assert_array_equal(out, grad)


@pytest.mark.parametrize("dtype", DTYPES)
def test_hard_labels_of_every_dtype(dtype, isa) -> None:
    x = cases.random_logits((SIZE,), np.dtype(np.float32))
    labels = cases.seeded(1).integers(0, 2, SIZE).astype(dtype)
    compare(sigmoid_cross_entropy, x, labels)
    compare(sigmoid_cross_entropy, x, labels, label_smoothing=0.1)
    compare(binary_cross_entropy, (1 / (1 + np.exp(-x))).astype(np.float32), labels)


@pytest.mark.parametrize("dtype", [np.float16, *cases.DTYPES], ids=str)
def test_chunks_that_begin_anywhere(dtype, isa) -> None:
    shape = (3, 97, 907)  # chunks of the kernels begin at every bit of a byte
    x = cases.random_logits(shape, np.dtype(np.float32)).astype(dtype)
    labels = cases.seeded(2).integers(0, 2, shape).astype(np.float32)
    weights = cases.seeded(3).random(shape[-1])
    for axis in (None, 0, 1, 2):
        compare(sigmoid_cross_entropy, x, labels, axis=axis, reduction="none")
        compare(sigmoid_cross_entropy, x, labels, axis=axis, pos_weight=weights)


def test_soft_labels_between_hard_ones(isa) -> None:
    x = cases.random_logits((SIZE,), np.dtype(np.float32))
    for dtype in (np.float32, np.float64):
        labels = cases.seeded(4).integers(0, 2, SIZE).astype(dtype)
        labels[[5000, 70_000, 70_001, 131_071, SIZE - 1]] = [0.5, 1 - 1e-12, 1e-12, 0.25, 0.75]
        compare(sigmoid_cross_entropy, x, labels)
        compare(sigmoid_cross_entropy, x.reshape(-1, 7), labels.reshape(-1, 7), axis=-1)


@pytest.mark.parametrize("where", [0, 1023, 1024, 131_072, SIZE - 1])
@pytest.mark.parametrize("value", [2, -1, np.nan])
def test_a_bad_label_is_refused_before_anything_is_written(value, where, isa) -> None:
    x = cases.random_logits((SIZE,), np.dtype(np.float32))
    labels = cases.seeded(5).integers(0, 2, SIZE).astype(np.float32)
    labels[where] = value
    out = np.full_like(x, 7)
    with pytest.raises(ValueError, match=rf"labels\[{where}\] is"):
        sigmoid_cross_entropy(x, labels, grad_out=out)
    assert (out == 7).all()


def test_the_same_bits_for_any_number_of_threads(isa) -> None:
    x = cases.random_logits((SIZE,), np.dtype(np.float32))
    labels = cases.seeded(6).integers(0, 2, SIZE)
    results = []
    for threads in (1, 2, 3):
        out = np.empty_like(x)
        loss, _ = sigmoid_cross_entropy(x, labels, grad_out=out, num_threads=threads)
        results.append((loss, out))
    for loss, out in results[1:]:
        assert loss == results[0][0]
        np.testing.assert_array_equal(out, results[0][1])
