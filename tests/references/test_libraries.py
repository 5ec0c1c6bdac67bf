"""The same losses of other libraries, by their own code: those that are installed must agree.

scikit-learn and SciPy come with the extra `test`, PyTorch and optax with `bench`.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
from sklearn.metrics import log_loss

import fastce

RNG = np.random.default_rng(11)
SHAPE = (6, 5, 4)
X = RNG.normal(0, 3, SHAPE)
Y = RNG.integers(0, 5, (6, 4))
Y[::2, 1] = -100
Q = RNG.random(SHAPE)
P = scipy.special.softmax(X, axis=1)
W = RNG.random(5) + 0.1
ITEMS = RNG.random(SHAPE) * (RNG.random(SHAPE) < 0.7)
REDUCTIONS = ["none", "sum", "mean"]


def agree(got, wanted, dtype=np.float64) -> None:
    """Within what the other library's rounding may be off by."""
    tolerance = 1e-12 if dtype == np.float64 else 2e-5
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance / 10)


class TestPyTorch:
    """Losses, and gradients by automatic differentiation."""

    def compare(self, loss_of, function, inputs, targets, **options) -> None:
        torch = pytest.importorskip("torch")
        for dtype in (np.float64, np.float32):
            x = torch.tensor(inputs.astype(dtype), requires_grad=True)
            wanted = loss_of(torch, x)
            got, grad = function(x.detach().numpy(), targets, return_grad=True, **options)
            agree(got, wanted.detach().numpy(), dtype)
            wanted.sum().backward()
            agree(grad, x.grad.numpy(), dtype)

    @pytest.mark.parametrize("reduction", REDUCTIONS)
    @pytest.mark.parametrize("smoothing", [0.0, 0.3])
    @pytest.mark.parametrize("weight", [None, W])
    def test_softmax(self, reduction, smoothing, weight) -> None:
        def loss(torch, x, targets):
            return torch.nn.functional.cross_entropy(
                x, targets, weight=None if weight is None else torch.tensor(weight, dtype=x.dtype),
                label_smoothing=smoothing, reduction=reduction,
            )  # fmt: skip

        options = {"class_weight": weight, "label_smoothing": smoothing, "reduction": reduction}
        self.compare(
            lambda torch, x: loss(torch, x, torch.tensor(Y)),
            fastce.softmax_cross_entropy, X, Y, axis=1, **options,
        )  # fmt: skip
        self.compare(
            lambda torch, x: loss(torch, x, torch.tensor(Q, dtype=x.dtype)),
            fastce.softmax_cross_entropy, X, Q, axis=1, **options,
        )  # fmt: skip

    @pytest.mark.parametrize("reduction", REDUCTIONS)
    @pytest.mark.parametrize("pos_weight", [None, W[:4]])
    def test_sigmoid(self, reduction, pos_weight) -> None:
        def loss(torch, x):
            return torch.nn.functional.binary_cross_entropy_with_logits(
                x, torch.tensor(Q, dtype=x.dtype), torch.tensor(ITEMS, dtype=x.dtype),
                pos_weight=None if pos_weight is None else torch.tensor(pos_weight, dtype=x.dtype),
                reduction=reduction,
            )  # fmt: skip

        self.compare(
            loss, fastce.sigmoid_cross_entropy, X, Q, sample_weight=ITEMS, pos_weight=pos_weight,
            normalizer="all", reduction=reduction,
        )  # fmt: skip

    @pytest.mark.parametrize("reduction", REDUCTIONS)
    def test_binary(self, reduction) -> None:
        def loss(torch, p):
            return torch.nn.functional.binary_cross_entropy(
                p, torch.tensor(Q, dtype=p.dtype), reduction=reduction
            )

        self.compare(loss, fastce.binary_cross_entropy, P, Q, reduction=reduction)


def test_optax() -> None:
    optax = pytest.importorskip("optax")
    x, q = np.moveaxis(X, 1, -1).astype(np.float32), np.moveaxis(Q, 1, -1).astype(np.float32)
    y = np.abs(Y) % 5

    def losses(function, *arguments, **options):
        return function(*arguments, reduction="none", **options)

    def wanted(function, *arguments):
        return np.asarray(getattr(optax, function)(*arguments))

    softmax, sigmoid = fastce.softmax_cross_entropy, fastce.sigmoid_cross_entropy
    found = losses(softmax, x, y)
    agree(found, wanted("softmax_cross_entropy_with_integer_labels", x, y), np.float32)
    agree(losses(softmax, x, q), wanted("softmax_cross_entropy", x, q), np.float32)
    smooth = wanted("smooth_labels", q, 0.1)
    found = losses(softmax, x, q, label_smoothing=0.1)
    agree(found, wanted("softmax_cross_entropy", x, smooth), np.float32)
    agree(losses(sigmoid, x, q), wanted("sigmoid_binary_cross_entropy", x, q), np.float32)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_scikit_learn(dtype) -> None:
    x, y = np.moveaxis(X, 1, -1).reshape(-1, 5).astype(dtype), np.abs(Y.ravel()) % 5
    p, weight = scipy.special.softmax(x, axis=-1), RNG.random(len(y))
    for w in (None, weight):
        wanted = log_loss(y, p, sample_weight=w, labels=range(5))
        agree(fastce.softmax_cross_entropy(x, y, sample_weight=w), wanted, dtype)
        wanted = log_loss(y > 2, p[:, 1], sample_weight=w)
        agree(fastce.binary_cross_entropy(p[:, 1], y > 2, sample_weight=w), wanted, dtype)
    wanted = log_loss(y, p, sample_weight=W[y], labels=range(5))
    agree(fastce.softmax_cross_entropy(x, y, class_weight=W), wanted, dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_scipy(dtype) -> None:
    x = X.astype(dtype)
    agree(fastce.sigmoid(x), scipy.special.expit(x), dtype)
    for axis in range(3):
        for name in ("logsumexp", "softmax", "log_softmax"):
            wanted = getattr(scipy.special, name)(x, axis=axis)
            agree(getattr(fastce, name)(x, axis=axis), wanted, dtype)
