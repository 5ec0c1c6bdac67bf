"""The diagonal of the Hessian against finite differences of the gradient in float64."""

import numpy as np
import pytest

import fastce

STEP = 1e-3


def differences(gradient, x):
    """Fourth-order central differences of each entry of a gradient by its own logit."""
    result = np.empty_like(x)
    for at in np.ndindex(x.shape):
        values = []
        for k in (-2, -1, 1, 2):
            moved = x.copy()
            moved[at] += k * STEP
            values.append(gradient(moved)[at])
        result[at] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * STEP)
    return result


@pytest.mark.parametrize(
    ("shape", "axis"), [((5, 3), 1), ((4, 40), 1), ((3, 130), 1), ((2, 4, 9), 1)]
)
@pytest.mark.parametrize(
    "options", [{}, {"z_loss": 0.1, "label_smoothing": 0.2}, {"weighted": True}]
)
def test_softmax_hessian(shape, axis, options, isa) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape) * 2
    rows = x.shape[:axis] + x.shape[axis + 1 :]
    y = rng.integers(0, shape[axis], rows)
    y.flat[0] = -100
    options = dict(options)
    if options.pop("weighted", False):
        options |= {"class_weight": rng.random(shape[axis]), "sample_weight": rng.random(rows)}

    def gradient(x):
        return fastce.softmax_cross_entropy(x, y, axis=axis, return_grad=True, **options)[1]

    loss, grad, hess = fastce.softmax_cross_entropy(
        x, y, axis=axis, return_grad=True, return_hess=True, **options
    )
    assert loss == fastce.softmax_cross_entropy(x, y, axis=axis, **options)
    np.testing.assert_array_equal(grad, gradient(x))
    np.testing.assert_allclose(hess, differences(gradient, x), atol=2e-11)
    alone = fastce.softmax_cross_entropy(x, y, axis=axis, return_hess=True, **options)
    assert len(alone) == 2
    np.testing.assert_array_equal(alone[1], hess)


def test_softmax_hessian_of_probabilities_and_layouts(isa) -> None:
    rng = np.random.default_rng(2)
    x, q = rng.normal(size=(6, 20)), rng.random((6, 20))

    def gradient(x):
        return fastce.softmax_cross_entropy(x, q, return_grad=True, reduction="sum")[1]

    true = differences(gradient, x)
    for logits in (x, np.asfortranarray(x), x[::-1][::-1], x.astype(">f8")):
        hess = fastce.softmax_cross_entropy(logits, q, return_hess=True, reduction="sum")[1]
        np.testing.assert_allclose(hess, true, atol=1e-9)
    in_place = x.copy()
    fastce.softmax_cross_entropy(in_place, q, grad_out=in_place, return_hess=True, reduction="sum")
    np.testing.assert_array_equal(in_place, gradient(x))


@pytest.mark.parametrize("axis", [None, -1, 0])
def test_sigmoid_hessian(axis, isa) -> None:
    rng = np.random.default_rng(3)
    x, z = rng.normal(size=(7, 30)) * 3, rng.random((7, 30))
    options = {"pos_weight": rng.random(30) + 0.5, "label_smoothing": 0.1, "axis": axis}

    def gradient(x):
        return fastce.sigmoid_cross_entropy(x, z, return_grad=True, **options)[1]

    for logits in (x, np.asfortranarray(x)):
        _, grad, hess = fastce.sigmoid_cross_entropy(
            logits, z, return_grad=True, return_hess=True, **options
        )
        np.testing.assert_allclose(grad, gradient(x), rtol=1e-15)
        np.testing.assert_allclose(hess, differences(gradient, x), atol=1e-11)
    half = fastce.sigmoid_cross_entropy([-800.0, 0.0, 800.0], [1, 1, 0], return_hess=True)[1]
    np.testing.assert_allclose(half * 3, [0, 0.25, 0], atol=1e-300)
