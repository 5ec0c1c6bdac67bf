"""One call of a public function, decided on by bytes, and everything that can be said about it.

``tools/check/fuzz`` looks for bytes that reach new code; test_fuzz.py replays those it has found. A
call is good, or its arguments hold one thing that must be refused. A good one returns what the
references in long double say, within twice the error budget (to hold it to the last half is for
tests/accuracy). Neither writes to anything but its outputs: inputs stay as they are, nothing beside
an output changes, and after an error no output has changed either. AddressSanitizer watches what is
read.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ml_dtypes
import numpy as np
import wide
import wide_elements
from fuzz_arrays import (
    BFLOAT16,
    FLOATS,
    INTEGERS,
    Array,
    Decisions,
    Placed,
    floats_of,
    shape_of,
    weights_of,
)
from ulp import assert_within

import fastce
from fastce import _kernels
from fastce._dispatch import elementwise, softmax

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
Dtype = np.dtype[Any]


def run(data: bytes, isa: str | None = None) -> None:
    """Make the call that the bytes decide on, with kernels that they or the caller choose."""
    d = Decisions(data)
    names = _kernels.available()
    name = d.choice(names)
    function = d.choice((softmax_loss, softmax_loss, binary_loss, activation))
    with kernels(isa or name, streaming=d.byte() % 2 == 1), warnings.catch_warnings():
        warnings.simplefilter("error")
        function(d)


def set_streaming(least: int) -> None:
    """Have outputs of more bytes written past the caches."""
    softmax.STREAMING_BYTES = elementwise.STREAMING_BYTES = least
    elementwise.SIGMOID_STREAMING_BYTES = least


@contextmanager
def kernels(isa: str, *, streaming: bool) -> Iterator[None]:
    """Use an instruction set; write even small outputs past the caches if asked to."""
    active, least = _kernels.active, softmax.STREAMING_BYTES
    _kernels.active = _kernels.load(isa)
    set_streaming(0 if streaming else least)
    try:
        yield
    finally:
        _kernels.active = active
        set_streaming(least)


def call(
    function: Callable[..., Any], good: bool, inputs: dict[str, Placed], **options: Any
) -> Any:
    """Return what a function returns, None where it refuses what it must."""
    arrays = {name: placed.array for name, placed in inputs.items()}
    first, *rest = arrays
    try:
        return function(arrays[first], **{name: arrays[name] for name in rest}, **options)
    except ValueError as error:
        if good or "labels" not in str(error):
            raise
        return None


def single(dtype: Dtype) -> Dtype:
    """Return the dtype in which logits of a dtype are computed."""
    return F64 if dtype == F64 else F32


def same(array: Array) -> Array:
    """Return numbers as they are, of a dtype that NumPy knows."""
    return array.astype(single(array.dtype)) if array.dtype in FLOATS else array


def assert_near(actual: Array, true: Array, allowed: Array, dtype: Dtype, what: str) -> None:
    """Assert that an output is within its budget, and within one rounding to half precision."""
    assert actual.dtype == dtype, what
    if dtype.itemsize == 2:
        info = ml_dtypes.finfo(dtype)
        with np.errstate(invalid="ignore"):
            exponent = np.frexp(np.fmax(np.abs(true), float(info.smallest_normal)))[1] - 1
            half_ulp = np.ldexp(np.longdouble(0.5), exponent - info.nmant)
        past = np.abs(true) >= np.longdouble(float(info.max)) + half_ulp - allowed
        actual = actual.astype(F32)
        true = np.where(past & np.isinf(actual), np.copysign(np.inf, true), true)
        allowed = np.where(np.isfinite(true), allowed + half_ulp * (1 + 2.0**-7), 0)
    assert_within(actual, true, 2 * allowed, single(dtype), what)


def assert_loss(loss: Any, true: wide.Expected, dtype: Dtype, reduction: str, what: str) -> None:
    """Assert that a loss is within its budget."""
    kind = single(dtype) if reduction == "none" else F64
    assert np.asarray(loss).dtype == kind
    assert_within(loss, true.loss, 2 * true.loss_tolerance, kind, what)


def labels_of(
    d: Decisions, rows: tuple[int, ...], classes: int, ignore_index: int
) -> tuple[Array, bool]:
    """Return integer labels and whether all of them are classes or ignored."""
    dtype = d.choice(INTEGERS)
    info = np.iinfo(dtype)
    y = d.random().integers(min(classes, info.max + 1), size=rows).astype(dtype)
    if d.byte() % 4 == 1 and info.min <= ignore_index <= info.max:
        y = np.where(d.random().random(rows) < 0.4, ignore_index, y).astype(dtype)
    bad = d.choice((-1, classes, info.max, info.min, classes + 1))
    if d.byte() % 8 == 7 and y.size and info.min <= bad <= info.max:
        y.flat[d.below(min(y.size, 65536))] = bad
    known = (y >= 0) & (y < classes) | (y == ignore_index)
    return y, bool(known.all())


def probabilities_of(d: Decisions, shape: tuple[int, ...], most: float) -> tuple[Array, bool]:
    """Return numbers in [0, most] of any dtype, and whether one of them is none after all."""
    q = most * d.random().random(shape)
    if d.byte() % 4 < 2:
        q = np.where(d.random().random(shape) < 0.6, np.round(q / most), q)
    bad = d.choice((-1e-3, np.nan, np.inf, -1.0))
    good = d.byte() % 8 != 7 or q.size == 0
    if not good:
        q.flat[d.below(min(q.size, 65536))] = bad
    return q.astype(d.choice(FLOATS)), good


def reduction_of(d: Decisions) -> dict[str, Any]:
    """Return a reduction and what a mean divides by."""
    return {
        "reduction": d.choice(("mean", "none", "sum")),
        "normalizer": d.choice(("weight", "valid", "all", "nonzero", 7.5)),
        "num_threads": d.choice((None, 1, 2, 3)),
    }


def with_gradient(
    d: Decisions, x: Array, name: str, function: Callable[..., Any], good: bool,
    inputs: dict[str, Array], options: dict[str, Any],
) -> tuple[Any, Array | None, Array | None] | None:  # fmt: skip
    """Return loss, gradient and Hessian; the last two as asked for, None where the call is bad."""
    way = d.choice(("alone", "return", "out", "in place"))
    hess = d.byte() % 4 == 3 and "eps" not in options
    placed = {name: Placed(d, x, swap=way != "in place")}
    placed |= {key: Placed(d, array) for key, array in inputs.items()}
    out = placed[name] if way == "in place" else None
    if way == "out":
        out = Placed(d, np.zeros(x.shape, x.dtype), swap=False)
    if way != "alone":
        options = options | {"return_grad": True}
        options |= {"return_hess": True} if hess else {}
    if out is not None:
        options = options | {"grad_out": out.array}
    result = call(function, good, placed, **options)
    if result is None:
        for key, each in placed.items():
            each.assert_untouched(key)
        if out is not None:
            out.assert_untouched("the gradient")
        return None
    loss, grad, curvature = (result, None, None) if way == "alone" else (*result, None)[:3]
    if out is not None:
        assert grad is out.array
        grad = out.taken("the gradient")
    for key, each in placed.items():
        each.assert_untouched(key)
    assert good, "nothing was refused"
    return loss, grad, curvature


def softmax_loss(d: Decisions) -> None:
    """softmax_cross_entropy with labels of either kind and any options."""
    dtype = d.choice(FLOATS)
    shape, axis = shape_of(d)
    rows, classes = shape[:axis] + shape[axis + 1 :], shape[axis]
    x = floats_of(d, shape, dtype)
    ignore_index = d.choice((-100, -100, 0, 3, -1))
    if d.byte() % 3 == 2:
        y, good = probabilities_of(d, shape, 1.0)
    else:
        y, good = labels_of(d, rows, classes, ignore_index)
    weights = {
        "class_weight": weights_of(d, (classes,)),
        "sample_weight": weights_of(d, d.choice((rows, rows, (), rows[-1:]))),
    }
    weights = {name: w for name, w in weights.items() if w is not None}
    if not np.isfinite(same(x)).all():
        # What a row is worth that has no softmax, and no target but zeros, is left open.
        if "class_weight" in weights:
            weights["class_weight"][weights["class_weight"] == 0] = 1
        if y.shape == x.shape and good:
            empty = same(y).sum(axis=axis, keepdims=True) == 0
            y = np.where(empty, np.ones((), y.dtype), y)
    options: dict[str, Any] = {
        "ignore_index": ignore_index,
        "label_smoothing": d.choice((0.0, 0.0, 0.1, 1.0)),
        "z_loss": d.choice((0.0, 0.0, 0.01)),
        "axis": axis,
        **reduction_of(d),
    }
    result = with_gradient(
        d, x, "logits", fastce.softmax_cross_entropy, good, {"labels": y, **weights}, options
    )
    if result is None:
        return
    loss, grad, hess = result
    threads = options.pop("num_threads")
    what = f"{dtype} {shape}, {options}, {threads} threads"
    with np.errstate(all="ignore"):
        true = wide.softmax_cross_entropy(same(x), same(y), **weights, **options)
        assert_loss(loss, true, dtype, options["reduction"], f"loss, {what}")
        if grad is not None:
            assert_near(grad, true.gradient, true.gradient_tolerance, dtype, f"gradient, {what}")
        if hess is not None:
            assert_near(hess, true.hessian, true.hessian_tolerance, dtype, f"Hessian, {what}")


def binary_loss(d: Decisions) -> None:
    """sigmoid_cross_entropy or binary_cross_entropy."""
    on_probabilities = d.byte() % 2 == 1
    dtype = d.choice(FLOATS)
    shape, axis = shape_of(d)
    over = d.choice((None, axis, 0))
    items = shape if over is None else shape[:over] + shape[over + 1 :]
    y, good = probabilities_of(d, shape, 1.0)
    if good and d.byte() % 4 == 3:
        y = (np.nan_to_num(y.astype(F32)) > 0.5).astype(d.choice((*INTEGERS, np.dtype(bool))))
    arrays = {"labels": y}
    sample_weight = weights_of(d, d.choice((items, items, ())))
    if sample_weight is not None:
        arrays["sample_weight"] = sample_weight
    options: dict[str, Any] = {"axis": over, **reduction_of(d)}
    if on_probabilities:
        x = d.random().random(shape)
        if d.byte() % 2:
            x = np.where(d.random().random(shape) < 0.3, d.choice((0.0, 1.0, 1e-40, np.nan)), x)
        x = x.astype(dtype)
        options["eps"] = d.choice((0.0, 0.0, 1e-7, 0.3))
        function, reference = fastce.binary_cross_entropy, wide_elements.binary_cross_entropy
    else:
        x = floats_of(d, shape, dtype, 1e30)  # times a weight it is still a number of float32
        if dtype != F64 and y.dtype == F64:
            # Labels become lanes of the logits' width: those of float64 are rounded.
            y = y.astype(F32)
            arrays["labels"] = y
        options["label_smoothing"] = d.choice((0.0, 0.0, 0.1, 1.0))
        if d.byte() % 2:
            ratio = weights_of(d, d.choice((shape[-1:], ())))
            arrays |= {} if ratio is None else {"pos_weight": ratio}
        function, reference = fastce.sigmoid_cross_entropy, wide_elements.sigmoid_cross_entropy
    name = "probs" if on_probabilities else "logits"
    result = with_gradient(d, x, name, function, good, arrays, options)
    if result is None:
        return
    loss, grad, hess = result
    threads = options.pop("num_threads")
    what = f"{function.__name__}, {dtype} {shape}, {options}, {threads} threads"
    arrays["labels"] = same(y)
    with np.errstate(all="ignore"):
        true = reference(same(x), **arrays, **options)
        assert_loss(loss, true, dtype, options["reduction"], f"loss, {what}")
        if grad is not None:
            assert_near(grad, true.gradient, true.gradient_tolerance, dtype, f"gradient, {what}")
        if hess is not None:
            assert_near(hess, true.hessian, true.hessian_tolerance, dtype, f"Hessian, {what}")


def activation(d: Decisions) -> None:
    """softmax, log_softmax, logsumexp or sigmoid."""
    name = d.choice(("softmax", "log_softmax", "logsumexp", "sigmoid"))
    dtype = d.choice(FLOATS)
    shape, axis = shape_of(d)
    x = floats_of(d, shape, dtype)
    options: dict[str, Any] = {} if name == "sigmoid" else {"axis": axis}
    with np.errstate(all="ignore"):
        true = getattr(wide_elements, name)(same(x), *options.values())
    kind = single(dtype) if name == "logsumexp" else dtype
    way = d.choice(("returned", "out", "in place"))
    logits = Placed(d, x, swap=way != "in place")
    out = None
    if way == "in place" and name != "logsumexp":
        out = logits
    elif way != "returned":
        out = Placed(d, np.zeros(np.shape(true), kind), swap=False)
    if out is not None:
        options["out"] = out.array
    options["num_threads"] = d.choice((None, 1, 2, 3))
    result = call(getattr(fastce, name), True, {"logits": logits}, **options)
    if out is not None:
        assert result is out.array
        result = out.taken("the output")
    logits.assert_untouched("logits")
    with np.errstate(all="ignore"):
        allowed = wide_elements.activation_tolerance(true, single(kind))
        if kind == BFLOAT16 or kind.itemsize == 2:
            allowed = allowed.astype(np.longdouble)
        assert_near(result, true, allowed, kind, f"{name}, {dtype} {shape}, {options}")
