"""The data that come with the package: real, small, and what tools/data/make_digits.py makes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from commands import evaluate

import fastce

TOOL = Path(__file__).parents[2] / "tools" / "data" / "make_digits.py"


@pytest.fixture(scope="module")
def make_digits():
    spec = importlib.util.spec_from_file_location("make_digits", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    train, known = module.train, {}

    def train_once(features, labels):
        """Train with so many images if that has not been done; it takes seconds."""
        if len(labels) not in known:
            known[len(labels)] = train(features, labels)
        return known[len(labels)]

    module.train = train_once
    return module


@pytest.fixture
def saved():
    data = Path(fastce.__file__).parent / "data"
    return tuple(np.load(data / f"digits_{name}.npy") for name in ("logits", "labels"))


def test_shape(saved):
    logits, labels = saved
    assert (logits.shape, logits.dtype) == ((898, 10), np.float32)
    assert (labels.shape, labels.dtype) == ((898,), np.uint8)


def test_another_run_makes_the_same(make_digits, saved):
    """Two trainings end within LARGEST_ERROR of the same best weights, in the Euclidean norm.

    A logit is the scalar product of a row of features with a column of weights, so the two differ
    by at most the norm of the features times twice that; and each was rounded to float32.
    """
    logits, labels = make_digits.make()
    saved_logits, saved_labels = saved
    np.testing.assert_array_equal(labels, saved_labels)
    norms = np.linalg.norm(make_digits.split()[1], axis=1, keepdims=True)
    bound = 2 * make_digits.LARGEST_ERROR * norms + np.spacing(np.abs(saved_logits))
    distance = np.abs(logits.astype(np.float64) - saved_logits)
    assert (distance <= bound).all(), (distance / bound).max()


def test_the_bound_is_tight_enough_to_mean_something(make_digits, saved):
    """It is a ten-thousandth of what the logits span, and other data are beyond it."""
    seen, _, labels, _ = make_digits.split()
    norm = np.linalg.norm(seen, axis=1).max()
    assert 2 * make_digits.LARGEST_ERROR * norm < 1e-4 * np.ptp(saved[0])
    other = make_digits.train(seen[:-1], labels[:-1])
    best = make_digits.train(seen, labels)
    assert np.linalg.norm(other.weights - best.weights) > 10 * make_digits.LARGEST_ERROR


def test_a_real_classifier(capsys, saved):
    """What the command prints without files is what these two arrays give."""
    logits, labels = saved
    found = evaluate(capsys)
    wide = logits.astype(np.float64)
    losses = np.log(np.exp(wide).sum(axis=1)) - wide[np.arange(898), labels]
    assert found["rows"] == 898
    assert found["ignored_rows"] == 0
    assert found["loss_nats"] == pytest.approx(losses.mean(), rel=1e-7)
    assert found["accuracy"] == (logits.argmax(axis=1) == labels).mean() > 0.95
