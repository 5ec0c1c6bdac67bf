"""What an evaluation refuses: each message names the argument, the value and what is accepted."""

import re

import numpy as np
import pytest
from made_statistics import rows, statistics

import fastce

LOGITS, LABELS = rows(20, 4)
FOUND = statistics(LOGITS, LABELS)

OPTIONS = [
    ({"classes": 0}, "classes is 0, accepted is an integer >= 1"),
    ({"classes": 2.5}, "classes is 2.5, accepted is an integer >= 1"),
    ({"classes": 2**31}, "classes is 2147483648"),
    ({"class_weight": [1, 2]}, "class_weight has shape (2,), accepted is (4,)"),
    ({"class_weight": [1, -1, 1, 1]}, "class_weight[1] is -1, accepted are finite"),
    ({"class_weight": [1, 1, 1, np.inf]}, "class_weight[3] is inf, accepted are finite"),
    ({"class_weight": "abcd"}, "class_weight has shape ()"),
    ({"class_weight": ["a"] * 4}, "class_weight has dtype <U1, accepted are real numbers"),
    ({"label_smoothing": 1.5}, "label_smoothing is 1.5, accepted is a number in [0, 1]"),
    ({"ignore_index": 1.0}, "ignore_index is 1.0, accepted is an integer"),
    ({"temperature": 0}, "temperature is 0, accepted is a number > 0"),
    ({"hardest": -1}, "hardest is -1, accepted is an integer in [0, 1000000]"),
    ({"bootstrap": True}, "bootstrap is True, accepted is an integer in"),
    ({"seed": -1}, "seed is -1, accepted is an integer in"),
    ({"confusions": "yes"}, "confusions is 'yes', accepted are True and False"),
    ({"loss": "hinge"}, "loss is 'hinge', accepted are 'softmax', 'sigmoid'"),
    ({"token_bytes": [1.0] * 4}, "token_bytes has dtype float64, accepted are integers"),
    ({"token_bytes": [1, 2, -3, 4]}, "token_bytes[2] is -3, accepted are integers >= 0"),
    ({"loss": "sigmoid", "class_weight": [1] * 4}, "class_weight is given, accepted is None"),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS, ids=[m for _, m in OPTIONS])
def test_options(options, message) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        fastce.Evaluation(**{"classes": 4} | options)


WRONG = LABELS.copy()
WRONG[13] = 4
ROWS = [
    ({"labels": WRONG}, "labels[13] is 4, but the evaluation has 4 classes"),
    ({"labels": LABELS.astype(float)}, "labels has dtype float64, accepted are integers"),
    ({"labels": LABELS[:-1]}, "labels has shape (19,), but"),
    ({"first_row": -1}, "first_row is -1, accepted is an integer in [0, 2**62)"),
    ({"first_row": 0.5}, "first_row is 0.5, accepted is an integer"),
    ({"group": np.zeros(3, int)}, "group has shape (3,), accepted is (20,)"),
    ({"group": np.zeros(20)}, "group has dtype float64, accepted are integers"),
    ({"group": np.full(20, 2**63, np.uint64)}, "group is 9223372036854775808, accepted are"),
    ({"source": 3}, "source is 3, accepted is text"),
    ({"removed": {"mask": 1}}, "removed counts 1 rows, but 0 labels are ignore_index"),
    ({"removed": {"mask": -1}}, "removed['mask'] is -1, accepted is an integer >= 0"),
    ({"removed": {3: 1}}, "removed has the key 3, accepted is text"),
]


@pytest.mark.parametrize("method", ["update", "add"])
@pytest.mark.parametrize(("given", "message"), ROWS, ids=[m for _, m in ROWS])
def test_rows(method, given, message) -> None:
    evaluation = fastce.Evaluation(4)
    before = evaluation.to_bytes()
    arguments = {"labels": LABELS} | given
    first = LOGITS if method == "update" else FOUND
    if method == "add" and "(19,)" in message:
        message = "statistics.loss has shape (20,), but labels have (19,)"
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        getattr(evaluation, method)(first, arguments.pop("labels"), **arguments)
    assert evaluation.to_bytes() == before


def test_logits() -> None:
    evaluation = fastce.Evaluation(4)
    with pytest.raises(ValueError, match=r"logits has shape \(20, 3\), accepted is \(\.\.\., 4\)"):
        evaluation.update(LOGITS[:, :3], LABELS)
    with pytest.raises(TypeError, match="logits has dtype int64, accepted are float32"):
        evaluation.update(LOGITS.astype(int), LABELS)
    assert evaluation.rows == 0


def replaced(name, at, value):
    field = getattr(FOUND, name).copy()
    field[at] = value
    return FOUND._replace(**{name: field})


STATISTICS = [
    (FOUND._replace(entropy=None), "statistics.entropy is None, accepted are"),
    (FOUND._replace(loss=FOUND.loss.astype(np.float32)), "statistics.loss has dtype float32"),
    (FOUND._replace(rank=FOUND.rank[:3]), "statistics.rank has shape (3,), but labels have (20,)"),
    (replaced("rank", 3, 4), "statistics.rank[3] is 4, accepted is -1 to 3"),
    (replaced("predicted", 0, -2), "statistics.predicted[0] is -2, accepted is -1 to 3"),
    (replaced("confidence", 5, 1.5), "statistics.confidence[5] is 1.5, accepted is 0 to 1"),
    (replaced("confidence", 5, np.nan), "statistics.confidence[5] is nan, accepted is 0 to 1"),
    (replaced("rank", 2, -1), "statistics.rank[2] is -1 and statistics.predicted[2] is"),
    (replaced("predicted", 2, -1), "and statistics.predicted[2] is -1, but labels[2] is"),
    (replaced("rank", 2, int(FOUND.rank[2] == 0)), "but labels[2] is"),
    (object(), "statistics.loss is None"),
]


@pytest.mark.parametrize(("found", "message"), STATISTICS, ids=[m for _, m in STATISTICS])
def test_statistics(found, message) -> None:
    evaluation = fastce.Evaluation(4)
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        evaluation.add(found, LABELS)
    assert evaluation.rows == 0


def test_losses() -> None:
    evaluation = fastce.Evaluation(4, label_smoothing=0.1)
    with pytest.raises(ValueError, match="losses is None, accepted are"):
        evaluation.add(FOUND, LABELS)
    with pytest.raises(ValueError, match=r"losses has shape \(3,\), but labels have \(20,\)"):
        evaluation.add(FOUND, LABELS, losses=np.zeros(3))
    evaluation.add(FOUND, LABELS, losses=FOUND.loss)
    assert evaluation.rows == 20


def test_sigmoid_labels() -> None:
    evaluation = fastce.Evaluation(4, loss="sigmoid")
    with pytest.raises(ValueError, match=r"labels\[0, 2\] is 2, but labels are 0 or 1"):
        evaluation.update(np.zeros((1, 4)), np.array([[0, 1, 2, 0]]))
    with pytest.raises(ValueError, match=r"labels has shape \(20,\), but the rows have \(20, 4\)"):
        evaluation.update(LOGITS, LABELS)


def test_rows_that_were_seen() -> None:
    evaluation = fastce.Evaluation(4)
    evaluation.update(LOGITS, LABELS, source="a.npy", first_row=100)
    before = evaluation.to_bytes()
    message = "rows 100 to 109 of source 'a.npy' have been evaluated already"
    with pytest.raises(ValueError, match=message):
        evaluation.update(LOGITS, LABELS, source="a.npy", first_row=90)
    other = fastce.Evaluation(4)
    other.update(LOGITS, LABELS, source="b.npy")
    other.update(LOGITS, LABELS, source="a.npy", first_row=119)
    with pytest.raises(ValueError, match=r"rows 119 to 119 of source 'a\.npy' have been"):
        evaluation.merge(other)
    with pytest.raises(ValueError, match="have been evaluated already"):
        evaluation.merge(evaluation)
    assert evaluation.to_bytes() == before
    unnamed = fastce.Evaluation(4)
    unnamed.update(LOGITS, LABELS)
    with pytest.raises(ValueError, match="rows 0 to 19 of the source without a name have been"):
        unnamed.update(LOGITS, LABELS, first_row=0)


def test_gaps() -> None:
    evaluation = fastce.Evaluation(4)
    for first in (40, 100, 60):
        evaluation.update(LOGITS, LABELS, first_row=first, source="a")
    evaluation.update(LOGITS, LABELS, source="b")
    evaluation.update(LOGITS, LABELS, source="a")
    result = evaluation.result()
    assert result.sources == {"a": ((40, 80), (100, 140)), "b": ((0, 20),)}
    assert result.gaps == {"a": ((0, 40), (80, 100))}


OTHERS = [
    ({"classes": 5}, "classes is 4 in this evaluation and 5 in the other"),
    ({"class_weight": [1] * 4}, "class_weight is None in this evaluation and given in the other"),
    ({"temperature": 2}, "temperature is 1.0 in this evaluation and 2.0 in the other"),
    ({"loss": "sigmoid"}, "loss is 'softmax' in this evaluation and 'sigmoid' in the other"),
    ({"hardest": 3}, "hardest is 50 in this evaluation and 3 in the other"),
]


@pytest.mark.parametrize(("options", "message"), OTHERS, ids=[m for _, m in OTHERS])
def test_merge_of_other_options(options, message) -> None:
    other = fastce.Evaluation(**{"classes": 4} | options)
    with pytest.raises(ValueError, match=re.escape(message)):
        fastce.Evaluation(4).merge(other)


def test_merge_of_other_weights_names_the_class() -> None:
    first, second = (fastce.Evaluation(4, class_weight=[1, 2, 3, w]) for w in (4, 5))
    with pytest.raises(ValueError, match=r"class_weight\[3\] is 4.0 in this .* and 5.0 in"):
        first.merge(second)


def test_merge_of_something_else() -> None:
    with pytest.raises(TypeError, match="other is dict, accepted is an Evaluation"):
        fastce.Evaluation(4).merge({})


def test_groups_for_some_rows() -> None:
    grouped, plain = fastce.Evaluation(4), fastce.Evaluation(4)
    grouped.update(LOGITS, LABELS, group=3)
    plain.update(LOGITS, LABELS, first_row=20)
    with pytest.raises(ValueError, match="group is None, but rows before had groups"):
        grouped.update(LOGITS, LABELS)
    with pytest.raises(ValueError, match="group is given, but rows before had none"):
        plain.update(LOGITS, LABELS, group=LABELS)
    with pytest.raises(ValueError, match="one evaluation has groups and the other has none"):
        grouped.merge(plain)
    grouped.merge(fastce.Evaluation(4))
    assert grouped.rows == 20


RESULTS = [
    (lambda r: r.top_k(0), "k is 0, accepted is an integer >= 1"),
    (lambda r: r.ece(0), "bins is 0, accepted is an integer in [1, 3600]"),
    (lambda r: r.mce(1.5), "bins is 1.5, accepted is an integer in [1, 3600]"),
    (lambda r: r.ece(adaptive=1), "adaptive is 1, accepted are True and False"),
    (lambda r: r.loss_quantile(2), "q is 2, accepted is a number in [0, 1]"),
    (lambda r: r.standard_error("mrr"), "name is 'mrr', accepted are 'loss', 'accuracy', 'brier'"),
    (lambda r: r.bootstrap(), "bootstrap is 0, accepted is an evaluation with replicates"),
    (lambda r: r.bootstrap("brier"), "name is 'brier', accepted are 'loss' and 'accuracy'"),
    (lambda r: r.confusions(-1), "most is -1, accepted is an integer >= 0"),
]


@pytest.mark.parametrize(("ask", "message"), RESULTS, ids=[m for _, m in RESULTS])
def test_results(ask, message) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        ask(fastce.Evaluation(4).result())


def test_other_instruction_sets_are_marked(monkeypatch) -> None:
    states = []
    for name in ("avx2", "avx512"):
        monkeypatch.setattr("fastce.evaluation.state.arithmetic", lambda isa=name: ("1", isa))
        evaluation = fastce.Evaluation(4)
        evaluation.add(FOUND, LABELS, source=name)
        states.append(evaluation)
    assert states[0].receipt != states[1].receipt
    assert states[0].merge(states[1]).result().instruction_set == "avx2+avx512"
