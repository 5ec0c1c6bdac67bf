"""Any call of the functions around the losses: class counts and weights, and TensorFlow's names.

As in test_any_array.py: the right answer, told by formulas in long double, or a documented error.
"""

from collections import Counter
from typing import Any

import numpy as np
import wide
from any_call import BAD_INTEGERS, RARELY, SEEDS, one_of, option
from hypothesis import given
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
    numbers,
    probabilities,
    shapes,
)
from test_any_array import cases, checked_call
from ulp import BUDGETS, rounding

import fastce
from fastce.compat.tensorflow import losses, nn

Wide = np.longdouble
METHODS = ("log", "balanced", "inverse", "effective", "median")


@st.composite
def counts_calls(draw: Any) -> Drawn:
    """Draw a call of class_counts."""
    shape, _ = draw(shapes())
    n = one_of(draw, 1, 2, 3, 20, 300)
    rng = np.random.default_rng(draw(SEEDS))
    call = Drawn()
    a = call.arguments
    dtype = one_of(draw, *INTEGERS)
    info = np.iinfo(dtype)
    y = np.array(rng.integers(0, min(n, info.max + 1), shape)).astype(dtype)
    a["ignore_index"] = option(
        draw, (-100, 0, 255, -1, np.int8(-1), 2**64 - 1, -(2**70)), BAD_INTEGERS
    )
    index = -100 if a["ignore_index"].bad else int(a["ignore_index"].value)
    if y.size and info.min <= index <= info.max and one_of(draw, True, False):
        y[rng.random(shape) < 0.3] = index
    if y.size and draw(RARELY):
        y.flat[int(rng.integers(y.size))] = one_of(draw, info.max, info.min, min(n, info.max))
    a["labels"] = (
        draw(bad_arrays(shape, floats=False)) if draw(RARELY) else draw(held(y, draw(SEEDS)))
    )
    labels = a["labels"]
    if labels.truth is not None:
        wrong = [v for v in labels.truth.ravel().tolist() if not 0 <= v < n and v != index]
        labels.bad = f"label {wrong[0]}" if wrong else ""
    a["n_classes"] = option(draw, (n, np.int16(n)), (0, -1, 2**62, *BAD_INTEGERS))
    return call


@cases("class_counts")
@given(counts_calls())
def test_class_counts(drawn) -> None:
    got = checked_call(fastce.class_counts, drawn)
    if got is None:
        return
    a = drawn.arguments
    seen = Counter(
        v for v in a["labels"].truth.ravel().tolist() if v != int(a["ignore_index"].value)
    )
    assert got.dtype == np.int64
    assert got.tolist() == [seen[c] for c in range(int(a["n_classes"].value))]


@st.composite
def weights_calls(draw: Any) -> Drawn:
    """Draw a call of class_weights."""
    rng = np.random.default_rng(draw(SEEDS))
    n = one_of(draw, 1, 2, 3, 20)
    kind = one_of(draw, "counts", "some 0", "large", "far apart", "frequencies", "too far apart")
    made = {
        "counts": lambda: rng.integers(1, 120, n),
        "some 0": lambda: rng.integers(0, 3, n),
        "large": lambda: rng.integers(1, 2**62, n),
        "far apart": lambda: 10.0 ** rng.integers(-100, 100, n),
        "frequencies": lambda: 0.01 + rng.random(n),
        "too far apart": lambda: 10.0 ** rng.choice([-320, 0, 308], n),
    }[kind]()
    dtype = one_of(draw, *(d for d in WEIGHTS if d != BFLOAT16 and d.kind != "b"))
    if kind in ("large", "far apart", "too far apart") or (kind != "some 0" and dtype.itemsize < 4):
        dtype = np.dtype("d")
    if kind == "frequencies" and dtype.kind in "iu":
        dtype = np.dtype("f")
    call = Drawn()
    a = call.arguments
    counts = np.asarray(made).astype(dtype)
    if draw(RARELY) and dtype.kind == "f":
        counts[0] = one_of(draw, -1, np.nan, np.inf)
    a["counts"] = draw(bad_arrays((n,), floats=False).filter(is_no_count)) if draw(RARELY) else None
    a["counts"] = a["counts"] or draw(held(counts, draw(SEEDS)))
    a["method"] = option(draw, METHODS, ("sqrt", None, 3, np.array(["log", "log"])))
    a["normalize"] = option(draw, (False, True, np.True_), ("no", None, 1))
    method = a["method"].value
    if kind == "too far apart" and isinstance(method, str) and method == "effective":
        a["method"] = Given("inverse")  # frequencies are no counts, as its description says
    a["beta"] = option(draw, (0.999, 0.0, 0.5, 0), (1.0, -0.1, np.nan, "0.5", None, [0.5]))
    zero = one_of(draw, None, 0.0, 2, np.float32(0.5))
    a["zero_weight"] = option(draw, (zero,), (-1.0, np.nan, np.inf, "1", True))
    c = a["counts"]
    if c.truth is not None:
        good = (c.truth >= 0) & np.isfinite(c.truth)
        zeros = (c.truth == 0).any() and a["zero_weight"].value is None
        c.bad = "a negative or infinite count" if not good.all() else "a 0" if zeros else ""
        if isinstance(c.value, np.matrix):
            c.bad = "two axes"
    return call


def is_no_count(given: Given) -> bool:
    """Whether what is no label is no count either."""
    return not (isinstance(given.value, np.ndarray) and given.value.dtype.kind == "f")


@cases("class_weights")
@given(weights_calls())
def test_class_weights(drawn) -> None:
    a = drawn.arguments
    true = None
    if not drawn.bad:
        counts = a["counts"].truth.astype(Wide)
        true = weights_of(**drawn.values() | {"counts": counts})
        ratios = counts.sum() / counts[counts > 0]
        with np.errstate(over="ignore"):
            whole = weights_of(**drawn.values() | {"counts": counts, "normalize": False})
            sizes = [
                true,
                whole,
                ratios if a["method"].value in METHODS[:3] and len(ratios) > 1 else true,
            ]
            apart = not all(np.isfinite(size.astype(np.float64)).all() for size in sizes)
        a["counts"].bad = "counts so far apart that a weight is no float64" if apart else ""
    got = checked_call(fastce.class_weights, drawn)
    if got is not None:
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, true.astype(np.float64), rtol=1e-12, atol=1e-300)


def weights_of(counts: Any, method: str, normalize: bool, beta: float, zero_weight: Any) -> Any:
    """Return class weights by the formulas of the contract's table."""
    n = counts.astype(Wide)
    weights = np.full(n.shape, zero_weight or 0, Wide)
    occurs = n > 0
    n = n[occurs]
    with np.errstate(all="ignore"):
        r = n.sum() / n
        others = np.array([np.delete(n, c).sum() for c in range(len(n))], Wide)
        log_r = np.log1p(others / n)
        made = {
            "log": log_r if normalize else np.maximum(log_r, 1),
            "balanced": r / len(n) if len(n) else r,
            "inverse": r,
            "effective": -1 / np.expm1(n * np.log(Wide(beta))) if beta else np.ones_like(n),
            "median": np.median(n) / n if len(n) else n,
        }[method]
        if method == "effective":
            made = made * (len(n) / made.sum()) if len(n) else made
        if normalize and len(n):
            made = made / made.max()
    weights[occurs] = 1 if len(n) == 1 else made
    return weights


# TensorFlow's names ---------------------------------------------------------------------------

LOSSES = {
    "softmax": (nn.softmax_cross_entropy_with_logits, losses.softmax_cross_entropy),
    "sparse": (nn.sparse_softmax_cross_entropy_with_logits, losses.sparse_softmax_cross_entropy),
    "sigmoid": (nn.sigmoid_cross_entropy_with_logits, losses.sigmoid_cross_entropy),
    "weighted": (nn.weighted_cross_entropy_with_logits, None),
    "log": (None, losses.log_loss),
}
REDUCTIONS = losses.Reduction.all()[:-1]
LABEL_NAME = {"softmax": "onehot_labels", "sigmoid": "multi_class_labels"}


@st.composite
def compat_calls(draw: Any) -> tuple[str, bool, Drawn]:
    """Draw a call of one of TensorFlow's names: which loss, whether it reduces, and with what."""
    loss = one_of(draw, *LOSSES)
    reduces = LOSSES[loss][0] is None or (LOSSES[loss][1] is not None and one_of(draw, True, False))
    shape, _ = draw(shapes())
    rows = shape[:-1]
    rng = np.random.default_rng(draw(SEEDS))
    call = Drawn()
    a = call.arguments
    floats = [d for d in FLOATS if not reduces or d.itemsize == 4]
    kinds = [k for k in VALUES if k not in ("huge", "whole range", "shifted")]
    x = "predictions" if loss == "log" else "logits"
    if loss == "log":
        values = probabilities(rng, one_of(draw, *PROBABILITIES), shape, one_of(draw, *FLOATS))
    else:
        values = numbers(rng, one_of(draw, *kinds), shape, one_of(draw, *floats))
    a[x] = draw(bad_arrays(shape, floats=True).filter(is_no_count)) if draw(RARELY) else None
    if a[x] is None or (loss == "log" and is_real(a[x].value)):
        a[x] = draw(held(values, draw(SEEDS)).filter(lambda g: not isinstance(g.value, list)))
    if loss in ("softmax", "sparse") and shape[-1] == 0:
        a[x].bad = "no classes"
    y = LABEL_NAME.get(loss, "labels") if reduces else "labels"
    if loss == "sparse":
        labels = np.array(rng.integers(0, max(shape[-1], 1), rows)).astype(
            one_of(draw, *INTEGERS[:3])
        )
        if labels.size and draw(RARELY):
            labels.flat[0] = one_of(draw, -1, -100, shape[-1])
        a[y] = draw(held(labels, draw(SEEDS)))
        wrong = (a[y].truth < 0) | (a[y].truth >= shape[-1])
        a[y].bad = "a label" if wrong.any() else ""
    else:
        q = probabilities(rng, one_of(draw, "uniform", "ends", "grid"), shape, np.float64)
        q = q.astype(one_of(draw, *FLOATS, *INTEGERS))
        a[y] = draw(held(q, draw(SEEDS)).filter(lambda g: not isinstance(g.value, list)))
    if loss == "weighted":
        a["pos_weight"] = Given(one_of(draw, 1.0, 2, -1.5, np.float32(0.5), np.ones(shape[-1:])))
    if reduces:
        a["reduction"] = option(draw, REDUCTIONS, ("mean", None, 1))
        made = rng.choice([0.0, 1.0, -0.5, 3.0], shape if loss in ("sigmoid", "log") else rows)
        a["weights"] = draw(held(np.asarray(made).astype(one_of(draw, *"fde")), draw(SEEDS)))
        if loss != "log" and loss != "sparse":
            a["label_smoothing"] = option(draw, (0, 0.1, 1), (-0.1, np.nan, "0.1", None, 10**400))
    return loss, reduces, call


def is_real(value: Any) -> bool:
    """Whether an array of integers or bools, which only logits may not be."""
    return (
        isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and type(value) is np.ndarray
    )


@cases("compat.tensorflow")
@given(compat_calls())
def test_compat_tensorflow(drawn) -> None:
    loss, reduces, call = drawn
    if (
        loss == "sparse"
        and reduces
        and any(n == 1 for n in np.shape(call.arguments["logits"].truth))
    ):
        return  # TensorFlow drops an axis of length 1: test_compat_tensorflow.py
    got = checked_call(LOSSES[loss][reduces], call, aliases={"labels", "logits"})
    if got is None:
        return
    a = call.arguments
    x = a["predictions" if loss == "log" else "logits"].truth
    dtype = x.dtype
    working = np.float64 if dtype == np.float64 and loss != "log" else np.float32
    y = next(g.truth for n, g in a.items() if "labels" in n)
    x = x.astype(working)
    y = y if loss == "sparse" else y.astype(working).astype(Wide)
    smoothing = a["label_smoothing"].value if "label_smoothing" in a else 0
    with np.errstate(all="ignore"):
        true, scale = loss_of(loss, x, y, smoothing, a)
        allowed = 32 * float(np.finfo(working).eps) * (scale + 1e-30)
        if reduces:
            w = a["weights"].truth.astype(np.float32).astype(Wide)
            scale = np.where(np.isfinite(scale), scale, 0)
            allowed = 64 * float(np.finfo(np.float32).eps) * (np.abs(w) * scale + 1e-30)
            true = np.where(w == 0, 0, w * true)
            if a["reduction"].value != "none":
                d = {"weighted_sum": 1, "weighted_mean": w.sum(),
                     "weighted_sum_over_batch_size": w.size}.get(
                         a["reduction"].value, np.count_nonzero(w))  # fmt: skip
                true, allowed = (
                    (true.sum() / d, abs(allowed.sum() / d)) if d else (Wide(0), Wide(0))
                )
        elif dtype.itemsize == 2:
            allowed = allowed + 1.01 * rounding(true, dtype)
    assert np.shape(got) == np.shape(true)
    assert np.asarray(got).dtype == (np.float32 if reduces else dtype)
    assert np.asarray(got).dtype.isnative
    got = np.asarray(got).astype(Wide)
    largest = float(BUDGETS[np.dtype(np.float32)].eps)
    with np.errstate(invalid="ignore"):
        close = np.abs(got - true) <= allowed + largest * np.abs(true)
    same = (got == true) | (np.isnan(got) & np.isnan(true)) | close
    assert same.all(), f"{got}\n{true}\n{call}"


def loss_of(loss: str, x: Any, y: Any, smoothing: float, a: Any) -> tuple[Any, Any]:
    """Return losses in long double, and the sum of the sizes of their terms."""
    if loss == "sparse":
        e = wide.softmax_cross_entropy(x, y, ignore_index=-(2**62), reduction="none")
        return e.loss, np.abs(e.loss) + 1
    if loss == "softmax":
        q = y * (1 - Wide(smoothing)) + Wide(smoothing) / max(x.shape[-1], 1)
        x = np.where(q.sum(-1, keepdims=True) == 0, 0, x).astype(x.dtype)
        e = wide.softmax_cross_entropy(x, q.astype(np.float64), reduction="none")
        return e.loss, np.abs(e.loss) + q.sum(-1) * 2
    if loss == "log":
        p, z = x.astype(Wide), y
        epsilon = Wide(1e-7)
        terms = times(z, -np.log(p + epsilon)), times(1 - z, -np.log(1 - p + epsilon))
    else:
        x = x.astype(Wide)
        z = y * (1 - Wide(smoothing)) + Wide(smoothing) / 2
        r = np.asarray(a["pos_weight"].value if "pos_weight" in a else 1).astype(Wide)
        plus, minus = (np.log1p(np.exp(-np.abs(x))) + np.maximum(s * x, 0) for s in (1, -1))
        terms = times(1 - z, plus), times(r * z, minus)
    size = sum(np.abs(t) for t in terms) + 1e-6
    return sum(terms), size


def times(factor: Any, value: Any) -> Any:
    """Return factor * value, 0 where the factor is 0, but NaN where the value is."""
    return np.where((factor == 0) & ~np.isnan(value), 0, factor * value)
