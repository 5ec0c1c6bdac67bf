"""The same rows give the same bytes, however they are cut, ordered and merged."""

import itertools
import math
import random
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from made_statistics import rows, statistics

import fastce

COUNT, CLASSES = 3000, 7
OPTIONS = {
    "plain": {},
    "weights": {"class_weight": np.arange(CLASSES) / 3},
    "groups": {"bootstrap": 20},
    "bootstrap": {"bootstrap": 20, "seed": 7, "class_weight": np.arange(CLASSES) / 3},
}


def some_rows(kind):
    """Statistics of rows of every kind, labels, and groups or None."""
    logits, labels = rows(COUNT, CLASSES, seed=3)
    logits[100] = np.nan
    logits[2000, labels[2000]] = -np.inf
    logits[500:520] *= 1e5  # huge losses
    logits[600:650] = logits[600]  # equal ones
    logits[700:800] *= 10  # tiny ones
    labels[::11] = -100
    group = np.repeat(np.arange(COUNT // 30), 30)[::-1] - 20 if kind == "groups" else None
    return statistics(logits, labels), labels, group


def evaluate(kind, data, start, stop, block=None):
    """Evaluate some of the rows, block by block."""
    found, labels, group = data
    evaluation = fastce.Evaluation(CLASSES, **OPTIONS[kind])
    for first in range(start, stop, block or COUNT):
        part = slice(first, min(stop, first + (block or COUNT)))
        evaluation.add(
            type(found)(*(field[part] for field in found)),
            labels[part],
            first_row=first,
            group=None if group is None else group[part],
            source="rows",
        )
    return evaluation


def merged(parts, choose):
    """Merge by any tree."""
    parts = list(parts)
    while len(parts) > 1:
        part = parts.pop(choose.randrange(len(parts)))
        parts[choose.randrange(len(parts))].merge(part)
    return parts[0]


@pytest.mark.parametrize("kind", OPTIONS)
def test_any_cut_and_any_tree(kind) -> None:
    choose = random.Random(11)
    data = some_rows(kind)
    whole = evaluate(kind, data, 0, COUNT)
    expected = whole.to_bytes()
    for _ in range(50):
        cuts = sorted({0, COUNT, *(choose.randrange(COUNT) for _ in range(choose.randrange(12)))})
        parts = [
            evaluate(kind, data, a, b, choose.choice([None, 1 + choose.randrange(700)]))
            for a, b in itertools.pairwise(cuts)
        ]
        if choose.random() < 0.3:  # through bytes
            parts = [fastce.Evaluation.from_bytes(part.to_bytes()) for part in parts]
        found = merged(parts, choose)
        assert found.to_bytes() == expected
        assert found.receipt == whole.receipt


def test_threads_and_processes() -> None:
    data = some_rows("plain")
    expected = evaluate("plain", data, 0, COUNT).to_bytes()
    starts = range(0, COUNT, 250)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda a: evaluate("plain", data, a, a + 250, 60), starts))
    assert merged(parts, random.Random(1)).to_bytes() == expected
    with ProcessPoolExecutor(2) as pool:
        states = list(pool.map(state_of, starts))
    parts = [fastce.Evaluation.from_bytes(state) for state in states]
    assert merged(parts, random.Random(2)).to_bytes() == expected


def state_of(start):
    """The bytes of some rows, in a process of its own."""
    return evaluate("plain", some_rows("plain"), start, start + 250).to_bytes()


def test_shards_with_other_names_have_the_same_receipt() -> None:
    found, labels, _ = some_rows("plain")
    whole = evaluate("plain", (found, labels, None), 0, COUNT)
    parts = []
    for name, part in (("b", slice(0, 1200)), ("a", slice(1200, COUNT))):
        parts.append(fastce.Evaluation(CLASSES))
        parts[-1].add(type(found)(*(f[part] for f in found)), labels[part], source=name)
    shards = parts[0].merge(parts[1])
    assert shards.receipt == whole.receipt
    assert shards.to_bytes() != whole.to_bytes()
    assert shards.result().sources == {"a": ((0, 1800),), "b": ((0, 1200),)}


def test_sums_are_those_of_fractions() -> None:
    found, labels, _ = some_rows("plain")
    finite = (labels != -100) & np.isfinite(found.loss)
    clean = type(found)(*(field[finite] for field in found))
    evaluation = fastce.Evaluation(CLASSES)
    evaluation.add(clean, labels[finite])
    result = evaluation.result()
    exact = {
        name: sum(map(Fraction, getattr(clean, name).tolist()))
        for name in ("loss", "brier", "entropy", "confidence", "margin")
    }
    assert result.loss_sum == float(exact["loss"])
    count = len(clean.loss)
    for name, total in exact.items():
        assert getattr(result, name) == float(total / count), name
        squares = sum(map(Fraction, (getattr(clean, name) ** 2).tolist()))
        variance = (count * squares - total**2) / (count**2 * (count - 1))
        assert result.standard_error(name) == pytest.approx(math.sqrt(variance), rel=3e-16), name
    for index, row in enumerate(result.per_class()):
        own = clean.loss[labels[finite] == index]
        assert row.loss == float(sum(map(Fraction, own.tolist())) / len(own))
