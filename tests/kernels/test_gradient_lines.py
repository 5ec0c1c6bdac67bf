"""Gradients that leave line by line while the next rows are read, long rows or tiles of short ones.

In half precision the oracle is the float32 gradient of the same logits, rounded by ml_dtypes.
"""

import ml_dtypes
import numpy as np
import pytest

import fastce
from fastce._dispatch import softmax

BFLOAT16, FLOAT16 = np.dtype(ml_dtypes.bfloat16), np.dtype(np.float16)
CLASSES = (33, 100, 319, 320, 512, 512 + 17, 1000, 1024 - 15)
PADDING = 7


@pytest.fixture(params=[False, True], ids=["in the caches", "past the caches"])
def streaming(request, monkeypatch) -> bool:
    if request.param:
        monkeypatch.setattr(softmax, "STREAMING_BYTES", 0)
    return request.param


def rows(n: int, classes: int, dtype: np.dtype) -> np.ndarray:
    return (np.random.default_rng(classes).standard_normal((n, classes)) * 4).astype(dtype)


def at_offset(shape: tuple[int, int], dtype: np.dtype, offset: int) -> np.ndarray:
    """Return an array of PADDING that begins so many elements after the beginning of a line."""
    memory = np.empty(shape[0] * shape[1] * dtype.itemsize + 64 + offset * dtype.itemsize, np.uint8)
    start = -memory.ctypes.data % 64 + offset * dtype.itemsize
    array = memory[start : start + shape[0] * shape[1] * dtype.itemsize].view(dtype).reshape(shape)
    array[...] = PADDING
    return array


@pytest.mark.parametrize("dtype", [BFLOAT16, FLOAT16], ids=str)
def test_half_precision_is_rounded_once(dtype, streaming, isa) -> None:
    for classes in CLASSES:
        x = rows(21, classes, dtype)
        y = np.arange(21) * 31 % classes
        _, true = fastce.softmax_cross_entropy(x.astype(np.float32), y, return_grad=True)
        _, grad = fastce.softmax_cross_entropy(x, y, return_grad=True)
        np.testing.assert_array_equal(grad.view(np.uint16), true.astype(dtype).view(np.uint16))


@pytest.mark.parametrize("bits", [0x7FFF, 0x7FC1, 0xFFFF])
def test_nan_of_every_payload_stays_nan(bits, streaming, isa) -> None:
    """Whatever a NaN holds, rounding makes no number of it, and no other row of numbers NaN."""
    for classes in CLASSES:
        x = rows(21, classes, BFLOAT16)
        x.view(np.uint16)[5, classes // 2] = bits
        y = np.arange(21) % classes
        _, grad = fastce.softmax_cross_entropy(x, y, return_grad=True)
        nan = np.isnan(grad.astype(np.float32))
        assert nan[5].all()
        assert not np.delete(nan, 5, axis=0).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, FLOAT16, BFLOAT16], ids=str)
def test_rows_that_begin_anywhere_in_a_line(dtype, streaming, isa) -> None:
    dtype = np.dtype(dtype)
    for classes in CLASSES:
        x = rows(21, classes, dtype)
        y = np.arange(21) * 17 % classes
        y[[3, 20]] = -100
        _, true = fastce.softmax_cross_entropy(x, y, return_grad=True)
        for offset in (0, 1, 5, 15):
            for beside in (0, 3):
                out = at_offset((21, classes + beside), dtype, offset)
                fastce.softmax_cross_entropy(x, y, grad_out=out[:, :classes])
                np.testing.assert_array_equal(out[:, :classes], true)
                assert (out[:, classes:] == PADDING).all()
