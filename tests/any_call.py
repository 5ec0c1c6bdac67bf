"""Hypothesis strategies for whole calls of the public functions: arguments, good or bad, together.

Each draws a `Drawn`: what is handed over, what it is worth, and which arguments must be refused.
"""

import array
from typing import Any

import numpy as np
from hypothesis import strategies as st
from strategies import (
    BFLOAT16,
    FLOATS,
    INTEGERS,
    PROBABILITIES,
    VALUES,
    WEIGHTS,
    Drawn,
    Given,
    bad_arrays,
    held,
    lay_out,
    numbers,
    probabilities,
    shapes,
)

SEEDS = st.integers(0, 2**32 - 1)
RARELY = st.integers(0, 24).map(lambda k: k == 24)  # something is refused


def one_of(draw: Any, *values: Any) -> Any:
    """Draw one of some values, the first the simplest."""
    return draw(st.sampled_from(values))


def option(draw: Any, good: tuple[Any, ...], bad: tuple[Any, ...]) -> Given:
    """Draw a scalar option."""
    if draw(RARELY):
        return Given(one_of(draw, *bad), bad="an option out of range")
    return Given(one_of(draw, *good))


BAD_NUMBERS = (-0.1, 1.5, np.nan, "0.1", None, 1j, np.float32(-1), [0.1], True, 10**400)
BAD_INTEGERS = (1.0, "1", 2.5, np.nan, True, [0], np.array([0, 1]), np.float64(0))


def common(draw: Any, call: Drawn) -> None:
    """Draw the options that the losses share."""
    a = call.arguments
    a["reduction"] = option(draw, ("mean", "sum", "none"), ("avg", None, 1, np.array(["a", "b"])))
    a["normalizer"] = option(
        draw,
        ("weight", "valid", "all", "nonzero", 3.5, 7, np.float32(2)),
        ("rows", 0, -1.0, np.nan, np.inf, None, np.array([1, 2]), b"all", 10**400),
    )
    a["return_grad"] = option(draw, (True, False, np.True_), ("no", None, 2, np.array([1, 2])))
    threads(draw, call)


def threads(draw: Any, call: Drawn) -> None:
    call.arguments["num_threads"] = option(
        draw, (None, 1, 2, 3, np.int8(2), 10**12), (0, -1, 2**70 * -1, *BAD_INTEGERS)
    )


def axis_option(draw: Any, axis: int, ndim: int, none: bool = False) -> Given:
    """Draw one of the two names of an axis, or one that does not exist."""
    bad = (ndim, -ndim - 1, 10**20, -1.0, *BAD_INTEGERS, *(() if none else (None,)))
    return option(draw, (axis - ndim, axis, np.int16(axis)), bad)


def weight(draw: Any, shape: tuple[int, ...], broadcasts: bool) -> Given:
    """Draw weights of a shape, or that broadcast to it; None half of the time."""
    if one_of(draw, True, False):
        return Given(None)
    rng = np.random.default_rng(draw(SEEDS))
    of, bad = shape, ""
    if broadcasts and one_of(draw, True, True, False):
        of = tuple(n if rng.random() < 0.6 else 1 for n in shape)
        of = of[int(rng.integers(len(shape) + 1)) :]
    kind = one_of(draw, "real", "whole", "some 0", "all 0", "far apart")
    made = {
        "real": lambda: 0.1 + rng.random(of),
        "whole": lambda: rng.integers(1, 4, of),
        "some 0": lambda: rng.integers(0, 2, of),
        "all 0": lambda: np.zeros(of),
        "far apart": lambda: 2.0 ** rng.integers(-20, 20, of),
    }[kind]()
    dtype = one_of(draw, *WEIGHTS)
    if kind == "far apart" and (dtype.kind in "iub" or dtype.itemsize < 4):
        made = np.ones(of)
    made = np.asarray(made).astype(dtype)
    if draw(RARELY):
        if made.size and dtype.kind == "f" and one_of(draw, True, False):
            made.flat[int(rng.integers(made.size))] = one_of(draw, -1, np.nan, np.inf)
            bad = "a weight that is negative or not finite"
        else:
            made = np.ones((7, *shape, 2), dtype)
            bad = "a shape that does not fit"
    elif draw(RARELY):
        return draw(bad_arrays(shape, floats=False).filter(lambda g: not acceptable_weight(g)))
    elif broadcasts and draw(RARELY):
        return Given(one_of(draw, 0.5, 2, np.float32(3), 0))
    given = draw(held(made, draw(SEEDS)))
    if bad.startswith("a weight"):  # a broadcast layout may have dropped it
        with np.errstate(invalid="ignore"):
            good = (given.truth >= 0) & np.isfinite(given.truth)
        bad = "" if good.all() else bad
    given.bad = bad
    return given


def acceptable_weight(given: Given) -> bool:
    """Whether what is no label or logit can be a weight all the same."""
    value = given.value
    return value is None or (isinstance(value, np.ndarray) and value.dtype.kind in "fb")


def logits(draw: Any, name: str, shape: tuple[int, ...], kinds: Any, make: Any) -> Given:
    """Draw the floating input of a function."""
    if draw(RARELY):
        return draw(bad_arrays(shape, floats=True))
    rng = np.random.default_rng(draw(SEEDS))
    made = make(rng, one_of(draw, *kinds), shape, one_of(draw, *FLOATS))
    return draw(held(made, draw(SEEDS)))


def output(
    draw: Any, call: Drawn, name: str, shape: tuple[int, ...], reduced: bool = False
) -> None:
    """Draw an output that may or may not do, for the input that comes first."""
    x = next(iter(call.arguments.values()))
    dtype = np.dtype(np.float32) if x.truth is None else x.truth.dtype
    if reduced:
        dtype = np.dtype(np.float64 if dtype.itemsize == 8 else np.float32)
    kind = one_of(draw, "none", "none", "fresh", "fresh", "in place", "bad")
    rng = np.random.default_rng(draw(SEEDS))
    if kind == "none":
        call.arguments[name] = Given(None)
        return
    if kind == "in place" and x.view is not None and isinstance(x.value, np.ndarray):
        alike = x.view.shape == shape and x.view.dtype == dtype and x.value.flags.writeable
        if alike and not (0 in x.view.strides and x.view.size > 1):
            call.arguments[name] = Given(x.value, view=x.view, memory=x.memory, before=x.before)
            return
    layout = one_of(draw, "C", "C", "Fortran", "permuted", "every second", "reversed", "any")
    view, memory = lay_out(rng, np.full(shape, 7, dtype), layout)
    bad = ""
    # A layout may be one that no output can have: swapped bytes, or elements in one place.
    if not view.dtype.isnative or not view.flags.writeable:
        view, memory = lay_out(rng, np.full(shape, 7, dtype), "C")
    value = view.view(one_of(draw, np.ndarray, np.ndarray, np.memmap))
    if kind == "bad":
        value, bad = bad_output(draw, rng, call, view, x)
        if not bad:
            value = view
    call.arguments[name] = Given(value, None, bad, view, memory, memory.tobytes())


def bad_output(draw: Any, rng: Any, call: Drawn, view: Any, x: Given) -> tuple[Any, str]:
    """Draw an output that must be refused, if one can be made here."""
    which = one_of(draw, "read-only", "shape", "dtype", "swapped", "masked", "overlap", "list")
    if which == "read-only":
        value = view.view()
        value.flags.writeable = False
        return value, which
    if which == "shape":
        return np.full((*view.shape, 1), 7, view.dtype), which
    if which == "dtype":
        return view.astype(np.int32), which
    if which == "swapped" and view.dtype != BFLOAT16:
        return view.astype(view.dtype.newbyteorder()), which
    if which == "masked":
        return np.ma.masked_array(view), which
    if which == "list":
        return view.tolist(), which
    # Over an input, shifted so that it is not that input exactly.
    held_by = [g for g in call.arguments.values() if g.view is not None and g.view.nbytes > 64]
    if held_by and view.size > 1:
        memory = one_of(draw, *held_by).memory
        if memory.nbytes >= view.nbytes + 16:
            given = next(g for g in held_by if g.memory is memory)
            over = memory[8 : 8 + view.nbytes].view(view.dtype).reshape(view.shape)
            is_copy = isinstance(given.value, (list, array.array))
            apart = over.ctypes.data != given.view.ctypes.data
            if not is_copy and apart and np.shares_memory(over, given.view, max_work=10**6):
                return over, "overlap"
    return view, ""


@st.composite
def softmax_calls(draw: Any) -> Drawn:
    """Draw a call of softmax_cross_entropy."""
    shape, axis = draw(shapes())
    rows, classes = shape[:axis] + shape[axis + 1 :], shape[axis]
    call = Drawn()
    a = call.arguments
    a["logits"] = logits(draw, "logits", shape, VALUES, numbers)
    if classes == 0:
        a["logits"].bad = "no classes"
    a["ignore_index"] = option(
        draw, (-100, 0, 255, -1, np.int8(-1), 2**62), (2**63, -(2**70), None, *BAD_INTEGERS)
    )
    a["labels"] = labels(draw, call, shape, rows, classes)
    a["class_weight"] = weight(draw, (classes,), broadcasts=False)
    a["sample_weight"] = weight(draw, rows, broadcasts=True)
    a["label_smoothing"] = option(draw, (0.0, 0.1, 1.0, np.float32(0.25), 1), BAD_NUMBERS)
    a["z_loss"] = option(draw, (0.0, 1e-4, 0.5), (-1.0, np.nan, np.inf, "1", None, 10**400))
    a["axis"] = axis_option(draw, axis, len(shape))
    a["return_hess"] = option(draw, (False, False, True), ("no", None, 1))
    output(draw, call, "grad_out", shape)
    common(draw, call)
    return call


def labels(draw: Any, call: Drawn, shape: Any, rows: Any, classes: int) -> Given:
    """Draw class labels or class probabilities."""
    if draw(RARELY):
        return draw(bad_arrays(rows, floats=False))
    rng = np.random.default_rng(draw(SEEDS))
    if one_of(draw, False, False, True):
        dtype = one_of(draw, *FLOATS)
        q = numbers(rng, one_of(draw, "normal", "integers", "tiny", "zeros"), shape, dtype)
        q = np.array(np.abs(q))
        given = None
        if draw(RARELY) and q.size:
            q.flat[int(rng.integers(q.size))] = one_of(draw, -1, np.nan, np.inf)
        elif draw(RARELY):
            given = Given(np.ones((*shape, 2)), bad="a shape that does not fit")
        given = given or draw(held(q, draw(SEEDS)))
        with np.errstate(invalid="ignore"):
            if given.truth is not None and not ((given.truth >= 0) & (given.truth < np.inf)).all():
                given.bad = "a probability that is negative or not finite"
        return given
    dtype = one_of(draw, *INTEGERS)
    most = min(max(classes, 1), np.iinfo(dtype).max + 1)
    y = np.array(rng.integers(0, most, rows)).astype(dtype)
    ignored = call.arguments["ignore_index"]
    index = int(ignored.value) if not ignored.bad else -100
    held_by_dtype = np.iinfo(dtype).min <= index <= np.iinfo(dtype).max
    if y.size and held_by_dtype and one_of(draw, False, True):
        y[rng.random(rows) < one_of(draw, 0.3, 1.0)] = index
    if y.size and draw(RARELY):
        info = np.iinfo(dtype)
        wrong = one_of(draw, classes, -1, -101, info.min, info.max, 2**64 - 100, 2**63, 2**40)
        if info.min <= wrong <= info.max:
            y.flat[int(rng.integers(y.size))] = wrong
    elif draw(RARELY):
        return Given(np.zeros((*rows, 3), dtype), bad="a shape that does not fit")
    given = draw(held(y, draw(SEEDS)))
    wrong = [int(v) for v in given.truth.ravel() if not (0 <= int(v) < classes or int(v) == index)]
    given.bad = f"label {wrong[0]}" if wrong else ""
    return given


@st.composite
def binary_calls(draw: Any, name: str) -> Drawn:
    """Draw a call of sigmoid_cross_entropy or, of probabilities, binary_cross_entropy."""
    shape, axis = draw(shapes())
    if one_of(draw, *[False] * 20, True):
        shape, axis = (), 0
    call = Drawn()
    a = call.arguments
    sigmoid = name == "logits"
    kinds, make = (VALUES, numbers) if sigmoid else (PROBABILITIES, probabilities)
    a[name] = logits(draw, name, shape, kinds, make)
    x = a[name]
    if not sigmoid and x.truth is not None and x.truth.size:
        if draw(RARELY) and isinstance(x.value, np.ndarray) and x.view.flags.writeable:
            spoil = one_of(draw, np.nan, -0.5, 1.5, np.inf)
            x.view.flat[0] = spoil
            x.truth = np.array(x.view, x.truth.dtype, order="C")
            x.before = x.memory.tobytes()
        with np.errstate(invalid="ignore"):
            outside = (x.truth < 0) | (x.truth > 1)
        x.bad = "a probability outside [0, 1]" if outside.any() else ""
    a["labels"] = unit_labels(draw, shape)
    over = None if one_of(draw, True, False) else axis
    if over is None or not shape:
        bad = (len(shape), 1.0, "1", True)
        a["axis"] = option(draw, (None,), bad)
    else:
        a["axis"] = axis_option(draw, axis, len(shape), none=True)
    items = shape if over is None or not shape else shape[:axis] + shape[axis + 1 :]
    a["sample_weight"] = weight(draw, items, broadcasts=True)
    if sigmoid:
        per_class = shape[-1:] if one_of(draw, True, False) else ()
        a["pos_weight"] = weight(draw, per_class, broadcasts=False)
        a["label_smoothing"] = option(draw, (0.0, 0.1, 1.0, np.float32(0.25)), BAD_NUMBERS)
        a["return_hess"] = option(draw, (False, False, True), ("no", None, 1))
    else:
        a["eps"] = option(draw, (0.0, 1e-7, 0.25, 0), (0.5, *BAD_NUMBERS))
    output(draw, call, "grad_out", shape)
    common(draw, call)
    return call


def unit_labels(draw: Any, shape: tuple[int, ...]) -> Given:
    """Draw labels in [0, 1] of any dtype."""
    if draw(RARELY):
        drawn = draw(bad_arrays(shape, floats=False))
        usable = isinstance(drawn.value, np.ndarray) and drawn.value.dtype == np.bool_
        return Given(np.zeros(shape, np.int8), np.zeros(shape, np.int8)) if usable else drawn
    rng = np.random.default_rng(draw(SEEDS))
    dtype = one_of(draw, *FLOATS, *INTEGERS, np.dtype(bool))
    z = probabilities(rng, one_of(draw, *PROBABILITIES), shape, dtype)
    if z.size and dtype.kind != "b" and draw(RARELY):
        wrong = one_of(draw, 2, -1, np.nan, 1 + 2.0**-50, -1e-300, np.inf, 1e300)
        if dtype.kind in "iu":
            wrong = 2 if dtype.kind == "u" else one_of(draw, 2, -1)
        with np.errstate(over="ignore"):
            z.flat[int(rng.integers(z.size))] = wrong
    elif draw(RARELY):
        return Given(np.zeros((*shape, 2), dtype), bad="a shape that does not fit")
    given = draw(held(z, draw(SEEDS)))
    with np.errstate(invalid="ignore"):
        good = ((given.truth >= 0) & (given.truth <= 1)).all()
    given.bad = "" if good else "a label outside [0, 1]"
    return given


@st.composite
def activation_calls(draw: Any, name: str) -> Drawn:
    """Draw a call of logsumexp, log_softmax, softmax or sigmoid."""
    shape, axis = draw(shapes())
    call = Drawn()
    call.arguments["logits"] = logits(draw, "logits", shape, VALUES, numbers)
    target = shape
    if name != "sigmoid":
        if shape[axis] == 0:
            call.arguments["logits"].bad = "no classes"
        call.arguments["axis"] = axis_option(draw, axis, len(shape))
        if name == "logsumexp":
            target = shape[:axis] + shape[axis + 1 :]
    output(draw, call, "out", target, reduced=name == "logsumexp")
    threads(draw, call)
    return call
