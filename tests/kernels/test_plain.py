"""The short way of plain arrays: which arrays go it, the same bits as the long way, nothing written
where it gives up."""

import math

import cases
import ml_dtypes
import numpy as np
import pytest

import fastce
from fastce import _kernels, activations
from fastce._dispatch import binary as _binary
from fastce.losses import softmax as losses

LABEL_DTYPES = ("i1", "i2", "i4", "i8", "u1", "u2", "u4")
SHAPES = ((1, 10), (7, 3), (65, 2), (3, 200), (10,), (2, 3, 5), (3000, 10))


def forbid_the_long_way(monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("the call took the long way")

    for module in (losses, _binary, activations):
        monkeypatch.setattr(module._arrays, "as_floats", fail)


def only_the_long_way(monkeypatch) -> None:
    for name in dir(_kernels.active):
        if name.startswith("plain"):
            monkeypatch.setattr(_kernels.active, name, lambda *_: None)


def calls(shape, dtype="f4", label="i8"):
    """Yield calls, by name, of arrays that lie plainly."""
    x = cases.random_logits(shape, np.dtype(dtype))
    y = np.asarray(cases.random_labels(shape[:-1], min(shape[-1], 100))).astype(label)
    z = (cases.seeded(5, *shape).random(shape) < 0.5).astype(dtype)
    p = cases.seeded(6, *shape).random(shape).astype(dtype)
    for option in ({}, {"return_grad": True}, {"grad_out": True}, {"grad_out": True, "in": True}):
        for name, inputs, labels in (
            ("softmax_cross_entropy", x, y),
            ("sigmoid_cross_entropy", x, z),
            ("binary_cross_entropy", p, z),
        ):

            def call(name=name, inputs=inputs, labels=labels, option=option, **more):
                array, keys = inputs.copy(), {**option, **more}
                if keys.pop("in", False):
                    keys["grad_out"] = array
                elif "grad_out" in keys:
                    keys["grad_out"] = np.full_like(array, 7)
                return getattr(fastce, name)(array, labels, **keys)

            yield f"{name} {option}", call
    yield "smoothed", lambda: fastce.softmax_cross_entropy(x, y, label_smoothing=0.1, z_loss=0.01)
    yield "smoothed sigmoid", lambda: fastce.sigmoid_cross_entropy(x, z, label_smoothing=0.1)
    for name in ("softmax", "log_softmax", "sigmoid"):
        yield name, lambda name=name: getattr(fastce, name)(x)
        yield name + " out", lambda name=name: getattr(fastce, name)(x, out=np.empty_like(x))


def bits(result: object) -> bytes:
    parts = result if isinstance(result, tuple) else (result,)
    return b"|".join(np.asarray(part).tobytes() for part in parts)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("dtype", "label"), [*(("f4", t) for t in LABEL_DTYPES), ("f8", "i8"), ("f2", "i4")]
)
def test_both_ways_give_the_same_bits(isa, shape, dtype, label, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        forbid_the_long_way(patch)
        short = {name: bits(call()) for name, call in calls(shape, dtype, label)}
    only_the_long_way(monkeypatch)
    long = {name: bits(call()) for name, call in calls(shape, dtype, label)}
    assert short == long


def test_results_are_of_the_documented_types() -> None:
    x, y = np.zeros((2, 4), np.float32), np.array([0, 3])
    assert type(fastce.softmax_cross_entropy(x, y)) is float
    loss, grad = fastce.softmax_cross_entropy(x, y, return_grad=True)
    assert type(loss) is float
    assert type(grad) is np.ndarray
    assert (grad.shape, grad.dtype) == (x.shape, x.dtype)
    out = np.empty_like(x)
    assert fastce.softmax_cross_entropy(x, y, grad_out=out)[1] is out
    assert fastce.softmax(x, out=out) is out


@pytest.mark.parametrize("options", [{}, {"return_grad": True}], ids=str)
def test_a_mean_of_ignored_rows_is_nan(options) -> None:
    x, y = np.ones((3, 4), np.float32), np.full(3, -100)
    result = fastce.softmax_cross_entropy(x, y, **options)
    if options:
        result, grad = result
        assert not grad.any()
    assert math.isnan(result)


def awkward() -> dict[str, tuple[object, object]]:
    """Logits and labels that the short way must leave to the long one; all mean the same."""
    x = cases.random_logits((6, 5), np.dtype("f4"))
    y = np.array([0, 4, 2, 1, 3, 3])
    wide = np.zeros((6, 10), "f4")
    wide[:, ::2] = x
    odd = np.zeros(x.nbytes + 1, np.uint8)[1:].view("f4").reshape(x.shape)
    odd[...] = x
    step = np.zeros(12, np.int64)
    step[::2] = y
    return {
        "list": (x.tolist(), y),
        "list of labels": (x, y.tolist()),
        "Fortran": (np.asfortranarray(x), y),
        "strided": (wide[:, ::2], y),
        "foreign": (x.astype(">f4"), y),
        "foreign labels": (x, y.astype(">i8")),
        "strided labels": (x, step[::2]),
        "unaligned": (odd, y),
        "uint64": (x, y.astype("u8")),
        "matrix": (x.view(np.matrix), y),
        "bfloat16": (x.astype(ml_dtypes.bfloat16), y),
    }


@pytest.mark.parametrize("name", awkward())
def test_other_arrays_are_left_to_the_long_way(name) -> None:
    x, y = awkward()[name]
    grad = np.full((6, 5), 7, "f4")
    assert (
        _kernels.active.plain_softmax_cross_entropy(x, y, grad, False, 0.0, 0.0, -100, 0, 1) is None
    )
    assert (grad == 7).all()
    plain = awkward()["uint64"][0], np.array([0, 4, 2, 1, 3, 3])
    expected = fastce.softmax_cross_entropy(*plain)
    assert fastce.softmax_cross_entropy(x, y) == pytest.approx(
        expected, rel=0.02 if name == "bfloat16" else 1e-6
    )


def refused() -> dict[str, tuple[object, object, object]]:
    """Logits, labels and outputs in which something is wrong."""
    x, y, g = np.zeros((3, 4), "f4"), np.array([0, 1, 2]), np.full((3, 4), 7, "f4")
    read_only = g.copy()
    read_only.flags.writeable = False
    memory = np.full(32, 7, "f4")
    return {
        "class too large": (x, np.array([0, 1, 4]), g),
        "negative class": (x, np.array([0, -1, 2]), g),
        "labels too short": (x, y[:2], g),
        "labels of two axes": (x, y.reshape(3, 1), g),
        "bool labels": (x, y.astype(bool), g),
        "complex labels": (x, y.astype(complex), g),
        "integer logits": (x.astype(int), y, g),
        "long double": (x.astype(np.longdouble), y, g),
        "complex logits": (x.astype(complex), y, g),
        "dates": (x.astype(int).view("M8[s]"), y, g),
        "records": (np.zeros((3, 4), "f4,f4"), y, g),
        "objects": (x.astype(object), y, g),
        "masked": (np.ma.masked_array(x, x == 0), y, g),
        "no classes": (np.zeros((3, 0), "f4"), y, np.zeros((3, 0), "f4")),
        "scalar": (np.zeros((), "f4"), y, g),
        "read-only": (x, y, read_only),
        "another shape": (x, y, np.full((4, 3), 7, "f4")),
        "more axes": (x, y, np.full((3, 4, 1), 7, "f4")),
        "another type": (x, y, np.full((3, 4), 7, "f8")),
        "a list": (x, y, [[7.0] * 4] * 3),
        "overlap": (memory[:12].reshape(3, 4), y, memory[4:16].reshape(3, 4)),
        "over the labels": (x, memory[:6].view("i8"), memory[4:16].reshape(3, 4)),
    }


@pytest.mark.parametrize("name", refused())
def test_what_is_wrong_is_named_before_anything_is_written(name) -> None:
    x, y, g = refused()[name]
    before = np.array(g)
    assert _kernels.active.plain_softmax_cross_entropy(x, y, g, False, 0.0, 0.0, -100, 0, 1) is None
    assert (np.asarray(g) == before).all()
    with pytest.raises((ValueError, TypeError)):
        fastce.softmax_cross_entropy(x, y, grad_out=g)
    assert (np.asarray(g) == before).all()


@pytest.mark.parametrize("name", ["sigmoid_cross_entropy", "binary_cross_entropy"])
def test_labels_outside_the_unit_interval_leave_the_output(name) -> None:
    x, g = np.full((2, 3), 0.5, "f4"), np.full((2, 3), 7, "f4")
    z = np.array([[0, 1, 0], [1, 2, 0]], "f4")
    with pytest.raises(ValueError, match=r"labels\[1, 1\] is 2"):
        getattr(fastce, name)(x, z, grad_out=g)
    assert (g == 7).all()
    z[1, 1] = 0
    with pytest.raises(ValueError, match="grad_out overlaps"):
        getattr(fastce, name)(x, z, grad_out=z)


def test_scalars_are_checked_all_the_same() -> None:
    x, y = np.zeros((3, 4), "f4"), np.array([0, 1, 2])
    for options in (
        {"label_smoothing": 1.5},
        {"label_smoothing": False},
        {"z_loss": -1.0},
        {"ignore_index": 0.5},
        {"reduction": "average"},
        {"num_threads": 0},
        {"axis": 2},
    ):
        with pytest.raises((ValueError, TypeError)):
            fastce.softmax_cross_entropy(x, y, **options)
