"""Focal losses and divergences of other libraries, by their own code: those installed must agree.

PyTorch and optax come with the extra `bench`; Keras is compared where it is installed.
torchvision's function is its formula, written here with PyTorch's.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats

import fastce

RNG = np.random.default_rng(12)
X = RNG.normal(0, 3, (40, 6))
Z = RNG.normal(0, 3, (40, 6))
Y = RNG.integers(0, 6, 40)
HARD, SOFT = RNG.integers(0, 2, X.shape).astype(float), RNG.random(X.shape)


def torchvision_focal(torch, x, z, alpha, gamma):
    """Return what torchvision.ops.sigmoid_focal_loss computes, by its formula."""
    p = torch.sigmoid(x)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(x, z, reduction="none")
    loss = entropy * (1 - (p * z + (1 - p) * (1 - z))) ** gamma
    return loss if alpha is None else (alpha * z + (1 - alpha) * (1 - z)) * loss


@pytest.mark.parametrize("labels", [HARD, SOFT], ids=["hard", "soft"])
@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("gamma", [1.0, 2.0, 3.5])
def test_torchvision_and_optax(gamma, alpha, labels) -> None:
    options = {"alpha": alpha, "gamma": gamma, "reduction": "none"}
    loss, grad = fastce.sigmoid_focal_loss(X, labels, **options, return_grad=True)
    torch = pytest.importorskip("torch")
    x = torch.tensor(X, requires_grad=True)
    wanted = torchvision_focal(torch, x, torch.tensor(labels), alpha, gamma)
    np.testing.assert_allclose(loss, wanted.detach().numpy(), rtol=1e-9, atol=1e-12)
    wanted.sum().backward()
    np.testing.assert_allclose(grad, x.grad.numpy(), rtol=1e-9, atol=1e-12)
    optax = pytest.importorskip("optax")
    single = fastce.sigmoid_focal_loss(X.astype(np.float32), labels, **options)
    wanted = optax.sigmoid_focal_loss(X.astype(np.float32), labels, alpha=alpha, gamma=gamma)
    np.testing.assert_allclose(single, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_the_usual_focal_loss_of_pytorch(gamma) -> None:
    """The formula that projects copy; right where 1 - exp(-ce) keeps digits."""
    torch = pytest.importorskip("torch")
    x = torch.tensor(X, requires_grad=True)
    entropy = torch.nn.functional.cross_entropy(x, torch.tensor(Y), reduction="none")
    wanted = ((1 - torch.exp(-entropy)) ** gamma * entropy).mean()
    loss, grad = fastce.softmax_focal_loss(X, Y, gamma=gamma, return_grad=True)
    assert loss == pytest.approx(wanted.item(), rel=1e-12)
    wanted.backward()
    np.testing.assert_allclose(grad, x.grad.numpy(), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_divergences(temperature) -> None:
    q, p = (scipy.special.softmax(v / temperature, axis=-1) for v in (X, Z))
    options = {"temperature": temperature, "reduction": "none"}
    wanted = scipy.stats.entropy(p, q, axis=-1)
    np.testing.assert_allclose(fastce.kl_divergence(X, Z, **options), wanted, rtol=1e-11)
    middle = (p + q) / 2
    wanted = sum(scipy.stats.entropy(v, middle, axis=-1) for v in (p, q)) / 2
    np.testing.assert_allclose(fastce.js_divergence(X, Z, **options), wanted, rtol=1e-11)
    torch = pytest.importorskip("torch")
    function = torch.nn.functional
    x, z = torch.tensor(X, requires_grad=True), torch.tensor(Z)
    wanted = function.kl_div(
        function.log_softmax(x / temperature, -1),
        function.softmax(z / temperature, -1),
        reduction="batchmean",
    )
    loss, grad = fastce.kl_divergence(X, Z, temperature=temperature, return_grad=True)
    assert loss == pytest.approx(wanted.item(), rel=1e-12)
    wanted.backward()
    np.testing.assert_allclose(grad, x.grad.numpy(), rtol=1e-9, atol=1e-13)


def test_keras() -> None:
    """Away from where it clips, Keras' losses are these; its alpha weighs every class."""
    keras = pytest.importorskip("keras")
    one_hot = np.eye(6)[Y]
    focal = keras.losses.CategoricalFocalCrossentropy(alpha=0.25, gamma=2.0, from_logits=True)
    wanted = float(focal(one_hot, X))
    loss = 0.25 * fastce.softmax_focal_loss(X, Y, gamma=2.0)
    assert loss == pytest.approx(wanted, rel=1e-5)
    binary = keras.losses.BinaryFocalCrossentropy(
        apply_class_balancing=True, alpha=0.25, gamma=2.0, from_logits=True
    )
    loss = fastce.sigmoid_focal_loss(X, HARD, alpha=0.25, gamma=2.0)
    assert loss == pytest.approx(float(binary(HARD, X)), rel=1e-5)
    q, p = (scipy.special.softmax(v, axis=-1) for v in (X, Z))
    wanted = float(keras.losses.KLDivergence()(p, q))
    assert fastce.kl_divergence(X, Z) == pytest.approx(wanted, rel=1e-3)
