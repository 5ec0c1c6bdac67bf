"""Nothing is read or written beyond an array: memory before and after it may not be touched."""

import ctypes
import mmap
import sys

import numpy as np
import pytest

import fastce

PAGE = mmap.PAGESIZE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")


class Guarded:
    """Memory between two pages that may not be touched."""

    def __init__(self, n_bytes: int) -> None:
        inside = (n_bytes + PAGE - 1) // PAGE * PAGE
        self.memory = mmap.mmap(-1, inside + 2 * PAGE)
        self.bytes = np.frombuffer(self.memory, np.uint8)
        self.inside, self.n_bytes = inside, n_bytes
        libc = ctypes.CDLL(None, use_errno=True)
        for at in (0, PAGE + inside):
            address = ctypes.c_void_p(self.bytes.ctypes.data + at)
            assert libc.mprotect(address, ctypes.c_size_t(PAGE), 0) == 0

    def array(self, like: np.ndarray, at_end: bool) -> np.ndarray:
        """Return a copy that ends right before a guard, or begins right after one."""
        begin = PAGE + (self.inside - like.nbytes if at_end else 0)
        copy = self.bytes[begin : begin + like.nbytes].view(like.dtype).reshape(like.shape)
        copy[...] = like
        return copy


SHAPES = [(1, 1), (1, 2), (3, 3), (17, 5), (33, 7), (5, 31), (16, 33), (3, 127), (2, 128), (3, 129)]
SHAPES += [(1, 255), (2, 257), (3, 1000), (1, 4097), (2, 5, 13), (1, 9, 70), (2, 300, 3)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("at_end", [True, False])
def test_every_function_between_guards(dtype, at_end, isa) -> None:
    rng = np.random.default_rng(4)
    for shape in SHAPES:
        axis = 1
        x = rng.normal(size=shape).astype(dtype)
        y = rng.integers(0, shape[1], shape[:1] + shape[2:]).astype(np.int16)
        q = rng.random(shape).astype(dtype)
        arrays = [Guarded(a.nbytes).array(a, at_end) for a in (x, y, q, x)]
        xg, yg, qg, out = arrays
        for options in ({}, {"label_smoothing": 0.1, "class_weight": rng.random(shape[1])}):
            true = fastce.softmax_cross_entropy(x, y, axis=axis, return_grad=True, **options)
            loss, grad = fastce.softmax_cross_entropy(xg, yg, axis=axis, grad_out=out, **options)
            assert loss == true[0]
            np.testing.assert_array_equal(grad, true[1])
            true = fastce.softmax_cross_entropy(x, q, axis=axis, return_grad=True, **options)
            loss, grad = fastce.softmax_cross_entropy(xg, qg, axis=axis, grad_out=out, **options)
            assert loss == true[0]
            np.testing.assert_array_equal(grad, true[1])
        for function in (fastce.softmax, fastce.log_softmax):
            np.testing.assert_array_equal(function(xg, axis=axis, out=out), function(x, axis=axis))
        np.testing.assert_array_equal(
            fastce.logsumexp(xg, axis=axis), fastce.logsumexp(x, axis=axis)
        )
        np.testing.assert_array_equal(fastce.sigmoid(xg, out=out), fastce.sigmoid(x))
        for over in (None, 0, axis):
            true = fastce.sigmoid_cross_entropy(x, q, axis=over, return_grad=True)
            loss, grad = fastce.sigmoid_cross_entropy(xg, qg, axis=over, grad_out=out)
            assert loss == true[0]
            np.testing.assert_array_equal(grad, true[1])
            true = fastce.binary_cross_entropy(q, q, axis=over, return_grad=True)
            loss, grad = fastce.binary_cross_entropy(qg, qg.copy(), axis=over, grad_out=out)
            assert loss == true[0]
            np.testing.assert_array_equal(grad, true[1])
