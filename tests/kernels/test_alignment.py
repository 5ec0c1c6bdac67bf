"""Arrays whose elements lie at any byte: the results are those of arrays that are aligned."""

import numpy as np
import pytest

import fastce

SHAPE = (6, 5)


def unaligned(like) -> np.ndarray:
    like = np.asarray(like)
    moved = np.empty(like.nbytes + 1, np.uint8)[1:].view(like.dtype).reshape(like.shape)
    moved[...] = like
    assert not moved.flags.aligned
    return moved


def assert_equal(result, true) -> None:
    """Assert that both are the same, the losses within the rounding of their sums."""
    for got, expected in zip(result, true, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-14 if np.ndim(got) == 0 else 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_unaligned_arrays_of_every_argument(dtype, isa) -> None:
    x = np.random.default_rng(1).random(SHAPE).astype(dtype)
    y, w, s = np.arange(6) % 5, np.ones(5), np.ones(6)
    for make in (np.copy, unaligned):
        for beside in (np.copy, unaligned, np.asarray):  # the last: in place
            for labels in (y, x):
                options = {"class_weight": w, "sample_weight": s}
                true = fastce.softmax_cross_entropy(x, labels, **options, return_grad=True)
                options = {name: unaligned(weights) for name, weights in options.items()}
                logits = make(x)
                options["grad_out"] = beside(logits)
                assert_equal(
                    fastce.softmax_cross_entropy(logits, unaligned(labels), **options), true
                )
            for function in (fastce.sigmoid_cross_entropy, fastce.binary_cross_entropy):
                true = function(x, x, sample_weight=s, axis=1, return_grad=True)
                inputs = make(x)
                out, weights = beside(inputs), unaligned(s)
                assert_equal(
                    function(inputs, unaligned(x), sample_weight=weights, axis=1, grad_out=out),
                    true,
                )
        for function in (fastce.softmax, fastce.log_softmax, fastce.sigmoid):
            np.testing.assert_array_equal(function(make(x), out=unaligned(x)), function(x))
        true = fastce.logsumexp(x)
        out = unaligned(np.zeros_like(true))
        np.testing.assert_array_equal(fastce.logsumexp(make(x), out=out), true)
