"""Logits of every kind, through `row_statistics` and the losses."""

import math

import ml_dtypes
import numpy as np
import pytest
from made_statistics import rows, statistics
from scipy.special import expit, log_softmax
from sklearn import metrics

import fastce

KEYS = ("loss", "accuracy", "brier", "entropy", "confidence", "margin", "mrr")


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(600,), (20, 30), (2, 10, 30)])
def test_logits_of_any_dtype_and_shape(dtype, shape) -> None:
    logits, labels = rows(600, 12)
    logits = logits.astype(dtype)
    labels[::5] = -100
    evaluation = fastce.Evaluation(12)
    evaluation.update(logits.reshape(*shape, 12), labels.reshape(shape))
    other = fastce.Evaluation(12)
    other.add(statistics(logits.astype(np.float64), labels), labels)
    for key in KEYS:
        found, expected = (getattr(e.result(), key) for e in (evaluation, other))
        assert found == pytest.approx(expected, rel=1e-6), key
    assert evaluation.result().rows == 480


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_under_options(temperature, weighted, smoothing) -> None:
    logits, labels = rows(500, 6)
    labels[::9] = -100
    weights = np.array([0, 1, 2, 0.5, 3, 1]) if weighted else np.ones(6)
    evaluation = fastce.Evaluation(
        6,
        class_weight=weights if weighted else None,
        label_smoothing=smoothing,
        temperature=temperature,
    )
    evaluation.update(logits, labels)
    valid = labels != -100
    y, log_p = labels[valid], log_softmax(logits[valid] / temperature, axis=1)
    losses = -(1 - smoothing) * weights[y] * log_p[np.arange(len(y)), y]
    losses -= smoothing / 6 * (weights * log_p).sum(axis=1)
    result = evaluation.result()
    assert result.loss == pytest.approx(losses.sum() / weights[y].sum(), rel=1e-6)
    assert result.loss_quantile(1) == pytest.approx(losses.max(), rel=1e-6)
    assert result.accuracy == (log_p.argmax(axis=1) == y).mean()


def test_one_row_and_no_rows() -> None:
    evaluation = fastce.Evaluation(3)
    evaluation.update([1.0, 2.0, 0.0], 1)
    evaluation.update(np.zeros((0, 3)), [])
    assert (evaluation.rows, evaluation.result().hits) == (1, 1)
    assert evaluation.result().sources == {"": ((0, 1),)}


def test_a_zero_weight_times_an_infinite_loss_is_zero() -> None:
    evaluation = fastce.Evaluation(2, class_weight=[0, 1])
    evaluation.update(np.array([[-np.inf, 0.0], [0.0, 0.0]]), np.array([0, 1]))
    assert evaluation.result().loss == pytest.approx(math.log(2))


def test_small_pieces_are_the_whole() -> None:
    logits, labels = rows(40_000, 5)
    logits = logits.astype(np.float32)
    whole = fastce.Evaluation(5)
    whole.update(logits, labels)
    pieces = fastce.Evaluation(5)
    for start in range(0, 40_000, 999):
        pieces.update(logits[start : start + 999], labels[start : start + 999])
    assert pieces.to_bytes() == whole.to_bytes()


def test_labels_that_change_after_the_call() -> None:
    logits, labels = rows(50, 5)
    group = np.zeros(50, np.int64)
    found = statistics(logits, labels)
    evaluation = fastce.Evaluation(5)
    evaluation.add(found, labels, group=group)
    expected = found.loss.mean()
    labels[:], group[:] = 0, np.arange(50)
    for field in found:
        field[:] = 0
    assert evaluation.result().loss == pytest.approx(expected)
    assert evaluation.result().documents == 1


@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_sigmoid(classes, smoothing) -> None:
    generator = np.random.default_rng(2)
    logits = 3 * generator.normal(size=(300, classes))
    labels = (generator.random((300, classes)) < expit(logits)).astype(np.int8)
    labels[::7, 0] = -100
    evaluation = fastce.Evaluation(classes, loss="sigmoid", label_smoothing=smoothing)
    evaluation.update(logits[:100], labels[:100])
    if classes == 1:  # labels without an axis
        evaluation.update(logits[100:, 0], labels[100:, 0])
    else:
        evaluation.update(logits[100:], labels[100:])
    result = evaluation.result()
    valid = labels != -100
    p, y = expit(logits[valid]), labels[valid]
    z = (1 - smoothing) * y + smoothing / 2
    losses = -(z * np.log(p) + (1 - z) * np.log1p(-p))
    assert result.rows == valid.sum()
    assert result.sources == {"": ((0, 300),)}
    assert result.loss == pytest.approx(losses.mean(), rel=1e-9)
    assert result.accuracy == ((p > 0.5) == y).mean()
    assert result.brier == pytest.approx(metrics.brier_score_loss(y, p))
    assert result.confidence == pytest.approx(np.maximum(p, 1 - p).mean())
    assert result.entropy == pytest.approx(-(p * np.log(p) + (1 - p) * np.log1p(-p)).mean())
    for column, row in enumerate(result.per_class()):
        kept = valid[:, column]
        y, predicted = labels[kept, column], logits[kept, column] > 0
        assert (row.rows, row.positives, row.predicted) == (kept.sum(), y.sum(), predicted.sum())
        assert row.precision == metrics.precision_score(y, predicted)
        assert row.recall == metrics.recall_score(y, predicted)
        assert row.f1 == pytest.approx(metrics.f1_score(y, predicted))
        assert row.accuracy == (predicted == y).mean()
    first = result.hardest[0]
    assert first.loss == pytest.approx(losses.max(), rel=1e-12)
    assert labels[first.row, first.column] == first.label
    cut = [fastce.Evaluation(classes, loss="sigmoid", label_smoothing=smoothing) for _ in "ab"]
    cut[0].update(logits[171:], labels[171:], first_row=171)
    cut[1].update(logits[:171], labels[:171])
    assert cut[0].merge(cut[1]).to_bytes() == evaluation.to_bytes()


def test_sigmoid_of_what_is_not_ordinary() -> None:
    logits = np.array([[np.inf, -np.inf, 0.0, np.nan, 800.0, -800.0]])
    labels = np.array([[1, 1, 0, 1, 0, 0]])
    evaluation = fastce.Evaluation(6, loss="sigmoid")
    evaluation.update(logits, labels)
    result = evaluation.result()
    assert [row.loss for row in result.per_class()] == pytest.approx(
        [0, math.inf, math.log(2), math.nan, 800, 0], nan_ok=True
    )
    assert (result.hits, result.nonfinite_rows) == (3, 2)
    assert result.per_class()[3].recall == 0
