"""Arrays that are empty, in every dimension, for every function."""

import itertools
import math

import numpy as np
import pytest

import fastce

SHAPES = [s for n in (1, 2, 3) for s in itertools.product((0, 1, 3), repeat=n) if 0 in s]
DTYPES = ["f2", "f4", "f8", ">f4"]
AXES = [(shape, axis) for shape in SHAPES for axis in range(-len(shape), len(shape))]


def without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    axis %= len(shape)
    return shape[:axis] + shape[axis + 1 :]


def loss_dtype(dtype: str) -> np.dtype:
    return np.dtype("f8" if dtype == "f8" else "f4")


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_cross_entropy(dtype) -> None:
    for shape, axis in AXES:
        x, rows = np.zeros(shape, dtype), without(shape, axis)
        out = np.zeros(shape, x.dtype.newbyteorder("="))
        for labels in (np.zeros(rows, int), np.zeros(shape, "f4")):
            given = {"axis": axis, "class_weight": np.ones(shape[axis]), "sample_weight": 2.0}
            if shape[axis] == 0:
                with pytest.raises(ValueError, match="no classes"):
                    fastce.softmax_cross_entropy(x, labels, **given)
                continue
            losses, grad = fastce.softmax_cross_entropy(
                x, labels, reduction="none", grad_out=out, **given
            )
            assert (losses.shape, losses.dtype) == (rows, loss_dtype(dtype))
            assert grad is out
            for normalizer in ("weight", "valid", "all", "nonzero", 2.5):
                for extra in ({}, {"return_grad": True, "return_hess": True}):
                    options = {**given, "normalizer": normalizer, **extra}
                    result = fastce.softmax_cross_entropy(x, labels, **options)
                    loss, *parts = result if isinstance(result, tuple) else (result,)
                    assert loss == 0 if normalizer == 2.5 else math.isnan(loss)
                    assert all((p.shape, p.dtype) == (shape, out.dtype) for p in parts)
            assert fastce.softmax_cross_entropy(x, labels, axis=axis, reduction="sum") == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sigmoid_cross_entropy", "binary_cross_entropy"])
def test_elementwise_losses(name, dtype) -> None:
    """Items that sum over no element have loss 0; where there is no item the mean is empty."""
    function = getattr(fastce, name)
    for shape, axis in (*((shape, None) for shape in SHAPES), *AXES):
        x, z = np.zeros(shape, dtype), np.zeros(shape, bool)
        items = shape if axis is None else without(shape, axis)
        for weight in (None, 2.0, np.ones(items)):
            given = {"axis": axis, "sample_weight": weight}
            loss = function(x, z, **given)
            assert math.isnan(loss) if 0 in items else loss == 0
            assert function(x, z, reduction="sum", **given) == 0
            losses, grad = function(x, z, reduction="none", return_grad=True, **given)
            assert (losses.shape, losses.dtype) == (items, loss_dtype(dtype))
            assert not losses.any()
            assert (grad.shape, grad.dtype) == (shape, x.dtype.newbyteorder("="))


@pytest.mark.parametrize("dtype", DTYPES)
def test_activations(dtype) -> None:
    for shape, axis in AXES:
        x = np.zeros(shape, dtype)
        for function in (fastce.softmax, fastce.log_softmax, fastce.logsumexp):
            if shape[axis] == 0:
                with pytest.raises(ValueError, match="no classes"):
                    function(x, axis=axis)
                continue
            result = function(x, axis=axis)
            of_rows = function is fastce.logsumexp
            assert result.shape == (without(shape, axis) if of_rows else shape)
            assert function(x, axis=axis, out=result) is result
        assert fastce.sigmoid(x).shape == shape


def test_class_counts() -> None:
    for shape in SHAPES:
        for dtype in ("i1", "u8", ">i4"):
            counts = fastce.class_counts(np.zeros(shape, dtype), 3)
            np.testing.assert_array_equal(counts, [0, 0, 0])
    with pytest.raises(ValueError, match="accepted is \\(C,\\) with C >= 1"):
        fastce.class_weights([])


def test_a_weight_that_is_refused_is_refused_without_rows_too() -> None:
    nothing = np.empty((0, 3), np.float32)
    with pytest.raises(ValueError, match="sample_weight is -1"):
        fastce.sigmoid_cross_entropy(nothing, nothing, sample_weight=-1.0)
