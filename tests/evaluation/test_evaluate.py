"""`fastce.evaluate`: numbers from the formulas, for whatever logits and labels come as."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from commands import reference
from scipy import special

import fastce
from fastce.evaluation.engine import pieces, rows
from fastce.readers.errors import InputError

L3 = math.log(3)


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(11)
    x = rng.normal(0, 3, (60, 7)).astype(np.float32)
    y = rng.integers(0, 7, 60)
    y[::9] = -100
    return x, y


@pytest.fixture
def small(monkeypatch):
    for module in (rows, pieces):
        monkeypatch.setattr(module, "PIECE_BYTES", 100)
        monkeypatch.setattr(module, "PIECE_ROWS", 5)
    monkeypatch.setattr(pieces, "CHUNK_BYTES", 300)


def numbers(result):
    return result.receipt, result.loss, result.accuracy, result.ece()


class Blocks:
    """Slices of the first axis alone, as data sets of files are read."""

    def __init__(self, array):
        self._array, self.shape, self.dtype, self.chunks = array, array.shape, array.dtype, (8, 7)

    def __getitem__(self, part):
        assert isinstance(part, slice)
        return self._array[part]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("threads", [1, 3])
def test_any_holder_any_cut_any_threads(tmp_path, case, threads):
    x, y = case
    losses, _, hits = reference(x, y)
    whole = fastce.evaluate(x, y, num_threads=1)
    assert whole.loss == pytest.approx(losses.mean(), rel=1e-7)
    assert whole.accuracy == hits.mean()
    for index, part in enumerate(np.split(np.arange(60), [20, 31])):
        np.save(tmp_path / f"x{index}.npy", x[part])
        np.save(tmp_path / f"y{index}.npy", y[part])
    np.save(tmp_path / "labels.npy", y)
    np.savez(tmp_path / "both.npz", logits=x, labels=y)
    x_files = [tmp_path / f"x{i}.npy" for i in range(3)]
    y_files = [str(tmp_path / f"y{i}.npy") for i in range(3)]
    for logits, labels in [
        (x, y),
        (x.tolist(), y.tolist()),
        (Blocks(x), y),
        ([x[:13], x[13:]], [y[:13], y[13:]]),
        ([x[:13], x[13:]], y),
        (x_files, y_files),
        (str(tmp_path / "x*.npy"), str(tmp_path / "y*.npy")),
        (str(tmp_path / "x*.npy"), tmp_path / "labels.npy"),
        (tmp_path / "both.npz", None),
        (np.asfortranarray(x), y),
        (np.load(tmp_path / "both.npz")["logits"][::-1], y[::-1]),
    ]:
        if isinstance(logits, list) and isinstance(logits[0], list):
            logits = np.asarray(logits, np.float32)
        found = fastce.evaluate(logits, labels, num_threads=threads)
        assert numbers(found) == numbers(whole)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("axis", [0, 1, 2, -2])
def test_any_axis(axis):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(4, 6, 5))
    y = rng.integers(0, x.shape[axis], np.delete(x.shape, axis))
    moved = np.ascontiguousarray(np.moveaxis(x, axis, -1))
    assert numbers(fastce.evaluate(x, y, axis=axis)) == numbers(fastce.evaluate(moved, y))
    wanted = fastce.evaluate(moved, y)
    order_f = fastce.evaluate(np.asfortranarray(x), y, axis=axis)
    assert numbers(order_f) == numbers(wanted)


def test_classes_on_the_first_axis_of_a_square():
    x = np.array([[0, 0, 0], [L3, 0, 0], [0, 0, 0]])
    y = np.array([1, 1, 2])
    with pytest.warns(UserWarning, match="axis 1; axis 0 would fit as well"):
        assert fastce.evaluate(x, y).loss == pytest.approx(1.2688874966)
    with pytest.warns(UserWarning, match="axis 0; axis 1"):
        assert fastce.evaluate(x, y, axis=0).loss == pytest.approx(0.9026834004)


def test_bfloat16():
    x = np.random.default_rng(0).normal(0, 2, (40, 11)).astype(ml_dtypes.bfloat16)
    y = np.arange(40) % 11
    losses, _, _ = reference(x.astype(np.float64), y)
    assert fastce.evaluate(x, y).loss == pytest.approx(losses.mean(), rel=1e-6)


# Language models


@pytest.mark.usefixtures("small")
def test_tokens():
    """Loss, perplexity, bytes and documents of a causal language model, from the formulas."""
    rng = np.random.default_rng(4)
    x = rng.normal(0, 2, (3, 8, 12))
    tokens = rng.integers(0, 12, (3, 8))
    mask = np.ones((3, 8), np.int64)
    mask[2, 5:] = 0
    size = rng.integers(1, 6, 12)
    documents = np.array([10, 11, 10])
    logs = special.log_softmax(x, axis=-1)
    scored = [
        (b, -logs[b, t, tokens[b, t + 1]], tokens[b, t + 1])
        for b in range(3)
        for t in range(7)
        if mask[b, t + 1]
    ]
    losses = np.array([loss for _, loss, _ in scored])
    for y in (tokens, np.asfortranarray(tokens)):
        found = fastce.evaluate(
            x, y, shift=1, mask=mask, groups=documents, token_bytes=size, num_threads=2
        )
        assert found.rows == 18
        assert found.removed_rows == {"mask": 3, "shift": 3}
        assert found.loss == pytest.approx(losses.mean(), rel=1e-12)
        assert found.perplexity == pytest.approx(math.exp(losses.mean()), rel=1e-12)
        total = sum(size[token] for _, _, token in scored)
        assert found.bits_per_byte == pytest.approx(losses.sum() / math.log(2) / total, rel=1e-12)
        of = [losses[[documents[b] == d for b, _, _ in scored]].mean() for d in (10, 11)]
        assert found.documents == 2
        assert [row.loss for row in found.per_group()] == pytest.approx(of, rel=1e-12)
    in_f = fastce.evaluate(np.asfortranarray(x), tokens, shift=1, mask=mask)
    assert in_f.loss == pytest.approx(losses.mean(), rel=1e-12)


def test_shift_of_a_whole_sequence():
    found = fastce.evaluate(np.zeros((2, 3, 4)), np.zeros((2, 3), int), shift=3)
    assert (found.rows, found.all_rows) == (0, 6)
    assert math.isnan(found.loss)


def test_several_ignored_labels():
    x = np.zeros((5, 4))
    y = np.array([0, 255, 3, 2**64 - 100, 1], np.uint64)
    found = fastce.evaluate(x, y, ignore_index=[255, 2**64 - 100, 3])
    assert (found.rows, found.ignored_rows) == (2, 3)
    with pytest.raises(InputError, match=r"labels\[3\] is 18446744073709551516.* -100 in 64 bits"):
        fastce.evaluate(x, y, ignore_index=255)


# Sigmoids and probabilities


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("order", "CF")
def test_sigmoid(order):
    rng = np.random.default_rng(6)
    x = np.asarray(rng.normal(0, 3, (20, 5)), order=order)
    y = rng.integers(0, 2, (20, 5))
    p = special.expit(x)
    losses = -np.where(y, np.log(p), np.log1p(-p))
    found = fastce.evaluate(x, y, loss="sigmoid")
    assert found.loss == pytest.approx(losses.mean(), rel=1e-12)
    assert found.accuracy == ((x > 0) == y).mean()
    assert [row.loss for row in found.per_class()] == pytest.approx(losses.mean(axis=0), rel=1e-12)
    assert [row.positives for row in found.per_class()] == y.sum(axis=0).tolist()
    assert numbers(fastce.evaluate(x.T, y.T, loss="sigmoid", axis=0)) == numbers(found)
    probable = fastce.evaluate(p, y.astype(bool), loss="sigmoid", probabilities=True)
    assert probable.loss == pytest.approx(losses.mean(), rel=1e-10)


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_one_logit_a_row(shape):
    x = np.array([3.0, -3.0]).reshape(shape)
    found = fastce.evaluate(x, np.array([1, 0]), loss="sigmoid")
    assert found.loss == pytest.approx(0.0485873516)


def test_one_class_is_no_choice():
    with pytest.warns(UserWarning, match="the loss is sigmoid"):
        assert fastce.evaluate(np.array([[3.0], [-3.0]]), np.array([0, 0])).loss == 0


@pytest.mark.usefixtures("small")
def test_probabilities():
    p = np.array([[0.9, 0.1]])
    with pytest.warns(UserWarning, match="as probabilities do"):
        assert fastce.evaluate(p, [0]).loss == pytest.approx(0.3711006660)
    assert fastce.evaluate(p, [0], probabilities=True).loss == pytest.approx(0.1053605157)
    q = special.softmax(np.random.default_rng(0).normal(0, 2, (50, 6)), axis=-1)
    y = np.arange(50) % 6
    found = fastce.evaluate(q, y, probabilities=True, num_threads=2)
    assert found.loss == pytest.approx(-np.log(q[np.arange(50), y]).mean(), rel=1e-12)
    for bad, text in [
        ([[0.5, 0.2]], "sums to 0.7"),
        ([[-0.5, 1.5]], "expected probabilities"),
        ([[5.0, 1.5]], "are they logits"),
    ]:
        with pytest.raises(InputError, match=text):
            fastce.evaluate(np.array(bad), [0], probabilities=True)


# What is not finite


def test_rows_with_nan_have_no_prediction():
    x = np.array([[2.0, 1.0], [np.nan, 0.0], [0.0, 4.0], [0.0, 1.0]])
    found = fastce.evaluate(x, np.array([0, 0, 1, 0]))
    assert (found.rows, found.nonfinite_rows, found.ranked_rows) == (4, 1, 3)
    assert found.nonfinite_places == (("", 1),)
    assert found.accuracy == 2 / 3
    assert found.mrr == pytest.approx((1 + 1 + 1 / 2) / 3, rel=1e-15)
    variance = np.var([1, 1, 0], ddof=1) / 3
    assert found.accuracy_standard_error == pytest.approx(math.sqrt(variance), rel=1e-14)
    assert math.isnan(found.loss)
    nothing = fastce.evaluate(np.full((2, 3), np.nan), np.zeros(2, int))
    assert math.isnan(nothing.accuracy)


def test_a_large_finite_loss():
    x = np.tile([-8e307, 8e307], (20, 1))
    found = fastce.evaluate(x, np.zeros(20, int))
    assert found.loss == 1.6e308
    assert found.perplexity == math.inf
    assert found.loss_sum == math.inf


# States


def test_a_state_goes_on(case):
    x, y = case
    state = fastce.Evaluation(7)
    fastce.evaluate(x[:20], y[:20], state=state)
    found = fastce.evaluate(x[20:], y[20:], state=state)
    whole = fastce.evaluate(x, y)
    assert numbers(found) == numbers(whole)
    assert found.sources == whole.sources == {"": ((0, 60),)}


# Refusals


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ((np.zeros((3, 4)), np.zeros(4, int)), {}, "the classes on axis 0 they would fit"),
        ((np.zeros((2, 5, 4)), np.zeros((2, 4), int)), {}, "axis 1 they would fit"),
        ((np.zeros((6, 4)), np.zeros((2, 3), int)), {}, r"reshaped to \(6,\) they would fit"),
        ((np.zeros(3, int), np.zeros((3, 4))), {}, "are the two swapped"),
        ((np.zeros((3, 4)), np.zeros(3)), {}, r"astype\(int\)"),
        ((np.zeros((3, 4)), np.zeros((3, 4))), {}, "argmax gives the classes"),
        ((np.zeros((3, 4)), np.array(["a", "b", "c"])), {}, "numpy.unique"),
        ((np.zeros((3, 4)), np.zeros(3, int)), {"axis": 2}, "expected an axis 2"),
        ((np.zeros((3, 4)), np.array([0, 4, 0])), {}, r"labels\[1\] is 4, expected 0 to 3"),
        ((np.zeros((3, 2)), np.zeros(3, int)), {"loss": "sigmoid"}, "the column of 'yes'"),
        ((np.zeros((3, 2)), np.full((3, 2), 2)), {"loss": "sigmoid"}, r"labels\[0, 0\] is 2"),
        ((np.zeros((3, 4)), np.zeros(3, int)), {"mask": np.ones(4)}, r"mask of shape \(4,\)"),
        ((np.zeros((3, 4)), np.zeros(3, int)), {"groups": np.ones(3)}, "groups of dtype float64"),
        ((np.zeros((3, 4)), None), {}, "expected labels for logits in memory"),
        (([], []), {}, "logits: "),
        (([np.zeros((3, 4)), np.zeros((3, 5))], np.zeros(6, int)), {}, "5 classes, expected 4"),
    ],
)
def test_what_does_not_fit(arguments, options, text):
    with pytest.raises(InputError, match=text):
        fastce.evaluate(*arguments, **options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"loss": "hinge"}, "loss is 'hinge'"),
        ({"shift": -1}, "shift is -1"),
        ({"num_threads": 0}, "num_threads is 0"),
        ({"ignore_index": 1.5}, "ignore_index is 1.5"),
        ({"probabilities": 1}, "probabilities is 1"),
        ({"class_weight": [1, 2]}, "class_weight has shape"),
        ({"temperature": 0}, "temperature is 0"),
        ({"state": 5}, "state is int"),
        ({"state": fastce.Evaluation(9)}, "9 classes"),
    ],
)
def test_options_of_no_use(options, text):
    with pytest.raises((TypeError, ValueError), match=text):
        fastce.evaluate(np.zeros((3, 4)), np.zeros(3, int), **options)


def test_all_labels_come_before_the_first_logit(case):
    x, _ = case

    class Unread(Blocks):
        def __getitem__(self, part):
            raise AssertionError("a logit was read")

    bad = np.zeros(60, int)
    bad[-1] = 7
    with pytest.raises(InputError, match=r"labels\[1\]\[59\]|labels\[59\] is 7"):
        fastce.evaluate([Unread(x), Unread(x)], [np.zeros(60, int), bad])


def test_the_same_rows_twice(tmp_path, case):
    x, y = case
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(InputError, match=r"x.npy.* already"):
        fastce.evaluate([tmp_path / "x.npy"] * 2, [y, y])
