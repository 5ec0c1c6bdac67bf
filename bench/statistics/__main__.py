"""Measure row statistics: all of them against the loss alone, and against NumPy and SciPy.

    python -m bench.statistics                two threads, float32, against the loss alone
    python -m bench.statistics --libraries    one thread, [32768, 1000], against NumPy and SciPy

All candidates of a shape run in turn in one process; what is printed are medians. Only the ratios
of one run mean anything.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import fastce
from bench.shapes import expand, parse

Array = npt.NDArray[Any]
SHAPES = "400000x10,1000000x32,500000x64,320000x100,65536x1000,8192x8192,2048x32000,256x256000"
ROUNDS = 9


def medians(candidates: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each, run in turn."""
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(rounds + 1):
        for name, run in candidates.items():
            begin = time.perf_counter()
            run()
            if turn:  # the first one reads pages and starts threads
                samples[name].append(time.perf_counter() - begin)
    return {name: statistics.median(seconds) for name, seconds in samples.items()}


def logits_and_labels(shape: tuple[int, ...], dtype: str) -> tuple[Array, Array]:
    """Return logits of a spread of 3, and labels."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape, np.float32)
    x *= 3
    return x.astype(dtype, copy=False), rng.integers(0, shape[-1], shape[:-1])


def with_numpy_and_scipy(x: Array, y: Array) -> tuple[Array, ...]:
    """Return the same numbers as they are computed without fastce."""
    from scipy import special  # type: ignore[import-untyped]

    rows = np.arange(len(x))
    lse = special.logsumexp(x, axis=1)
    p = special.softmax(x, axis=1)
    label = x[rows, y][:, None]
    predicted = x.argmax(1)
    equal_before = (x == label) & (np.arange(x.shape[1]) < y[:, None])
    rank = (x > label).sum(1) + equal_before.sum(1)
    largest = np.partition(x, -2, axis=1)[:, -2:]
    entropy = special.entr(p).sum(1)
    mean = (p * x).sum(1)
    variance = (p * (x - mean[:, None]) ** 2).sum(1)
    p_label = p[rows, y]
    brier = np.einsum("ij,ij->i", p, p) - 2 * p_label + 1
    confidence, margin = p.max(1), largest[:, 1] - largest[:, 0]
    return (
        lse - label[:, 0], lse, predicted, rank, confidence, margin, entropy, brier, mean, variance,
    )  # fmt: skip


def against_the_loss(shapes: str, dtype: str, threads: int) -> None:
    """Print the speed of all statistics as a part of that of the loss alone."""
    print(f"| logits | loss | all statistics | part of the loss's speed |\n{'| --- ' * 4}|")
    for shape in map(parse, expand(shapes)):
        x, y = logits_and_labels(shape.dims, dtype)
        seconds = medians(
            {
                "loss": lambda x=x, y=y: fastce.softmax_cross_entropy(x, y, num_threads=threads),
                "all": lambda x=x, y=y: fastce.row_statistics(x, y, num_threads=threads),
            },
            ROUNDS,
        )
        loss, all_of_them = seconds["loss"], seconds["all"]
        size = " × ".join(map(str, shape.dims))
        cells = f"{loss * 1e3:.2f} ms | {all_of_them * 1e3:.2f} ms | {loss / all_of_them:.2f}"
        print(f"| {size} | {cells} |", flush=True)


def against_libraries(dtype: str) -> None:
    """Print how many times longer NumPy and SciPy take for the same numbers."""
    x, y = logits_and_labels((32768, 1000), dtype)
    for ours, theirs in zip(fastce.row_statistics(x, y), with_numpy_and_scipy(x, y), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    seconds = medians(
        {
            "fastce, the loss alone": lambda: fastce.softmax_cross_entropy(x, y, num_threads=1),
            "fastce, all statistics": lambda: fastce.row_statistics(x, y, num_threads=1),
            "NumPy and SciPy": lambda: with_numpy_and_scipy(x, y),
        },
        3,
    )
    for name, median in seconds.items():
        times = median / seconds["fastce, all statistics"]
        print(f"| {name} | {median * 1e3:.1f} ms | {times:.2f} |")


def main(argv: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", default=SHAPES)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--libraries", action="store_true")
    options = parser.parse_args(argv)
    if options.libraries:
        against_libraries(options.dtype)
    else:
        against_the_loss(options.shapes, options.dtype, options.threads)


if __name__ == "__main__":
    main()
