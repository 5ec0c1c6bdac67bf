"""What type checkers are told: read by mypy alone, never run."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import fastce

if TYPE_CHECKING:
    from typing_extensions import assert_type

Array = npt.NDArray[Any]


def softmax(x: Array, y: Array, grad: Array) -> None:
    f = fastce.softmax_cross_entropy
    assert_type(f(x, y), float)
    assert_type(f(x, y, reduction="sum", axis=np.int8(0), num_threads=np.int64(1)), float)
    assert_type(f(x, y, return_grad=True), tuple[float, Array])
    assert_type(f(x, y, grad_out=grad), tuple[float, Array])
    assert_type(f(x, y, return_grad=True, grad_out=grad), tuple[float, Array])
    assert_type(f(x, y, reduction="none", label_smoothing=Fraction(1, 10)), Array)
    assert_type(f(x, y, reduction="none", return_grad=True), tuple[Array, Array])
    assert_type(f(x, y, reduction="none", grad_out=grad), tuple[Array, Array])
    assert_type(f(x, y, return_hess=True), Any)


def binary(x: Array, y: Array, grad: Array) -> None:
    f = fastce.sigmoid_cross_entropy
    assert_type(f(x, y, axis=np.int64(1), normalizer=np.int64(2)), float)
    assert_type(f(x, y, grad_out=grad), tuple[float, Array])
    assert_type(f(x, y, axis=-1, reduction="none"), Array)
    assert_type(f(x, y, reduction="none", return_grad=True), tuple[Array, Array])
    assert_type(f(x, y, return_hess=True), Any)
    g = fastce.binary_cross_entropy
    assert_type(g(x, y, eps=np.float32(1e-7)), float)
    assert_type(g(x, y, return_grad=True), tuple[float, Array])
    assert_type(g(x, y, reduction="none", grad_out=grad), tuple[Array, Array])


def weights(y: Array) -> None:
    counts = fastce.class_counts(y, np.int64(3), ignore_index=np.int64(-1))
    assert_type(counts, npt.NDArray[np.int64])
    assert_type(fastce.class_weights(counts, zero_weight=np.float32(0)), npt.NDArray[np.float64])
