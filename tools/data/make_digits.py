"""Make the data that `fastce evaluate` reads when it is given no files.

A multinomial logistic classifier of scikit-learn's handwritten digits, trained with fastce's own
loss and gradient on half of the images. Saved are its logits of the other half, and their labels:

    python tools/data/make_digits.py

The penalty makes the objective strongly convex, so there is one best classifier, and how far from
it the training stopped follows from the gradient that is left (see `Classifier.error`). Another
run, on any machine, differs by rounding only: each ends within `LARGEST_ERROR` of the best, so a
logit differs by at most twice that times the Euclidean norm of its features.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.datasets import load_digits

import fastce

DATA = Path(__file__).parents[2] / "fastce" / "data"
PENALTY = 1e-4
LARGEST_ERROR = 5e-5
CLASSES = 10

Floats = npt.NDArray[np.float64]


class Classifier(NamedTuple):
    """Trained weights, shape (features, classes), and how well they are determined.

    `error` bounds the distance to the best weights in the Euclidean norm: for an objective of
    strong convexity `PENALTY` it is at most the norm of the gradient divided by `PENALTY`.
    """

    weights: Floats
    error: float


def split() -> tuple[Floats, Floats, npt.NDArray[Any], npt.NDArray[Any]]:
    """Features with a constant 1 for the bias, and labels: even rows train, odd rows held out."""
    images, labels = load_digits(return_X_y=True)
    features = np.column_stack([images / 16, np.ones(len(images))])
    return features[::2], features[1::2], labels[::2], labels[1::2]


def train(features: Floats, labels: npt.NDArray[Any]) -> Classifier:
    """Minimise the mean cross-entropy plus ``PENALTY / 2`` times the squared weights."""

    def objective(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(-1, CLASSES)
        loss, grad = fastce.softmax_cross_entropy(features @ weights, labels, return_grad=True)
        loss += PENALTY / 2 * float(flat @ flat)
        return loss, (features.T @ grad).ravel() + PENALTY * flat

    start = np.zeros(features.shape[1] * CLASSES)
    # Stop when no step makes progress: the rounding of the loss is what limits the result.
    best = minimize(
        objective,
        start,
        method="L-BFGS-B",
        jac=True,
        options={"maxiter": 2000, "ftol": 0.0, "gtol": 1e-12, "maxcor": 30},
    )
    error = float(np.linalg.norm(objective(best.x)[1])) / PENALTY
    if not error <= LARGEST_ERROR:
        raise RuntimeError(f"stopped up to {error} from the best weights: {best.message}")
    return Classifier(best.x.reshape(-1, CLASSES), error)


def make() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Logits and labels of the images that were held out."""
    seen, held_out, seen_labels, held_out_labels = split()
    classifier = train(seen, seen_labels)
    logits = (held_out @ classifier.weights).astype(np.float32)
    return logits, held_out_labels.astype(np.uint8)


def main() -> None:
    """Write the two files."""
    logits, labels = make()
    DATA.mkdir(exist_ok=True)
    np.save(DATA / "digits_logits.npy", logits)
    np.save(DATA / "digits_labels.npy", labels)


if __name__ == "__main__":
    main()
