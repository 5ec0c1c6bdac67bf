"""Evaluate [32768, 1000] float32 logits on one thread: fastce beside NumPy + SciPy and others.

Run ``python -m bench.evaluation``. Each library computes loss, top-1, top-5, entropy and the
calibration error where it has them; all in one process, in turn, medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

import fastce


def with_numpy(x: np.ndarray, y: np.ndarray) -> float:
    """Compute the same numbers with NumPy and SciPy."""
    from scipy import special

    logs = special.log_softmax(x, axis=-1)
    p = np.exp(logs)
    rows = np.arange(len(y))
    loss = -logs[rows, y].mean()
    predicted = x.argmax(axis=-1)
    rank = (x > x[rows, y][:, None]).sum(axis=-1)
    hits, top5 = (predicted == y).mean(), (rank < 5).mean()
    confidence, entropy = p.max(axis=-1), special.entr(p).sum(axis=-1).mean()
    brier = ((p**2).sum(axis=-1) - 2 * p[rows, y] + 1).mean()
    bins = np.minimum((confidence * 15).astype(int), 14)
    of = np.bincount(bins, (predicted == y) - confidence, minlength=15)
    ece = np.abs(of).sum() / len(y)
    return float(loss + 0 * (hits + top5 + entropy + brier + ece))


def with_sklearn(x: np.ndarray, y: np.ndarray) -> float:
    """Compute log_loss and top-5 accuracy with scikit-learn."""
    from scipy import special
    from sklearn.metrics import log_loss, top_k_accuracy_score

    labels = np.arange(x.shape[1])
    loss = log_loss(y, special.softmax(x.astype(np.float64), axis=-1), labels=labels)
    top_k_accuracy_score(y, x, k=5, labels=labels)
    return float(loss)


def with_torchmetrics(x: np.ndarray, y: np.ndarray) -> float:
    """Compute loss, top-1, top-5 and the calibration error with torch and torchmetrics."""
    import torch
    from torchmetrics.functional import classification

    torch.set_num_threads(1)
    logits, labels = torch.from_numpy(x), torch.from_numpy(y)
    classes = x.shape[1]
    loss = torch.nn.functional.cross_entropy(logits, labels)
    for k in (1, 5):
        classification.multiclass_accuracy(logits, labels, classes, average="micro", top_k=k)
    classification.multiclass_calibration_error(logits, labels, classes)
    torch.distributions.Categorical(logits=logits).entropy().mean()
    return float(loss)


def with_fastce(x: np.ndarray, y: np.ndarray) -> float:
    """Compute all numbers of an evaluation."""
    return fastce.evaluate(x, y, num_threads=1).loss


LIBRARIES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "fastce": with_fastce,
    "NumPy + SciPy": with_numpy,
    "scikit-learn": with_sklearn,
    "torch + torchmetrics": with_torchmetrics,
}


def main() -> None:
    """Print a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=32768)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.normal(0, 3, (arguments.rows, arguments.classes)).astype(np.float32)
    y = rng.integers(0, arguments.classes, arguments.rows)
    times: dict[str, list[float]] = {}
    losses: dict[str, float] = {}
    for _ in range(arguments.rounds):
        for name, compute in LIBRARIES.items():
            begun = time.perf_counter()
            try:
                losses[name] = compute(x, y)
            except ImportError:
                continue
            times.setdefault(name, []).append(time.perf_counter() - begun)
    best = statistics.median(times["fastce"])
    print("| library | median | as a multiple of fastce's | loss |\n| --- | ---: | ---: | ---: |")
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"| {name} | {1e3 * median:.1f} ms | {median / best:.1f}× | {losses[name]:.6f} |")


if __name__ == "__main__":
    main()
