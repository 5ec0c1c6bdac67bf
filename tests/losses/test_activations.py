"""logsumexp, log_softmax, softmax and sigmoid."""

import cases
import numpy as np
import pytest
import wide_elements
from ulp import assert_within

import fastce

F32, F64 = cases.DTYPES
INF, NAN = np.inf, np.nan
NAMES = ("logsumexp", "log_softmax", "softmax")
CLASS_COUNTS = (*range(1, 40), 63, 64, 65, 70, 127, 128, 130)
CLASS_COUNTS += (239, 256, 257, 273, 319, 320, 529, 1001, 4097)


def unusual_rows(n_classes: int, dtype) -> np.ndarray:
    """Return rows with NaN, inf and -inf, ordinary ones between them."""
    rows = cases.random_logits((24, n_classes), dtype)
    rows[0], rows[2], rows[4] = INF, -INF, NAN
    rows[6, 0], rows[8, -1], rows[10, n_classes // 2] = NAN, NAN, NAN
    rows[12, 0], rows[14, -1], rows[16, n_classes // 2] = INF, INF, INF
    rows[18, 0], rows[20, -1] = -INF, -INF
    rows[22], rows[22, 0] = -INF, 3.0
    return rows


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_every_kind_of_row(dtype, name, each_isa) -> None:
    for n_classes in CLASS_COUNTS:
        logits, _, _ = cases.rows_of_every_kind(n_classes, dtype)
        logits = np.concatenate(
            [logits[: None if n_classes < 300 else 20], unusual_rows(n_classes, dtype)]
        )
        true = getattr(wide_elements, name)(logits)
        allowed = wide_elements.activation_tolerance(true, dtype)
        for isa in each_isa():
            result = getattr(fastce, name)(logits)
            assert result.dtype == dtype
            assert_within(result, true, allowed, dtype, f"{isa}, {n_classes} classes")


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_sigmoid(dtype, each_isa) -> None:
    x = np.concatenate(
        [
            np.linspace(-800, 800, 8001),
            np.geomspace(1e-40, 1e30, 301),
            -np.geomspace(1e-40, 1e30, 301),
            [0.0, -0.0, INF, -INF, NAN],
        ]
    ).astype(dtype)
    true = wide_elements.sigmoid(x)
    allowed = wide_elements.activation_tolerance(true, dtype)
    for isa in each_isa():
        for length in (1, 3, 16, 17, len(x)):
            result = fastce.sigmoid(x[-length:])
            assert_within(result, true[-length:], allowed[-length:], dtype, isa)
        assert fastce.sigmoid(np.float32(0)).shape == ()


@pytest.mark.parametrize("name", NAMES)
def test_every_axis(name, each_isa) -> None:
    for shape in ((3, 2, 17), (4, 10, 33), (2, 130, 5), (5, 2, 3, 4), (7,), (3, 300)):
        for dtype in cases.DTYPES:
            logits = cases.random_logits(shape, dtype)
            for axis in range(-len(shape), len(shape)):
                true = getattr(wide_elements, name)(logits, axis=axis)
                allowed = wide_elements.activation_tolerance(true, dtype)
                for isa in each_isa():
                    result = getattr(fastce, name)(logits, axis=axis)
                    assert_within(result, true, allowed, dtype, f"{isa}, {shape}, axis {axis}")


@pytest.mark.parametrize("name", [*NAMES, "sigmoid"])
def test_out(name, isa) -> None:
    function = getattr(fastce, name)
    for shape in ((33, 2), (33, 9), (20, 130), (20, 300)):
        logits = cases.random_logits(shape, F32)
        before = logits.copy()
        expected = function(logits)
        out = np.full(expected.shape, 7, np.float32)
        assert function(logits, out=out) is out
        np.testing.assert_array_equal(out, expected)
        np.testing.assert_array_equal(logits, before)
        if name != "logsumexp":
            assert function(logits, out=logits) is logits
            np.testing.assert_array_equal(logits, expected)
            with pytest.raises(ValueError, match="out"):
                function(logits, out=logits[::-1])
        for bad in (np.zeros(expected.shape), np.zeros((*expected.shape, 1), np.float32)):
            with pytest.raises(ValueError, match="out"):
                function(logits, out=bad)
        out.flags.writeable = False
        with pytest.raises(ValueError, match="out"):
            function(logits, out=out)


@pytest.mark.parametrize("name", [*NAMES, "sigmoid"])
def test_layouts(name, isa) -> None:
    function = getattr(fastce, name)
    for shape in ((17, 2), (9, 10), (3, 4, 40), (6, 300)):
        for dtype in cases.DTYPES:
            logits = cases.random_logits(shape, dtype)
            true = getattr(wide_elements, name)(logits)
            allowed = wide_elements.activation_tolerance(true, dtype)
            for layout, laid in cases.layouts(logits):
                assert_within(function(laid), true, allowed, dtype, layout)
            for layout, out in cases.layouts(np.zeros(true.shape, dtype)):
                if out.flags.writeable and out.dtype.isnative:
                    assert function(logits, out=out) is out
                    assert_within(out, true, allowed, dtype, f"out, {layout}")


def test_they_agree_with_each_other(isa) -> None:
    logits = cases.random_logits((40, 30), F64)
    np.testing.assert_allclose(
        np.exp(fastce.log_softmax(logits)), fastce.softmax(logits), rtol=1e-14
    )
    np.testing.assert_allclose(
        logits - fastce.logsumexp(logits)[:, None],
        fastce.log_softmax(logits),
        rtol=1e-14,
        atol=1e-15,
    )
    np.testing.assert_allclose(fastce.softmax(logits).sum(axis=1), 1, rtol=1e-15 * 30)
    pair = np.stack([logits[:, 0], np.zeros(40)], axis=1)
    np.testing.assert_allclose(fastce.softmax(pair)[:, 0], fastce.sigmoid(logits[:, 0]), rtol=1e-15)


@pytest.mark.parametrize("name", [*NAMES, "sigmoid"])
def test_no_rows(name) -> None:
    result = getattr(fastce, name)(np.empty((0, 3), np.float32))
    assert result.shape == ((0,) if name == "logsumexp" else (0, 3))
    assert result.dtype == F32


@pytest.mark.parametrize("name", [*NAMES, "sigmoid"])
def test_errors(name) -> None:
    function = getattr(fastce, name)
    for dtype in (int, bool, complex, object, np.longdouble):
        with pytest.raises(TypeError, match=r"logits.*float32"):
            function(np.zeros((3, 4), dtype))
    with pytest.raises(ValueError, match="num_threads"):
        function(np.zeros((3, 4)), num_threads=0)
    if name != "sigmoid":
        with pytest.raises(ValueError, match="axis"):
            function(np.zeros((3, 4)), axis=2)
        with pytest.raises(ValueError, match="class"):
            function(np.zeros((3, 0)))


@pytest.mark.parametrize("name", [*NAMES, "sigmoid"])
def test_the_same_bits_for_every_number_of_threads(name, isa) -> None:
    for shape in ((65, 1257), (5001, 10), (20_003, 3), (3, 50257)):
        logits = cases.random_logits(shape, F32)
        first = getattr(fastce, name)(logits, num_threads=1)
        for num_threads in (1, 2, 3, 8, None):
            again = getattr(fastce, name)(logits, num_threads=num_threads)
            np.testing.assert_array_equal(again, first)
