"""Weights that are finite, but whose sum, or the inverse of it, float64 does not have.

What is right is computed with fractions and mpmath: a mean does not change when all weights are
multiplied by the same number.
"""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

import fastce

X = np.array([[0.0, 1.0], [2.0, 0.0], [-1.0, 0.5]])
Y = np.array([0, 1, 1])
Q = np.array([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]])
TINY, SMALL, BIG, HUGE = 5e-324, 1e-310, 1e200, 1.7e308


def softmax(row):
    exps = [mpmath.exp(mpmath.mpf(v)) for v in row]
    return [e / sum(exps) for e in exps]


def exact(x, targets, class_weight, sample_weight, divisor=None):
    """Return the mean loss of softmax_cross_entropy and its gradient, in 60 digits.

    `targets` has a row of probabilities for each row, `divisor` is the sum of weights if None.
    """
    with mpmath.workdps(60):
        total, weights, rows = mpmath.mpf(0), Fraction(0), []
        for row, target, weight in zip(x, targets, sample_weight, strict=True):
            p = softmax(row)
            t = [mpmath.mpf(w) * mpmath.mpf(q) for w, q in zip(class_weight, target, strict=True)]
            weight = mpmath.mpf(weight)
            total += weight * sum(-a * mpmath.log(b) for a, b in zip(t, p, strict=True))
            rows.append([weight * (sum(t) * b - a) for a, b in zip(t, p, strict=True)])
            weights += Fraction(float(weight)) * sum(
                Fraction(float(w)) * Fraction(float(q))
                for w, q in zip(class_weight, target, strict=True)
            )
        if divisor is None:
            divisor = mpmath.mpf(weights.numerator) / weights.denominator
        loss = total / mpmath.mpf(divisor)
        return float(loss), [[float(g / mpmath.mpf(divisor)) for g in row] for row in rows]


def near(result, true, dtype=np.float64) -> None:
    """Assert that a loss and a gradient are right."""
    digits = 1e-14 if dtype == np.float64 else 1e-6
    for got, expected in zip(result, true, strict=True):
        np.testing.assert_allclose(got, expected, rtol=digits, atol=digits * 1e-2)


ROWS = (
    [HUGE] * 3,
    [1e308, 1e308, 1.0],
    [SMALL] * 3,
    [1e-310, 3e-310, 2e-310],
    [TINY] * 3,
    [0, HUGE, HUGE],
)
CLASSES = ([HUGE, HUGE], [1e-310, 3e-310], [1e308, 1.0], [1.0, 1e-308], [BIG, BIG])


def calls(x, y, **options):
    """Yield a result of every way to ask for a mean and its gradient."""
    out = np.zeros_like(x)
    yield fastce.softmax_cross_entropy(x, y, return_grad=True, **options)
    yield fastce.softmax_cross_entropy(x, y, grad_out=out, **options)
    yield fastce.softmax_cross_entropy(
        x.astype(x.dtype.newbyteorder()), y, return_grad=True, **options
    )
    loss, grad = fastce.softmax_cross_entropy(x.T, y.T, axis=0, return_grad=True, **options)
    yield loss, grad.T
    yield fastce.softmax_cross_entropy(x, y, **options), grad.T


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weights", ROWS, ids=str)
def test_sample_weights(isa, weights, dtype) -> None:
    x = X.astype(dtype)
    true = exact(X, np.eye(2)[Y], [1, 1], weights)
    for result in calls(x, Y, sample_weight=weights):
        near(result, true, dtype)
    true = exact(X, Q, [1, 1], weights)
    for result in calls(x, Q, sample_weight=weights):
        near(result, true, dtype)


@pytest.mark.parametrize("weights", CLASSES, ids=str)
def test_class_weights(isa, weights) -> None:
    for x, y in ((X, Y), (X[1:], Y[1:]), (X[:1], Y[:1])):
        true = exact(x, np.eye(2)[y], weights, np.ones(len(y)))
        for result in calls(x, y, class_weight=weights):
            near(result, true)


def test_products_of_weights(isa) -> None:
    for by_class, by_row in (
        ([BIG, BIG], [BIG] * 3),
        ([1e-200, 3e-200], [1e-200, 2e-200, 1e-200]),
        ([HUGE, 1e300], [1e-300] * 3),
        ([1e-300, 2e-300], [HUGE, 1e308, 0]),
    ):
        true = exact(X, np.eye(2)[Y], by_class, by_row)
        for result in calls(X, Y, class_weight=by_class, sample_weight=by_row):
            near(result, true)


@pytest.mark.parametrize("normalizer", ["valid", "all", "nonzero", 3.0])
@pytest.mark.parametrize("weights", [[1e308] * 3, [1e308, 0.5, 1e300]], ids=str)
def test_sums_of_losses_that_overflow_where_their_mean_does_not(isa, weights, normalizer) -> None:
    true = exact(X / 8, np.eye(2)[Y], [1, 1], weights, 3)
    assert math.isfinite(true[0])
    result = fastce.softmax_cross_entropy(
        X / 8, Y, sample_weight=weights, normalizer=normalizer, return_grad=True
    )
    near(result, true)


def test_class_weights_of_probabilities(isa) -> None:
    x = X / 8
    for by_class in ([1e308, 1e308], [1e308, 1e300]):
        true = exact(x, Q, by_class, np.ones(3), 3)
        for result in calls(x, Q, class_weight=by_class):
            near(result, true)


def test_a_number_without_an_inverse(isa) -> None:
    weights = [1e-310, 2e-310, 3e-310]
    true = exact(X, np.eye(2)[Y], [1, 1], weights, 1e-310)
    for result in calls(X, Y, sample_weight=weights, normalizer=1e-310):
        near(result, true)


@pytest.mark.parametrize("weights", ROWS, ids=str)
def test_binary_losses(isa, weights) -> None:
    x, z = X[:, 1], np.array([1.0, 0.0, 0.25])
    with mpmath.workdps(60):
        p = [1 / (1 + mpmath.exp(-mpmath.mpf(v))) for v in x]
        w = [mpmath.mpf(v) for v in weights]
        total = sum(w)
        each = [
            -(b * mpmath.log(a) + (1 - b) * mpmath.log(1 - a)) for a, b in zip(p, z, strict=True)
        ]
        loss = float(sum(a * b for a, b in zip(w, each, strict=True)) / total)
        grad = [float(a * (b - c) / total) for a, b, c in zip(w, p, z, strict=True)]
    for labels in (z, z.astype(">f8")):
        result = fastce.sigmoid_cross_entropy(x, labels, sample_weight=weights, return_grad=True)
        near(result, (loss, grad))
        near((fastce.sigmoid_cross_entropy(x, labels, sample_weight=weights),), (loss,))
        probs = np.array([float(v) for v in p])
        result = fastce.binary_cross_entropy(probs, labels, sample_weight=weights)
        np.testing.assert_allclose(result, loss, rtol=1e-14)


def test_the_examples_that_were_wrong() -> None:
    zeros = np.zeros((2, 2))
    huge = [1e308, 1e308]
    assert fastce.softmax_cross_entropy(zeros, [0, 1], sample_weight=huge) == math.log(2)
    assert fastce.sigmoid_cross_entropy(zeros[0], [0, 1], sample_weight=huge) == math.log(2)
    half = [0.5, 0.5]
    assert fastce.binary_cross_entropy(half, [0, 1], sample_weight=huge) == math.log(2)
    _, grad = fastce.softmax_cross_entropy(
        [[0.0, 1], [2, 0]], [0, 1], class_weight=[1e-310, 3e-310], return_grad=True
    )
    np.testing.assert_allclose(grad, [[-0.1828, 0.1828], [0.6606, -0.6606]], atol=5e-5)


def test_weights_that_are_all_0_have_no_mean() -> None:
    for options in ({"sample_weight": [0, 0, 0]}, {"class_weight": [0, 0]}):
        assert math.isnan(fastce.softmax_cross_entropy(X, Y, **options))
    both = {"sample_weight": [0, 0, 0], "class_weight": [0, 1]}
    loss, grad = fastce.softmax_cross_entropy(X, Y, return_grad=True, **both)
    assert math.isnan(loss)
    assert not grad.any()
    assert math.isnan(fastce.softmax_cross_entropy(X, np.full(3, -100), **both))


def test_sums_are_what_they_are() -> None:
    """A sum takes the weights as they are: inf where float64 has no such number."""
    zeros = np.zeros((2, 2))
    huge = {"sample_weight": [HUGE, HUGE], "reduction": "sum"}
    assert fastce.softmax_cross_entropy(zeros, [0, 1], **huge) == math.inf
    small = {"sample_weight": [1e-310, 1e-310], "reduction": "sum"}
    assert fastce.softmax_cross_entropy(zeros, [0, 1], **small) == pytest.approx(
        2e-310 * math.log(2)
    )
