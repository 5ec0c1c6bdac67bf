"""One class: its loss is exactly 0, and so is what its target adds to the gradient."""

from itertools import product

import cases
import ml_dtypes
import numpy as np
import pytest
from ulp import BUDGETS

import fastce

DTYPES = (*cases.DTYPES, np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
WEIGHTS = {
    "none": {},
    "smoothing": {"label_smoothing": 0.2},
    "all smoothing": {"label_smoothing": 1.0},
    "class_weight": {"class_weight": [0.3]},
    "both": {"class_weight": [0.7], "label_smoothing": 0.1},
}


def problem(rows, dtype, axis):
    """Return logits of one class, soft and hard labels, and sample weights."""
    rng = cases.seeded(rows)
    x = np.concatenate([rng.normal(size=rows) * s for s in (1, 30, 1e3)] + [[0, 0.3, 1, -0.0]])
    q = rng.random(x.shape)
    q[::5] = 0
    shape = (len(x), 1) if axis else (1, len(x))
    s = 1e-3 + rng.random(len(x))
    return x.astype(dtype).reshape(shape), q.reshape(shape), np.zeros(len(x), int), s


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("name", WEIGHTS)
def test_the_loss_is_exactly_0(name, axis, dtype, isa) -> None:
    for rows in (1, 7, 300):
        x, q, y, s = problem(rows, dtype, axis)
        soft = q.astype(np.float32 if dtype.itemsize < 8 else dtype)
        for labels, weight in product((y, soft, q), (None, s)):
            options = WEIGHTS[name] | {"axis": axis, "sample_weight": weight}
            loss, grad, hess = fastce.softmax_cross_entropy(
                x, labels, reduction="none", return_grad=True, return_hess=True, **options
            )
            alone = fastce.softmax_cross_entropy(x, labels, reduction="none", **options)
            for values in (loss, alone, grad, hess):
                zeros = np.zeros(values.shape, values.dtype)
                np.testing.assert_array_equal(values, zeros, err_msg=f"{name}, {labels.dtype}")
                assert not np.signbit(values[values != 0]).any()
            for reduction in ("sum", "mean"):
                assert fastce.softmax_cross_entropy(x, labels, reduction=reduction, **options) == 0


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("axis", [0, -1])
def test_beside_a_z_loss(axis, dtype, isa) -> None:
    """What is left is z_loss * x**2, and its slopes 2 * z_loss * x and 2 * z_loss."""
    z = 1e-3
    x, q, y, _ = problem(50, dtype, axis)
    exact = x.astype(np.longdouble).ravel()
    error = BUDGETS[dtype].absolute * np.maximum(1, np.abs(exact))  # what lse may be wrong by
    eps = 4 * np.finfo(dtype).eps
    for labels, options in (
        (y, {}),
        (y, {"label_smoothing": 0.2}),
        (q.astype(dtype), {}),
        (q.astype(dtype), {"class_weight": [0.7], "label_smoothing": 0.1}),
    ):
        loss, grad, hess = fastce.softmax_cross_entropy(
            x, labels, z_loss=z, axis=axis, reduction="none", return_grad=True, return_hess=True,
            **options,
        )  # fmt: skip
        slope = np.abs(2 * z * exact)
        assert (np.abs(loss - z * exact**2) <= error * slope + eps * z * exact**2).all()
        assert (np.abs(grad.ravel() - 2 * z * exact) <= 2 * z * error + eps * slope).all()
        assert (np.abs(hess - 2 * z) <= eps * 2 * z).all()
        total = fastce.softmax_cross_entropy(
            x, labels, z_loss=z, axis=axis, reduction="sum", **options
        )
        right = float((z * exact**2).sum())
        assert abs(total - right) <= (1e-7 if dtype == np.float32 else 1e-15) * right
