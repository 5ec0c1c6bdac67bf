"""Classes that are not last: where tiles, their batches and cache lines begin and end."""

import cases
import numpy as np
import pytest
import wide
from ulp import assert_within

from fastce import log_softmax, softmax, softmax_cross_entropy
from fastce._dispatch import softmax as dispatch

F32, F64 = cases.DTYPES
F16 = np.dtype(np.float16)

# A tile has up to 512 rows, a batch of them 64. These end with a tile, some rows after, or before.
INNER = (64, 511, 512, 515, 577, 1030, 1345)


def problem(n_classes, inner, dtype=F32):
    """Return two images' logits, their classes on axis 1, and labels."""
    shape = (2, n_classes, inner)
    return cases.random_logits(shape, dtype), cases.random_labels((2, inner), n_classes)


def placed(like, offset):
    """Return an array that begins so many elements after a cache line, and all of its memory."""
    memory = np.full(like.size + 256, 7, like.dtype)
    begin = -memory.ctypes.data % 64 // like.itemsize + 64 + offset
    return memory[begin : begin + like.size].reshape(like.shape), memory


@pytest.mark.parametrize("dtype", [F32, F64, F16], ids=str)
def test_lines_that_tiles_share_are_written_whole(dtype, isa, monkeypatch) -> None:
    """Past the caches the same bits as by ordinary stores, at every alignment."""
    for n_classes, inners in ((1, (515,)), (5, INNER), (1100, (79,))):
        for inner in inners:
            logits, labels = problem(n_classes, inner, dtype)
            labels[:, ::7] = -100
            calls = (
                lambda out, x=logits, y=labels: softmax_cross_entropy(x, y, axis=1, grad_out=out)[
                    1
                ],
                lambda out, x=logits: softmax(x, axis=1, out=out),
                lambda out, x=logits: log_softmax(x, axis=1, out=out),
            )
            for call in calls:
                monkeypatch.undo()
                true = call(np.empty_like(logits))
                monkeypatch.setattr(dispatch, "STREAMING_BYTES", 0)
                for offset in (0, 1, 4, 15) if n_classes == 5 else (3,):
                    out, memory = placed(logits, offset)
                    np.testing.assert_array_equal(call(out), true)
                    out[...] = 7
                    assert (memory == 7).all(), f"{inner} rows, offset {offset}: written beside"


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_one_group_of_a_tile_needs_shifts_of_its_own(dtype, each_isa) -> None:
    """Rows far from 0, of NaN or of -inf change no other row of their tile."""
    for inner, place in ((512, 100), (1030, 700), (1030, 1029)):
        logits, labels = problem(21, inner, dtype)
        logits[0, :, place] += 1000
        logits[1, :, place] -= 200
        logits[1, 3, place - 70] = np.nan
        logits[0, 1:, place - 65] = -np.inf
        logits[0, :, place - 64] = -np.inf
        for options in ({}, {"label_smoothing": 0.1}):
            true = wide.softmax_cross_entropy(logits, labels, axis=1, reduction="none", **options)
            for isa in each_isa():
                what = f"{isa}, {inner} rows, {options}"
                loss, grad = softmax_cross_entropy(
                    logits, labels, axis=1, reduction="none", return_grad=True, **options
                )
                assert_within(loss, true.loss, true.loss_tolerance, dtype, what)
                assert_within(grad, true.gradient, true.gradient_tolerance, dtype, what)


def test_a_clear_winner_keeps_its_digits_beside_other_rows(each_isa) -> None:
    logits, labels = problem(10, 300)
    logits[:, :, ::3] -= 60 * (np.arange(10)[:, None] != labels[:, None, ::3])
    true = wide.softmax_cross_entropy(logits, labels, axis=1, reduction="none")
    for isa in each_isa():
        loss, grad = softmax_cross_entropy(
            logits, labels, axis=1, reduction="none", return_grad=True
        )
        assert_within(loss, true.loss, true.loss_tolerance, F32, isa)
        assert_within(grad, true.gradient, true.gradient_tolerance, F32, isa)
        assert (loss > 0).all()


def test_rows_that_count_for_nothing_may_hold_anything(isa) -> None:
    logits, labels = problem(9, 600)
    clean = logits.copy()
    labels[:, 5::9] = -100
    weight = np.ones(labels.shape)
    weight[:, 7::9] = 0
    for i in (5, 7):
        logits[:, 4, i::9] = (np.nan, np.inf, -np.inf)[i % 3]
    options = {"axis": 1, "sample_weight": weight, "return_grad": True, "return_hess": True}
    for more in ({}, {"label_smoothing": 0.1}, {"z_loss": 0.01}):
        actual = softmax_cross_entropy(logits, labels, **options, **more)
        expected = softmax_cross_entropy(clean, labels, **options, **more)
        for got, true in zip(actual, expected, strict=True):
            np.testing.assert_allclose(got, true, rtol=1e-6, atol=1e-12)
        for got in actual[1:]:
            assert not got[:, :, 5::9].any()
            assert not got[:, :, 7::9].any()


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_more_classes_than_are_kept(dtype, each_isa) -> None:
    """Exponentials that are computed twice give the gradient that kept ones give."""
    n_classes = 1101 if dtype == F32 else 601
    logits, labels = problem(n_classes, 70, dtype)
    logits[0, :, 3] += 500
    for options in ({}, {"label_smoothing": 0.1, "z_loss": 0.01}):
        true = wide.softmax_cross_entropy(logits, labels, axis=1, reduction="none", **options)
        for isa in each_isa():
            in_place = logits.copy()
            for given, out in ((logits, None), (in_place, in_place)):
                loss, grad = softmax_cross_entropy(
                    given,
                    labels,
                    axis=1,
                    reduction="none",
                    return_grad=True,
                    grad_out=out,
                    **options,
                )
                assert_within(loss, true.loss, true.loss_tolerance, dtype, isa)
                assert_within(grad, true.gradient, true.gradient_tolerance, dtype, isa)


@pytest.mark.parametrize("dtype", [F32, F64, F16], ids=str)
def test_rows_that_count_for_nothing_in_one_batch_of_a_tile(dtype, isa) -> None:
    """The other batches of that tile keep their gradient, whether they come before or after."""
    logits, labels = problem(5, 512, dtype)
    for ignored in (slice(0, 1), slice(70, 75), slice(448, 512), slice(63, 65)):
        y = labels.copy()
        y[:, ignored] = -100
        loss, grad = softmax_cross_entropy(logits, y, axis=1, return_grad=True)
        rows = np.ascontiguousarray(np.moveaxis(logits, 1, -1))
        true_loss, true_grad = softmax_cross_entropy(rows, y, return_grad=True)
        assert loss == pytest.approx(true_loss, rel=1e-7)
        np.testing.assert_allclose(
            grad.astype(np.float64), np.moveaxis(true_grad, -1, 1).astype(np.float64), rtol=2e-3
        )
