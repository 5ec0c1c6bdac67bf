"""Any call with any arrays gives the right answer, or a documented error and no byte changed.

What is right is told by the long-double references and their tolerances; what must be refused, by
the strategies that made the call. A few cases run with the other tests, always the same;
`FASTCE_CASES=20000 python -m pytest -s tests/contract` runs that many, others each time.
"""

import os
import re
from collections import Counter
from typing import Any

import any_call
import ml_dtypes
import numpy as np
import pytest
import wide
import wide_elements
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import BFLOAT16, Drawn
from ulp import assert_within, rounding

import fastce
from fastce import _kernels

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
Wide = np.longdouble
ASKED = int(os.environ.get("FASTCE_CASES", "0"))
PARTS = {  # of the cases, in hundredths
    "softmax_cross_entropy": 36,
    "sigmoid_cross_entropy": 16,
    "binary_cross_entropy": 12,
    "logsumexp": 6,
    "log_softmax": 6,
    "softmax": 6,
    "sigmoid": 4,
    "class_counts": 4,
    "class_weights": 4,
    "compat.tensorflow": 6,
}
RUN: Counter[str] = Counter()


def cases(name: str) -> Any:
    """Run as many cases of a function as its part of them all is."""
    number = -(-max(ASKED, 300) * PARTS[name] // 100)
    return settings(
        max_examples=number,
        derandomize=not ASKED,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


ISAS = st.sampled_from(_kernels.available()[::-1])


def call(name: str, isa: str, drawn: Drawn) -> Any:
    """Call a function with one instruction set; return the result, or None if it had to refuse."""
    before, _kernels.active = _kernels.active, _kernels.load(isa)
    try:
        return checked_call(getattr(fastce, name), drawn, isa)
    finally:
        _kernels.active = before


def checked_call(function: Any, drawn: Drawn, isa: str = "", aliases: Any = ()) -> Any:
    """Call a function; assert that it refuses, by name, what it must refuse and nothing else."""
    RUN[f"{function.__module__.removeprefix('fastce.')}.{function.__name__} {isa}".strip()] += 1
    try:
        result = function(**drawn.values())
    except (TypeError, ValueError) as refusal:
        error = refusal
    else:
        assert not drawn.bad, f"accepted, in spite of {drawn.bad}\n{drawn}"
        return result
    assert drawn.bad, f"refused without a reason: {error!r}\n{drawn}"
    named = [n for n in {*drawn.bad, *aliases} if re.search(rf"\b{n}\b", str(error))]
    assert named, f"{error!r} names none of {drawn.bad}"
    for argument, value in drawn.arguments.items():
        assert value.untouched(), f"{argument} was written before {error!r}"
    return None


def check_memory(drawn: Drawn, output: str) -> None:
    """Assert that nothing but the elements of the output has been written."""
    out = drawn.arguments[output]
    for argument, value in drawn.arguments.items():
        if value.memory is None or value.memory is out.memory:
            continue
        assert value.untouched(), f"{argument} was written\n{drawn}"
    if out.memory is not None:
        was = np.frombuffer(out.before, np.uint8).copy()
        same = np.lib.stride_tricks.as_strided
        kept = out.view.copy()
        first = out.view.__array_interface__["data"][0] - out.memory.__array_interface__["data"][0]
        old = same(was[first:].view(np.uint8), (*out.view.shape, out.view.itemsize),
                   (*out.view.strides, 1)).copy()  # fmt: skip
        now = same(out.memory[first:], (*out.view.shape, out.view.itemsize), (*out.view.strides, 1))
        result = now.copy()
        now[...] = old
        assert out.untouched(), f"{output} was written beside its elements\n{drawn}"
        now[...] = result
        assert out.view.tobytes() == kept.tobytes()


def exact(drawn: Drawn, *without: str) -> dict[str, Any]:
    """Return the arguments that references take, bfloat16 as the floats that it stands for."""
    truths = {n: drawn.truth(n) for n in drawn.arguments if n not in without}
    return {
        n: v.astype(np.float32) if isinstance(v, np.ndarray) and v.dtype == BFLOAT16 else v
        for n, v in truths.items()
    }


def without_rows_of_no_target(x: Any, y: Any, axis: int, **options: Any) -> Any:
    """Return the logits, 0 in rows all of whose targets are 0: they count as 0 in any case."""
    n, eps, w = x.shape[axis], float(options["label_smoothing"]), options["class_weight"]
    w = np.ones(n) if w is None else np.asarray(w, np.float64)
    if y.dtype.kind in "iu":
        known = (y != options["ignore_index"]) & (y >= 0)
        total = (1 - eps) * w[np.where(known, y, 0).astype(np.intp)] + eps * w.sum()
    else:
        q = np.moveaxis(y, axis, -1).astype(Wide)
        total = (w * ((1 - eps) * q + eps)).sum(-1)
    none = (total == 0) & (options["z_loss"] == 0)
    return np.where(np.expand_dims(none, axis), 0, x).astype(x.dtype)


def reference(name: str, drawn: Drawn, first: str, **changed: Any) -> tuple[Any, Any]:
    """Return what the long-double reference expects, and the dtype of its arithmetic."""
    options = exact(drawn, "grad_out", "return_grad", "return_hess", "num_threads") | changed
    x, y = options.pop(first), options.pop("labels")
    if name == "softmax_cross_entropy":
        if y.dtype.kind == "f" and x.dtype.itemsize < 8:
            y = np.where(abs(y) <= 2.0**-150, 0, y)  # what rounds to 0 as a float32
        x = without_rows_of_no_target(x, y, **options)
    x = x.astype(np.float32) if x.dtype.itemsize == 2 else x
    with np.errstate(all="ignore"):
        return getattr(wide_elements if first != "logits" or name[:2] == "si" else wide, name)(
            x, y, **options
        ), x.dtype


def check_loss(name: str, first: str, drawn: Drawn, result: Any) -> None:
    """Assert that a loss, its gradient and its second derivatives are right."""
    a = drawn.arguments
    has_grad = bool(a["return_grad"].value) or a["grad_out"].value is not None
    has_hess = "return_hess" in a and bool(a["return_hess"].value)
    result = result if has_grad or has_hess else (result,)
    assert len(result) == 1 + has_grad + has_hess
    loss, text = result[0], repr(drawn)
    true, dtype = reference(name, drawn, first)
    if a["reduction"].value == "none":
        assert (loss.dtype, loss.shape) == (dtype, true.loss.shape), text
        assert_within(loss, true.loss, true.loss_tolerance, dtype, f"loss\n{text}")
    else:
        assert type(loss) is float, text
        assert_within(loss, true.loss, true.loss_tolerance, F64, f"loss\n{text}")
    stored = a[first].truth.dtype
    if has_grad:
        grad = result[1]
        if a["grad_out"].value is not None:
            assert grad is a["grad_out"].value
        else:
            assert type(grad) is np.ndarray
        check_entries(grad, stored, true.gradient, true.gradient_tolerance, dtype, f"grad\n{text}")
    if has_hess:
        hess, what = result[-1], f"hess\n{text}"
        check_entries(hess, stored, true.hessian, true.hessian_tolerance, dtype, what)


def check_entries(got: Any, stored: Any, true: Any, allowed: Any, dtype: Any, what: str) -> None:
    """Assert that an array in the dtype of the logits is right."""
    assert (got.shape, got.dtype) == (true.shape, stored), what
    assert got.dtype.isnative
    if stored != dtype:
        with np.errstate(all="ignore"):
            got = np.asarray(got).astype(dtype)
            largest = float(ml_dtypes.finfo(stored).max)  # what is past it is infinite
            got = np.where(np.isfinite(true), np.clip(got, -largest, largest), got)
            true = np.where(np.isfinite(true), np.clip(true, -largest, largest), true)
            allowed = np.where(np.isfinite(true), allowed + 1.01 * rounding(true, stored), allowed)
    assert_within(np.asarray(got), true, allowed, dtype, what)


@cases("softmax_cross_entropy")
@given(any_call.softmax_calls(), ISAS)
def test_softmax_cross_entropy(drawn, isa) -> None:
    result = call("softmax_cross_entropy", isa, drawn)
    if result is not None:
        check_memory(drawn, "grad_out")
        check_loss("softmax_cross_entropy", "logits", drawn, result)


@cases("sigmoid_cross_entropy")
@given(any_call.binary_calls("logits"), ISAS)
def test_sigmoid_cross_entropy(drawn, isa) -> None:
    result = call("sigmoid_cross_entropy", isa, drawn)
    if result is not None:
        check_memory(drawn, "grad_out")
        check_loss("sigmoid_cross_entropy", "logits", drawn, result)


@cases("binary_cross_entropy")
@given(any_call.binary_calls("probs"), ISAS)
def test_binary_cross_entropy(drawn, isa) -> None:
    result = call("binary_cross_entropy", isa, drawn)
    if result is not None:
        check_memory(drawn, "grad_out")
        check_loss("binary_cross_entropy", "probs", drawn, result)


def check_activation(name: str, isa: str, drawn: Drawn) -> None:
    """Assert that an activation is right, or refused."""
    result = call(name, isa, drawn)
    if result is None:
        return
    check_memory(drawn, "out")
    out = drawn.arguments["out"].value
    assert result is out if out is not None else type(result) is np.ndarray
    x = drawn.arguments["logits"].truth
    dtype = F64 if x.dtype == F64 else F32
    axis = () if name == "sigmoid" else (int(drawn.arguments["axis"].value),)
    with np.errstate(all="ignore"):
        true = getattr(wide_elements, name)(x.astype(dtype), *axis)
        allowed = wide_elements.activation_tolerance(true, dtype)
    stored = dtype if name == "logsumexp" else x.dtype
    check_entries(result, stored, true, allowed, dtype, f"{name}\n{drawn}")


@cases("logsumexp")
@given(any_call.activation_calls("logsumexp"), ISAS)
def test_logsumexp(drawn, isa) -> None:
    check_activation("logsumexp", isa, drawn)


@cases("log_softmax")
@given(any_call.activation_calls("log_softmax"), ISAS)
def test_log_softmax(drawn, isa) -> None:
    check_activation("log_softmax", isa, drawn)


@cases("softmax")
@given(any_call.activation_calls("softmax"), ISAS)
def test_softmax(drawn, isa) -> None:
    check_activation("softmax", isa, drawn)


@cases("sigmoid")
@given(any_call.activation_calls("sigmoid"), ISAS)
def test_sigmoid(drawn, isa) -> None:
    check_activation("sigmoid", isa, drawn)


@pytest.fixture(scope="module", autouse=True)
def totals() -> Any:
    """Say how many cases ran, where that was asked for."""
    yield
    if ASKED:
        print(f"\n{sum(RUN.values())} cases: {dict(sorted(RUN.items()))}")
