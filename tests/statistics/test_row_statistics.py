"""What row_statistics returns: fields, layouts, threads, ignored and flawed rows."""

import cases
import ml_dtypes
import numpy as np
import pytest

import fastce

F32 = np.dtype(np.float32)
FIELDS = fastce.RowStatistics._fields
OF_LABELS = ("loss", "rank", "brier")


def same(got, expected, what="") -> None:
    """Assert that all statistics have the same bits, and NaN at the same places."""
    for name in FIELDS:
        a, b = getattr(got, name), getattr(expected, name)
        np.testing.assert_array_equal(a, b, err_msg=f"{name} {what}", strict=True)


def test_a_table_by_hand(isa) -> None:
    """Three classes with probabilities 1/2, 1/4 and 1/4, whose logarithms are the logits."""
    x = np.log([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]])
    s = fastce.row_statistics(x, [0, 1])
    ln2 = np.log(2)
    np.testing.assert_allclose(s.loss, [ln2, 2 * ln2], rtol=1e-15)
    np.testing.assert_allclose(s.logsumexp, [0, 0], atol=1e-15)
    assert s.predicted.tolist() == [0, 2]
    assert s.rank.tolist() == [0, 2]
    np.testing.assert_allclose(s.confidence, [0.5, 0.5], rtol=1e-15)
    np.testing.assert_allclose(s.margin, [ln2, ln2], rtol=1e-15)
    np.testing.assert_allclose(s.entropy, [1.5 * ln2, 1.5 * ln2], rtol=1e-15)
    np.testing.assert_allclose(s.brier, [0.375, 0.0625 + 0.5625 + 0.25], rtol=1e-15)
    np.testing.assert_allclose(s.mean_logit, [-1.5 * ln2, -1.5 * ln2], rtol=1e-15)
    np.testing.assert_allclose(s.logit_variance, [0.25 * ln2**2] * 2, rtol=1e-14)


def test_fields_that_are_asked_for() -> None:
    x, y = cases.random_logits((40, 33), F32), cases.random_labels((40,), 33)
    everything = fastce.row_statistics(x, y)
    without_labels = fastce.row_statistics(x)
    for name in FIELDS:
        alone = fastce.row_statistics(x, y, fields=[name])
        np.testing.assert_array_equal(getattr(alone, name), getattr(everything, name))
        assert all(getattr(alone, other) is None for other in FIELDS if other != name)
        value = getattr(without_labels, name)
        assert (value is None) == (name in OF_LABELS)
        kind = np.int64 if name in ("predicted", "rank") else np.float64
        assert getattr(everything, name).dtype == kind
    assert fastce.row_statistics(x, fields=()) == (None,) * len(FIELDS)


@pytest.mark.parametrize("dtype", [*cases.DTYPES, np.dtype(ml_dtypes.bfloat16)], ids=str)
@pytest.mark.parametrize("shape", [(21, 1), (21, 3), (5, 4, 40), (3, 7, 130), (9, 300)], ids=str)
def test_layouts_change_no_bit(shape, dtype, isa) -> None:
    x = cases.random_logits(shape, F32).astype(dtype)
    y = cases.random_labels(shape[:-1], shape[-1])
    expected = fastce.row_statistics(x, y)
    for name, laid in cases.layouts(x):
        same(fastce.row_statistics(laid, y), expected, f"of logits {name}")
    for name, laid in cases.layouts(y):
        same(fastce.row_statistics(x, laid), expected, f"with labels {name}")
    for axis in range(len(shape)):
        moved = np.ascontiguousarray(np.moveaxis(x, -1, axis))
        same(fastce.row_statistics(moved, y, axis=axis), expected, f"of classes on axis {axis}")
    wide = np.zeros((*shape[:-1], shape[-1] + 3), dtype)
    wide[..., 1:-2] = x
    same(fastce.row_statistics(wide[..., 1:-2], y), expected, "of a part of wider rows")


@pytest.mark.parametrize("shape", [(5000, 10), (700, 100), (300, 1000), (3, 40000)], ids=str)
def test_threads_change_no_bit(shape, isa) -> None:
    x, y = cases.random_logits(shape, F32), cases.random_labels(shape[:1], shape[1])
    expected = fastce.row_statistics(x, y, num_threads=1)
    for threads in (2, 3, 5):
        same(fastce.row_statistics(x, y, num_threads=threads), expected)


@pytest.mark.parametrize("n", [2, 5, 16, 17, 100, 250, 1000])
def test_rank_is_that_of_a_stable_sort(n, isa) -> None:
    """Among equal logits the first class is the best, as for numpy.argmax."""
    rng = cases.seeded(n)
    x = rng.integers(-2, 3, (200, n)).astype(np.float32)
    x[::3] *= -0.0
    x[::7, rng.integers(n)] = -np.inf
    y = rng.integers(0, n, 200)
    s = fastce.row_statistics(x, y)
    order = np.argsort(-x, axis=1, kind="stable")
    np.testing.assert_array_equal(s.rank, (order == y[:, None]).argmax(1))
    np.testing.assert_array_equal(s.predicted, x.argmax(1))
    np.testing.assert_array_equal(s.rank == 0, s.predicted == y)


@pytest.mark.parametrize("n", [2, 10, 193, 1000])
@pytest.mark.parametrize("dtype", [*cases.DTYPES, np.dtype(np.float16)], ids=str)
def test_rows_of_which_nothing_can_be_said(n, dtype, isa) -> None:
    x = cases.random_logits((12, n), dtype)
    y = cases.random_labels((12,), n)
    plain = fastce.row_statistics(x, y)
    x[1, n // 2] = np.nan
    x[3, n - 1] = np.inf
    x[5] = -np.inf
    x[7] = np.nan
    x[9, 0] = -np.nan
    flawed = np.array([1, 3, 5, 7, 9])
    for fields in (FIELDS, ("predicted", "rank", "margin"), ("loss", "confidence", "rank")):
        s = fastce.row_statistics(x, y, fields=fields)
        for name in fields:
            value = getattr(s, name)
            bad = value[flawed] == -1 if name in ("predicted", "rank") else np.isnan(value[flawed])
            assert bad.all(), (name, fields)
            others = np.delete(np.arange(12), flawed)
            np.testing.assert_array_equal(value[others], getattr(plain, name)[others])


def test_ignored_rows(isa) -> None:
    x, y = cases.random_logits((30, 12), F32), cases.random_labels((30,), 12)
    plain = fastce.row_statistics(x, y)
    y[::4] = -7
    x[4] = np.nan
    s = fastce.row_statistics(x, y, ignore_index=-7)
    assert (s.loss[::4] == 0).all()
    assert (s.brier[::4] == 0).all()
    assert (s.rank[::4] == -1).all()
    assert np.isnan(s.entropy[4])
    assert s.predicted[4] == -1
    kept = np.arange(30) % 4 != 0
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(s, name)[kept], getattr(plain, name)[kept])
        if name not in OF_LABELS:
            rest = np.arange(30) != 4
            np.testing.assert_array_equal(getattr(s, name)[rest], getattr(plain, name)[rest])


def test_masks_and_a_single_class(isa) -> None:
    s = fastce.row_statistics(np.float32([[2, -np.inf, -np.inf], [0, 0, -np.inf]]), [1, 1])
    assert s.loss.tolist() == [np.inf, np.log(2)]
    assert s.margin.tolist() == [np.inf, 0]
    assert s.rank.tolist() == [1, 1]
    assert s.confidence.tolist() == [1, 0.5]
    assert s.entropy.tolist() == [0, np.log(2)]
    assert s.brier.tolist() == [2, 0.5]
    one = fastce.row_statistics([[3.0], [-2.0]], [0, 0])
    assert one.loss.tolist() == [0, 0]
    assert one.margin.tolist() == [np.inf, np.inf]
    assert one.logit_variance.tolist() == [0, 0]


def test_a_temperature_divides_in_double(isa) -> None:
    for n in (3, 40, 300):
        x, y = cases.random_logits((20, n), F32), cases.random_labels((20,), n)
        expected = fastce.row_statistics(x.astype(np.float64) / 1.7, y)
        same(fastce.row_statistics(x, y, temperature=1.7), expected)
        same(fastce.row_statistics(x.T, y, axis=0, temperature=1.7), expected)
        same(fastce.row_statistics(x, y, temperature=np.float32(1)), fastce.row_statistics(x, y))


def test_no_rows_and_a_single_row() -> None:
    empty = fastce.row_statistics(np.zeros((0, 4), F32), np.zeros(0, int))
    assert all(value.shape == (0,) for value in empty)
    x = cases.random_logits((7,), F32)
    one = fastce.row_statistics(x, 3)
    assert all(isinstance(value, np.ndarray) and value.shape == () for value in one)
    same(fastce.RowStatistics(*(v[None] for v in one)), fastce.row_statistics(x[None], [3]))
