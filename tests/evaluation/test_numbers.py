"""Every number of a result against other libraries, or a computation from its definition."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from made_statistics import Statistics, rows, statistics
from scipy.special import softmax
from sklearn import metrics

import fastce

COUNT, CLASSES = 4000, 10


def part_of(found, rows_of):
    return Statistics(*(field[rows_of] for field in found))


@pytest.fixture(scope="module")
def logits_and_labels():
    return rows(COUNT, CLASSES, seed=1)


@pytest.fixture(scope="module")
def found(logits_and_labels):
    return statistics(*logits_and_labels)


@pytest.fixture(scope="module")
def result(found, logits_and_labels):
    evaluation = fastce.Evaluation(CLASSES)
    evaluation.add(found, logits_and_labels[1])
    return evaluation.result()


def test_scikit_learn_agrees(result, logits_and_labels) -> None:
    logits, labels = logits_and_labels
    p = softmax(logits, axis=1)
    every = np.arange(CLASSES)
    assert result.loss == pytest.approx(metrics.log_loss(labels, p, labels=every), rel=1e-6)
    for k in (1, 2, 5, 9):
        expected = metrics.top_k_accuracy_score(labels, p, k=k, labels=every)
        assert result.top_k(k) == pytest.approx(expected, rel=1e-12)
    assert result.accuracy == metrics.accuracy_score(labels, p.argmax(axis=1))
    mean = np.mean([metrics.brier_score_loss(labels == c, p[:, c]) for c in every]) * CLASSES
    assert result.brier == pytest.approx(mean, rel=1e-6)
    scores = metrics.precision_recall_fscore_support(labels, p.argmax(axis=1))
    for row, *expected in zip(result.per_class(), *scores, strict=True):
        assert (row.precision, row.recall, row.f1, row.rows) == pytest.approx(expected)
    matrix = metrics.confusion_matrix(labels, p.argmax(axis=1))
    confused = {(c.label, c.predicted): c.rows for c in result.confusions(1000)}
    expected = {(i, j): n for (i, j), n in np.ndenumerate(matrix) if n and i != j}
    assert confused == expected
    assert [c.rows for c in result.confusions(5)] == sorted(expected.values())[:-6:-1]


def test_scipy_agrees(result, logits_and_labels) -> None:
    p = softmax(logits_and_labels[0], axis=1)
    assert result.entropy == pytest.approx(scipy.stats.entropy(p, axis=1).mean(), rel=1e-6)
    for name, values in (
        ("entropy", scipy.stats.entropy(p, axis=1)),
        ("confidence", p.max(axis=1)),
    ):
        assert result.standard_error(name) == pytest.approx(scipy.stats.sem(values), rel=1e-9)
    hits = p.argmax(axis=1) == logits_and_labels[1]
    assert result.accuracy_standard_error == pytest.approx(scipy.stats.sem(hits), rel=1e-9)
    assert result.perplexity == pytest.approx(math.exp(result.loss), rel=1e-15)


def test_mean_reciprocal_rank(result, found) -> None:
    expected = sum((Fraction(1, int(rank) + 1) for rank in found.rank), Fraction(0)) / COUNT
    assert result.mrr == float(expected)


@pytest.mark.parametrize("q", [0, 0.001, 0.1, 0.5, 0.77, 0.99, 1])
@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e9])
def test_quantiles(found, logits_and_labels, q, scale) -> None:
    loss = found.loss * scale
    evaluation = fastce.Evaluation(CLASSES)
    evaluation.add(found._replace(loss=loss), logits_and_labels[1])
    expected = np.quantile(loss, q, method="inverted_cdf")
    assert evaluation.result().loss_quantile(q) == pytest.approx(expected, rel=2e-3)


def calibration_by_hand(confidence, hits, edges):
    """Expected and largest calibration error over the bins (edge, next edge]."""
    total = worst = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gap = abs(hits[inside].mean() - confidence[inside].mean())
            total += gap * inside.sum()
            worst = max(worst, gap)
    return total / len(confidence), worst


@pytest.mark.parametrize("bins", [1, 2, 5, 10, 12, 15, 16, 20, 25, 50, 100])
def test_calibration_errors(result, found, bins) -> None:
    edges = np.arange(bins + 1) / bins
    expected = calibration_by_hand(found.confidence, found.rank == 0, edges)
    assert (result.ece(bins), result.mce(bins)) == pytest.approx(expected, rel=1e-12)
    reliability = result.reliability(bins)
    assert [b.upper for b in reliability] == edges[1:].tolist()
    for b in reliability:
        inside = (found.confidence > b.lower) & (found.confidence <= b.upper)
        assert (b.rows, b.hits) == (inside.sum(), (inside & (found.rank == 0)).sum())


def test_calibration_errors_of_other_bins_are_close(result, found) -> None:
    for bins in (7, 13, 17, 99):
        expected = calibration_by_hand(
            found.confidence, found.rank == 0, np.arange(bins + 1) / bins
        )
        assert result.ece(bins) == pytest.approx(expected[0], abs=2e-3)


@pytest.mark.parametrize("bins", [1, 4, 10, 15])
def test_adaptive_calibration_error(result, found, bins) -> None:
    order = np.argsort(found.confidence, kind="stable")
    expected = 0.0
    for part in np.array_split(order, bins):
        gap = (found.rank[part] == 0).mean() - found.confidence[part].mean()
        expected += abs(gap) * len(part) / COUNT
    assert result.ece(bins, adaptive=True) == pytest.approx(expected, abs=2e-3)
    assert sum(b.rows for b in result.reliability(bins, adaptive=True)) == pytest.approx(COUNT)


def test_adaptive_bins_are_exact_where_no_bucket_is_divided() -> None:
    confidence = np.repeat([0.3, 0.55, 0.8, 0.999, 1 - 1e-7, 1 - 1e-12], 100)
    hits = np.arange(600) % 7 < 4
    evaluation = fastce.Evaluation(4)
    evaluation.add(
        Statistics(
            *(np.where(hits, 0.1, 2.0), hits.astype(np.int64), np.where(hits, 0, 1)),
            *(confidence, confidence, confidence, confidence),
        ),
        np.ones(600, np.int64),
    )
    found = evaluation.result().reliability(6, adaptive=True)
    for b, start in zip(found, range(0, 600, 100), strict=True):
        assert b.accuracy == pytest.approx(hits[start : start + 100].mean())
        assert b.confidence == pytest.approx(confidence[start])
        assert b.lower < b.confidence <= b.upper


def test_confidences_at_the_edges_of_bins() -> None:
    """Bins are closed above: a half is in (0, 1/2], and 1 in the last bin."""
    for value, upper in ((0.5, 0.5), (0.2, 0.2), (1.0, 1.0), (1e-12, 0.1), (1 - 2**-53, 1.0)):
        evaluation = fastce.Evaluation(3)
        one = np.array([value])
        evaluation.add(
            Statistics(one, np.array([0]), np.array([0]), one, one, one, one), np.array([0])
        )
        (used,) = (b for b in evaluation.result().reliability(10) if b.rows)
        assert used.upper == pytest.approx(upper)
        assert used.confidence == value


def test_clustered_standard_errors(found, logits_and_labels) -> None:
    labels = logits_and_labels[1]
    group = np.sort(np.random.default_rng(0).integers(-20, 300, COUNT))
    evaluation = fastce.Evaluation(CLASSES)
    evaluation.add(found, labels, group=group)
    result = evaluation.result()
    clusters = np.unique(group)
    for values, error in (
        (found.loss, result.loss_standard_error),
        (found.rank == 0, result.accuracy_standard_error),
    ):
        apart = values - values.mean()
        sums = np.array([apart[group == g].sum() for g in clusters])
        ratio = len(clusters) / (len(clusters) - 1)
        assert error == pytest.approx(math.sqrt(ratio * (sums**2).sum()) / COUNT, rel=1e-12)
    assert result.loss_row_standard_error == pytest.approx(scipy.stats.sem(found.loss), rel=1e-12)
    assert result.documents == len(clusters)
    losses = [found.loss[group == g].mean() for g in clusters]
    assert result.document_perplexity == pytest.approx(math.exp(np.mean(losses)))
    for row, g in zip(result.per_group(), clusters, strict=True):
        inside = group == g
        assert (row.group, row.rows, row.hits) == (g, inside.sum(), (found.rank[inside] == 0).sum())
        assert row.loss == pytest.approx(found.loss[inside].mean(), rel=1e-12)
        assert row.perplexity == pytest.approx(math.exp(row.loss))


def test_clusters_of_one_row_are_rows(found, logits_and_labels) -> None:
    evaluation = fastce.Evaluation(CLASSES)
    evaluation.add(found, logits_and_labels[1], group=np.arange(COUNT))
    result = evaluation.result()
    assert result.loss_standard_error == pytest.approx(result.loss_row_standard_error, rel=1e-12)
    assert result.accuracy_standard_error == pytest.approx(
        result.standard_error("accuracy"), rel=1e-12
    )


@pytest.mark.parametrize("grouped", [False, True])
def test_class_weights(found, logits_and_labels, grouped) -> None:
    labels = logits_and_labels[1]
    weights = np.linspace(0, 3, CLASSES)
    evaluation = fastce.Evaluation(CLASSES, class_weight=weights)
    group = np.arange(COUNT) // 7 if grouped else None
    evaluation.add(found, labels, group=group)
    result = evaluation.result()
    w = weights[labels]
    mean = (w * found.loss).sum() / w.sum()
    assert result.loss == pytest.approx(mean, rel=1e-12)
    assert result.weight_sum == pytest.approx(w.sum(), rel=1e-15)
    apart = w * found.loss - mean * w
    if grouped:
        apart = np.add.reduceat(apart, np.arange(0, COUNT, 7))
    expected = math.sqrt(len(apart) / (len(apart) - 1) * (apart**2).sum()) / w.sum()
    assert result.loss_standard_error == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("grouped", [False, True])
def test_bootstrap(found, logits_and_labels, grouped) -> None:
    labels = logits_and_labels[1]
    replicates = 400
    group = np.arange(COUNT) // 4 if grouped else None
    evaluation = fastce.Evaluation(CLASSES, bootstrap=replicates, seed=5)
    evaluation.add(found, labels, group=group)
    result = evaluation.result()
    for name, error in (
        ("loss", result.loss_standard_error),
        ("accuracy", result.accuracy_standard_error),
    ):
        means = result.bootstrap(name)
        # The standard deviation of 400 numbers is known to 1 / sqrt(800) = 3.5 %.
        assert means.std() == pytest.approx(error, rel=0.15)
        assert abs(means.mean() - getattr(result, name)) < 0.3 * error
        low, high = result.bootstrap_interval(name)
        assert high - low == pytest.approx(3.92 * error, rel=0.2)
    other = fastce.Evaluation(CLASSES, bootstrap=replicates, seed=6)
    other.add(found, labels, group=group)
    assert not np.array_equal(other.result().bootstrap(), result.bootstrap())


def test_bits_per_byte(found, logits_and_labels) -> None:
    labels = logits_and_labels[1]
    sizes = np.arange(CLASSES) + 1
    evaluation = fastce.Evaluation(CLASSES, token_bytes=sizes)
    evaluation.add(found, labels)
    expected = found.loss.sum() / math.log(2) / sizes[labels].sum()
    assert evaluation.result().bits_per_byte == pytest.approx(expected, rel=1e-12)


def test_ignored_and_removed_rows(found, logits_and_labels) -> None:
    labels = logits_and_labels[1].copy()
    labels[:90] = -100
    evaluation = fastce.Evaluation(CLASSES)
    evaluation.add(found, labels, removed={"shift": 20, "mask": 30, "none": 0})
    result = evaluation.result()
    assert (result.rows, result.ignored_rows, result.all_rows) == (COUNT - 90, 40, COUNT)
    numbers = result.as_dict()
    assert (numbers["rows"], numbers["ignored_rows"]) == (COUNT, 90)
    assert numbers["removed_rows"] == {"mask": 30, "shift": 20, "ignore_index": 40}
    assert result.removed_rows == {"mask": 30, "shift": 20}
    assert result.loss == pytest.approx(found.loss[90:].mean(), rel=1e-12)


def test_hardest_rows(found, logits_and_labels) -> None:
    labels = logits_and_labels[1]
    evaluation = fastce.Evaluation(CLASSES, hardest=7)
    evaluation.add(found, labels, first_row=100, source="file")
    order = sorted(range(COUNT), key=lambda i: (-found.loss[i], i))[:7]
    hardest = evaluation.result().hardest
    assert [(row.row - 100, row.loss) for row in hardest] == [(i, found.loss[i]) for i in order]
    first = hardest[0]
    assert (first.label, first.predicted) == (labels[order[0]], found.predicted[order[0]])
    assert (first.source, first.confidence) == ("file", found.confidence[order[0]])


def test_rows_that_are_not_finite(logits_and_labels) -> None:
    logits, labels = (array.copy() for array in logits_and_labels)
    logits[[5, 17], 3] = np.nan
    logits[40, labels[40]] = -np.inf
    found = statistics(logits, labels)
    evaluation = fastce.Evaluation(CLASSES)
    evaluation.add(found, labels, first_row=10, source="file")
    result = evaluation.result()
    assert result.nonfinite_rows == 3
    assert result.nonfinite_places == (("file", 15), ("file", 27), ("file", 50))
    assert result.rows == COUNT
    assert result.accuracy == (found.rank == 0).sum() / (COUNT - 2)
    for name in ("loss", "loss_sum", "perplexity", "entropy", "brier", "confidence", "margin"):
        assert math.isnan(getattr(result, name)), name
    assert math.isnan(result.loss_standard_error)
    assert math.isnan(result.ece())
    assert math.isnan(result.loss_quantile(0.5))
    without = fastce.Evaluation(CLASSES)
    keep = ~np.isnan(found.loss)
    without.add(part_of(found, keep), labels[keep])
    result = without.result()
    assert (result.loss, result.perplexity, result.nonfinite_rows) == (math.inf, math.inf, 1)
    assert result.loss_quantile(1) == math.inf
    assert math.isfinite(result.loss_quantile(0.99))
    assert result.hardest[0].loss == math.inf
    assert math.isfinite(result.entropy)
    assert math.isfinite(result.ece())


def test_no_rows() -> None:
    result = fastce.Evaluation(3, bootstrap=2).result()
    numbers = result.as_dict()
    assert (numbers["rows"], numbers["documents"], numbers["instruction_set"]) == (0, None, "")
    for name in ("loss_nats", "accuracy", "mrr", "brier", "ece", "loss_standard_error"):
        assert math.isnan(numbers[name]), name
    assert np.isnan(result.bootstrap()).all()
    assert result.hardest == ()
    assert result.confusions() == []


def test_the_keys_that_others_rely_on(result) -> None:
    keys = """rows ignored_rows nonfinite_rows removed_rows loss_nats loss_standard_error loss_sum
        weight_sum perplexity accuracy accuracy_standard_error top_k mrr brier entropy_nats
        confidence ece ece_bins bits_per_byte documents receipt state_version instruction_set"""
    numbers = result.as_dict(top=(1, 3), bins=10)
    assert set(keys.split()) <= numbers.keys()
    assert numbers["top_k"] == {"1": result.accuracy, "3": result.top_k(3)}
    assert (numbers["ece"], numbers["ece_bins"]) == (result.ece(10), 10)
    assert numbers["instruction_set"] == fastce.show_config(mode="dict")["instruction_set"]


def test_a_result_stays_as_it_was(found, logits_and_labels) -> None:
    evaluation = fastce.Evaluation(CLASSES)
    evaluation.add(part_of(found, slice(0, 100)), logits_and_labels[1][:100])
    result = evaluation.result()
    before = result.as_dict()
    evaluation.add(part_of(found, slice(100, None)), logits_and_labels[1][100:])
    assert result.as_dict() == before
    with pytest.raises(AttributeError):
        result.options = None


def test_many_classes() -> None:
    """More classes than rows, and more than the confusions that are counted in a matrix."""
    logits, labels = rows(500, 3000, seed=4)
    found = statistics(logits, labels)
    evaluation = fastce.Evaluation(3000)
    evaluation.add(found, labels)
    result = evaluation.result()
    assert result.loss == float(sum(map(Fraction, found.loss.tolist())) / 500)
    assert result.top_k(100) == (found.rank < 100).mean()
    expected = {}
    for label, predicted in zip(labels, found.predicted, strict=True):
        if label != predicted:
            expected[label, predicted] = expected.get((label, predicted), 0) + 1
    assert {(c.label, c.predicted): c.rows for c in result.confusions(9999)} == expected
    assert sum(row.predicted for row in result.per_class()) == 500


def test_more_confusions_than_are_kept(monkeypatch) -> None:
    monkeypatch.setattr("fastce.evaluation.sums.confusions._MOST", 100)
    logits, labels = rows(8000, 200, seed=4)
    found = statistics(logits, labels)
    parts = []
    for start in range(0, 8000, 2000):
        parts.append(fastce.Evaluation(200))
        part = slice(start, start + 2000)
        parts[-1].add(part_of(found, part), labels[part], first_row=start)
    whole = fastce.Evaluation(200)
    whole.add(found, labels)
    assert whole.result().confusions() is None
    state = whole.to_bytes()
    assert fastce.Evaluation.from_bytes(state).to_bytes() == state
    while len(parts) > 1:
        parts.append(parts.pop(0).merge(parts.pop(0)))
    assert parts[0].to_bytes() == state
