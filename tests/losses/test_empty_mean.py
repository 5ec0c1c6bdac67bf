"""A mean over nothing is NaN; its gradient is 0, as is that of every row that weighs nothing."""

import numpy as np
import pytest

import fastce

X = np.array([[0.2, 0.3], [0.4, np.nan]])
Z = np.array([[0, 1], [1, 0]])
NONE = np.zeros(2)


@pytest.mark.parametrize("normalizer", ["weight", "nonzero"])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_items_that_weigh_nothing(axis, normalizer, isa) -> None:
    for function in (fastce.sigmoid_cross_entropy, fastce.binary_cross_entropy):
        loss, grad = function(
            X, Z, sample_weight=NONE, axis=axis, normalizer=normalizer, return_grad=True
        )
        assert np.isnan(loss)
        np.testing.assert_array_equal(grad, np.zeros_like(X))


@pytest.mark.parametrize("normalizer", ["weight", "nonzero"])
def test_the_gradient_of_an_empty_mean_is_that_of_the_sum(normalizer, isa) -> None:
    options = {  # the label's class weighs nothing, and smoothing gives the other two targets
        "class_weight": np.array([0.0, 0.3, 0.9]),
        "sample_weight": np.array([0.4357]),
        "label_smoothing": 0.1,
        "return_grad": True,
    }
    x, y = np.array([[0.3, -0.2, 1.5]]), [0]
    loss, grad = fastce.softmax_cross_entropy(x, y, normalizer=normalizer, **options)
    _, right = fastce.softmax_cross_entropy(x, y, reduction="none", **options)
    assert np.isnan(loss)
    p = np.exp(x) / np.exp(x).sum()
    by_hand = 0.4357 * (0.1 / 3) * (p * 1.2 - options["class_weight"])
    np.testing.assert_allclose(grad, by_hand, rtol=1e-13)
    np.testing.assert_array_equal(grad, right)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", ["sample_weight", "class_weight"])
def test_rows_that_weigh_nothing(weights, label_smoothing, isa) -> None:
    for x in (X[:1], np.zeros((1, 200))):
        loss, grad = fastce.softmax_cross_entropy(
            x,
            [0],
            label_smoothing=label_smoothing,
            return_grad=True,
            **{weights: np.zeros(1 if weights == "sample_weight" else x.shape[1])},
        )
        assert np.isnan(loss)
        np.testing.assert_array_equal(grad, np.zeros_like(x))
