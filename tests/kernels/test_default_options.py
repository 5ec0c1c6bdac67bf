"""One way in: options that change nothing change no bit, whatever their arguments look like."""

import math

import cases
import ml_dtypes
import numpy as np
import pytest

import fastce
from fastce._dispatch import loss

LABEL_DTYPES = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4", ">u8")
SHAPES = ((1, 10), (7, 3), (65, 2), (3, 200), (10,), (2, 3, 5), (3000, 10))
SIXTY_FOURTH = 2.0**-6  # numbers of few bits: whatever is made of them is exact


def inputs(shape, dtype="f4"):
    """Return logits, a label for each row, labels of elements and probabilities of elements."""
    x = cases.random_logits(shape, np.dtype("f4")).astype(dtype)
    y = np.asarray(cases.random_labels(shape[:-1], min(shape[-1], 100)))
    z = (cases.seeded(5, *shape).random(shape) < 0.5).astype("f4")
    p = cases.seeded(6, *shape).integers(1, 64, shape) * SIXTY_FOURTH
    return x, y, z, p.astype(dtype)


def same(result, true, rtol=0.0) -> None:
    """Assert that results are the same; losses of another formula within rounding."""
    result, true = ((r if isinstance(r, tuple) else (r,)) for r in (result, true))
    for got, expected in zip(result, true, strict=True):
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol)


def unaligned(a):
    """Return a copy whose elements lie at odd addresses."""
    copy = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    copy[...] = a
    return copy


# The same numbers, in arrays that are read where they lie, converted, or copied block by block.
FORMS = {
    "list": lambda a: a.tolist(),
    "Fortran": lambda a: np.array(a, order="F"),
    "every second": lambda a: np.repeat(a, 2, -1)[..., ::2] if a.ndim else a,
    "reversed": lambda a: a[..., ::-1].copy()[..., ::-1] if a.ndim else a,
    "foreign": lambda a: a.astype(a.dtype.newbyteorder()),
    "unaligned": unaligned,
    "read-only": lambda a: np.broadcast_to(a, a.shape),
    "matrix": lambda a: a.view(np.matrix) if a.ndim == 2 else a,
    "buffer": memoryview,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES[:6], ids=str)
def test_arrays_in_every_form_give_the_same(isa, shape, form) -> None:
    x, y, z, p = inputs(shape)
    change = FORMS[form]
    rows, classes, each = (np.ones(s, "f4") for s in (shape[:-1], shape[-1:], shape))
    x64 = x.astype("f8")  # lists are float64
    options = {"return_grad": True, "reduction": "none"}
    true = fastce.softmax_cross_entropy(x64, y, **options)
    changed = {"class_weight": change(classes), "sample_weight": change(rows)}
    same(fastce.softmax_cross_entropy(change(x64), change(y), **options), true, 1e-15)
    same(fastce.softmax_cross_entropy(x64, change(y), **options, **changed), true, 1e-15)
    for function, given in ((fastce.sigmoid_cross_entropy, x64), (fastce.binary_cross_entropy, p)):
        given = given.astype("f8")
        true = function(given, z, **options)
        changed = {"sample_weight": change(each)}
        same(function(change(given), change(z), **options), true, 1e-15)
        same(function(given, change(z), **options, **changed), true, 1e-15)
    for name in ("softmax", "log_softmax", "logsumexp", "sigmoid"):
        same(getattr(fastce, name)(change(x64)), getattr(fastce, name)(x64), 1e-15)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("label", LABEL_DTYPES)
def test_labels_of_every_dtype_give_the_same_bits(isa, shape, label) -> None:
    x, y, z, _ = inputs(shape)
    for reduction in ("mean", "none"):
        options = {"reduction": reduction, "return_grad": True}
        true = fastce.softmax_cross_entropy(x, y, **options)
        same(fastce.softmax_cross_entropy(x, y.astype(label), **options), true)
        true = fastce.sigmoid_cross_entropy(x, z, **options)
        same(fastce.sigmoid_cross_entropy(x, z.astype(label), **options), true, 1e-9)


NEUTRAL = (
    {"label_smoothing": 0},
    {"z_loss": 0},
    {"ignore_index": -1},
    {"ignore_index": np.int8(-100)},
    {"normalizer": "valid"},
    {"normalizer": "all"},
    {"normalizer": "nonzero"},
    {"normalizer": "rows"},
    {"reduction": np.str_("mean")},
    {"return_grad": np.True_},
    {"num_threads": 1},
    {"num_threads": np.int64(2)},
)


@pytest.mark.parametrize("options", NEUTRAL, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_options_that_change_nothing_change_no_bit(isa, shape, options) -> None:
    x, y, z, p = inputs(shape)
    rows = max(math.prod(shape[:-1]), 1)
    for name, function, given, labels in (
        ("softmax", fastce.softmax_cross_entropy, x, y),
        ("sigmoid", fastce.sigmoid_cross_entropy, x, z),
        ("binary", fastce.binary_cross_entropy, p, z),
    ):
        more = dict(options)
        if more.get("normalizer") == "rows":
            more["normalizer"] = rows if name == "softmax" else x.size
        if name != "softmax" and {"z_loss", "ignore_index"} & more.keys():
            continue
        if name == "binary" and "label_smoothing" in more:
            more = {"eps": 0}
        true = function(given, labels, return_grad=True)
        same(function(given, labels, **{"return_grad": True, **more}), true)
        same(function(given, labels, grad_out=given.copy(), **more), true)
        in_place = given.copy()
        same(function(in_place, labels, grad_out=in_place, **more), true)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_weights_of_one_change_nothing_but_rounding(isa, shape) -> None:
    """Rows with a weight take another kernel than those without."""
    x, y, z, _ = inputs(shape)
    rows, classes = np.ones(shape[:-1]), np.ones(shape[-1])
    true = fastce.softmax_cross_entropy(x, y, return_grad=True)
    for dtype in ("f8", "f4", "f2", "?", "i8", ">f8", ml_dtypes.bfloat16, np.longdouble):
        for options in ({"class_weight": classes}, {"sample_weight": rows}):
            options = {name: w.astype(dtype) for name, w in options.items()}
            same(fastce.softmax_cross_entropy(x, y, return_grad=True, **options), true, 1e-6)
    true = fastce.sigmoid_cross_entropy(x, z, return_grad=True)
    for options in (
        {"pos_weight": 1.0},
        {"pos_weight": classes},
        {"sample_weight": rows[..., None]},
    ):
        same(fastce.sigmoid_cross_entropy(x, z, return_grad=True, **options), true, 1e-6)


OPTIONS = (
    {"reduction": "none"},
    {"reduction": "sum"},
    {"normalizer": "all"},
    {"normalizer": 7},
    {"sample_weight": np.ones(6, "f4")},
    {"sample_weight": 2.0},
    {"axis": -1},
    {"axis": 1},
    {"label_smoothing": 0.1},
    {"return_grad": True},
    {"return_hess": True},
    {"grad_out": np.empty((6, 5))},
)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: str([*options]))
def test_arrays_of_numpy_are_read_as_they_are_given(isa, options, monkeypatch) -> None:
    """Python has nothing to convert, and no block to copy."""

    def fail(*_: object) -> None:
        raise AssertionError("the call was made again")

    monkeypatch.setattr(loss, "again", fail)
    x, y, z, _ = inputs((6, 5), "f8")
    classes = np.arange(1, 6, dtype="f4")
    layouts = [x, x[::-1], np.repeat(x, 2, 0)[::2]]
    if "grad_out" not in options:  # which is in C order
        layouts.append(np.asfortranarray(x))
    for logits in layouts:
        for given in ({}, {"class_weight": classes}, {"z_loss": 0.1}, {"ignore_index": 3}):
            fastce.softmax_cross_entropy(logits, y, **given, **options)
            fastce.softmax_cross_entropy(logits, np.repeat(y.astype(">i2"), 2)[::2], **options)
    if not {"sample_weight", "axis"} & options.keys():
        for given in ({}, {"pos_weight": classes}, {"pos_weight": 2.0}, {"sample_weight": z}):
            fastce.sigmoid_cross_entropy(x, z, **given, **options)


@pytest.mark.parametrize("shape", [s for s in SHAPES if len(s) > 1], ids=str)
@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", ml_dtypes.bfloat16])
def test_an_axis_by_any_name_gives_the_same_bits(isa, shape, dtype) -> None:
    x, y, z, _ = inputs(shape, dtype)
    last = len(shape) - 1
    true = fastce.softmax_cross_entropy(x, y, return_grad=True)
    for axis in (last, np.int64(-1)):
        same(fastce.softmax_cross_entropy(x, y, axis=axis, return_grad=True), true)
        same(fastce.softmax(x, axis=axis), fastce.softmax(x))
        one = fastce.sigmoid_cross_entropy(x, z, axis=axis, reduction="none")
        same(one, fastce.sigmoid_cross_entropy(x, z, axis=-1, reduction="none"))


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
        {"return_grad": 1},
        {"return_hess": None},
        {"normalizer": 0},
        {"class_weight": np.ones(3)},
        {"sample_weight": np.ones(2)},
    ):
        with pytest.raises((ValueError, TypeError)):
            fastce.softmax_cross_entropy(x, y, **options)
