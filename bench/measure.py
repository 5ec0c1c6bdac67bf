"""Measure cells: fastce, the memory limit and the opponents, interleaved in one process.

    python -m bench.measure softmax_cross_entropy classes-1000 float32 loss --threads 2

Machines are shared and their speed drifts, so only ratios inside one run mean anything. In every
round each candidate runs once for at least `min_seconds`; the result is each one's median.
`run` does this in a fresh process for each instruction set and number of threads, because both
are decided where a process starts.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from bench.opponents import OPPONENTS, Array, Candidate, Fastce, dtype_of, installed, is_hot
from bench.roofline import BOUNDS, Limit, aligned_empty, bytes_moved, last_level_cache_bytes
from bench.shapes import Cell, Shape, parse

ROUNDS = 9
MIN_SECONDS = 0.02
# Between two candidates: how long the threads of the one before must rest, and how long to wait.
PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 1.0


@dataclass(frozen=True)
class Result:
    """The seconds per call of every candidate in every round of one cell."""

    cell: Cell
    isa: str
    nbytes: int
    samples: dict[str, list[float]]

    def seconds(self, name: str = "fastce") -> float:
        """Return the median of the candidate's rounds."""
        return statistics.median(self.samples[name])

    def gigabytes_per_second(self, name: str = "fastce") -> float:
        """Return the bytes that the limit counts by the candidate's time."""
        return self.nbytes / self.seconds(name) * 1e-9

    def fraction(self, name: str = "fastce") -> float:
        """Return the part of the memory limit's speed that `name` reaches."""
        return self.seconds("limit") / self.seconds(name)

    def computing(self) -> float:
        """Return the part of fastce's time that the same work takes in the cache."""
        return self.seconds("in cache") / self.seconds()

    def ratio(self, opponent: str) -> float:
        """Return how many times longer than fastce the opponent takes."""
        return self.seconds(opponent) / self.seconds()

    @property
    def is_hot(self) -> bool:
        """Whether the arrays stay in the processor's cache, where the memory limit says nothing."""
        return is_hot(self.cell)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Result:
        """Build a result from what `dataclasses.asdict` made of it."""
        return cls(**{**fields, "cell": Cell(**fields["cell"])})


@dataclass(frozen=True)
class Slot:
    """One set of arrays; calls rotate among several, so that each finds its own in memory."""

    logits: Array
    labels: Array
    grad: Array


def processors() -> int:
    """Return the number of processors that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def slot_count(cell: Cell) -> int:
    """As many slots as make the logits alone twice the last-level cache; one for a hot shape."""
    if is_hot(cell):
        return 1
    nbytes = parse(cell.shape).elements * dtype_of(cell.dtype).itemsize
    return max(2, math.ceil(2 * last_level_cache_bytes() / nbytes))


class Arena:
    """Memory for the logits and gradients of one dtype, kept from cell to cell."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype_of(dtype)
        self.logits = self.grads = aligned_empty((0,), self.dtype)

    def slots(self, cell: Cell) -> list[Slot]:
        """Cut the arrays of a cell out of the memory."""
        shape, count = parse(cell.shape), slot_count(cell)
        line = 64 // self.dtype.itemsize
        stride = math.ceil(shape.elements / line) * line
        self.grow(stride * count)
        first = make_labels(cell, shape)
        slots = []
        for start in range(0, stride * count, stride):
            part = slice(start, start + shape.elements)
            labels = aligned_empty(first.shape, first.dtype)
            labels[...] = first
            logits, grad = (memory[part] for memory in (self.logits, self.grads))
            slots.append(Slot(logits.reshape(shape.dims), labels, grad.reshape(shape.dims)))
        return slots

    def grow(self, size: int) -> None:
        """Make room for `size` elements of logits and of gradients, and fill it."""
        if self.logits.size >= size:
            return
        self.logits, self.grads = (aligned_empty((size,), self.dtype) for _ in range(2))
        self.grads.fill(0)  # so that no page is touched first inside the clock
        block = np.random.default_rng(0).normal(scale=2, size=min(size, 1 << 24))
        for start in range(0, size, block.size):
            part = self.logits[start : start + block.size]
            part[...] = block[: part.size]


def make_labels(cell: Cell, shape: Shape) -> Array:
    """Draw class numbers, int64 as NumPy has them; for the sigmoid, floats of zeros and ones."""
    random = np.random.default_rng(1)
    if cell.is_softmax:
        return random.integers(0, shape.classes, shape.row_dims)
    return (random.random(shape.dims, np.float32) < 0.5).astype(dtype_of(cell.dtype))


@cache
def arena(dtype: str) -> Arena:
    return Arena(dtype)


def candidates(cell: Cell, opponents: Iterable[str]) -> list[type[Candidate]]:
    """List fastce, what bounds it, and those of the opponents that have this cell."""
    table = OPPONENTS[cell.function]
    others = (table[name] for name in opponents if name in table)
    bounds = [Limit] if is_hot(cell) else BOUNDS
    return [Fastce, *bounds, *(other for other in others if other.supports(cell))]


def bind(candidate: Candidate, slots: Sequence[Slot]) -> list[Callable[[], Any]]:
    """Return what is timed, once per slot, with nothing left to decide."""
    cell = candidate.cell
    fresh = cell.mode == "gradient-fresh" and not isinstance(candidate, Limit)
    calls: list[Callable[[], Any]] = []
    for slot in slots:
        logits, labels = candidate.place(slot.logits, slot.labels)
        if cell.has_gradient:
            grad_out = None if fresh else slot.grad
            calls.append(partial(candidate.loss_and_gradient, logits, labels, grad_out))
        else:
            calls.append(partial(candidate.loss, logits, labels))
    return calls


def mean_loss(cell: Cell, answer: Any) -> float:
    """Return the mean loss in what a call returned."""
    loss = answer[0] if cell.has_gradient else answer
    return float(loss if isinstance(loss, float) else loss.mean())


class Clock:
    """Times batches of calls. All candidates share one place in the rotation of the slots.

    The slot that a call gets is therefore always the one that was used longest ago, by anyone.
    """

    def __init__(self) -> None:
        self.turn = 0

    def time(self, calls: Sequence[Callable[[], Any]], repetitions: int) -> float:
        """Return the seconds per call."""
        batch = [calls[(self.turn + i) % len(calls)] for i in range(repetitions)]
        self.turn += repetitions
        start = time.perf_counter()
        for call in batch:
            call()
        seconds = (time.perf_counter() - start) / repetitions
        return float(f"{seconds:.4g}")  # more digits would only be noise in the stored files

    def repetitions(self, calls: Sequence[Callable[[], Any]], min_seconds: float) -> int:
        """Return how many calls fill `min_seconds`."""
        trial = 1
        while (seconds := self.time(calls, trial)) * trial < min_seconds / 4:
            trial *= 4
        return max(1, math.ceil(min_seconds / seconds))


def measure(
    cell: Cell,
    opponents: Iterable[str],
    rounds: int = ROUNDS,
    min_seconds: float = MIN_SECONDS,
) -> Result:
    """Measure one cell in this process."""
    from fastce import _kernels

    slots = arena(cell.dtype).slots(cell)
    calls = {kind.name: bind(kind(cell), slots) for kind in candidates(cell, opponents)}
    warm_up(cell, calls)
    clock = Clock()
    samples: dict[str, list[float]] = {name: [] for name in calls}
    gc.collect()
    gc.disable()
    try:
        repetitions = {
            name: clock.repetitions(of_slot, min_seconds) for name, of_slot in calls.items()
        }
        for _ in range(rounds):
            for name, of_slot in calls.items():
                settle()
                samples[name].append(clock.time(of_slot, repetitions[name]))
    finally:
        gc.enable()
    isa = _kernels.active.__name__.rpartition(".")[2]
    return Result(cell, isa, bytes_moved(cell), samples)


def settle() -> None:
    """Wait until this process computes nothing: threads spin, and JAX's free memory."""
    patience = time.perf_counter() + PATIENCE_SECONDS
    busy = math.inf
    while busy > PAUSE_SECONDS / 10 and time.perf_counter() < patience:
        start = time.process_time()
        time.sleep(PAUSE_SECONDS)
        busy = time.process_time() - start


def warm_up(cell: Cell, calls: dict[str, list[Callable[[], Any]]]) -> None:
    """Compile what is compiled at the first call, and see that all compute the same loss."""
    expected = mean_loss(cell, calls["fastce"][0]())
    tolerance = 0.05 if cell.is_half else 1e-3
    bounds = {bound.name for bound in BOUNDS}
    for name, of_slot in calls.items():
        answer = of_slot[0]()
        if name in bounds:
            continue
        if not math.isclose(mean_loss(cell, answer), expected, rel_tol=tolerance):
            raise ValueError(
                f"{cell.key}: the loss of {name} is {mean_loss(cell, answer)}, "
                f"that of fastce {expected}"
            )


def environment(isa: str, threads: int) -> dict[str, str]:
    """Make every library in a new process use these threads, and fastce this module."""
    fixed = {
        "OMP_NUM_THREADS": str(threads),
        "NPROC": str(threads),  # XLA's thread pool
        "JAX_PLATFORMS": "cpu",
    }
    return {**os.environ, **fixed, **({"FASTCE_ISA": isa} if isa else {})}


def run(
    cells: Iterable[Cell],
    opponents: Sequence[str],
    rounds: int = ROUNDS,
    min_seconds: float = MIN_SECONDS,
) -> Iterator[Result]:
    """Measure cells in processes of their own, one per instruction set and number of threads."""

    def process(cell: Cell) -> tuple[str, int]:
        return cell.isa, cell.threads

    for (isa, threads), group in groupby(sorted(cells, key=process), key=process):
        request = {
            "cells": [asdict(cell) for cell in group],
            "opponents": list(opponents),
            "rounds": rounds,
            "min_seconds": min_seconds,
        }
        with subprocess.Popen(
            [sys.executable, "-m", "bench.measure", "--worker", json.dumps(request)],
            cwd=Path(__file__).resolve().parents[1],
            env=environment(isa, threads),
            stdout=subprocess.PIPE,
            text=True,
        ) as worker:
            assert worker.stdout is not None
            for line in worker.stdout:
                yield Result.from_dict(json.loads(line))
        if worker.returncode:
            raise SystemExit(f"measuring with {threads} threads failed, see the error above")


def work(request: dict[str, Any]) -> None:
    """Measure what `run` asks for; one line of JSON per cell."""
    for fields in request.pop("cells"):
        print(json.dumps(asdict(measure(Cell(**fields), **request))), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.measure", description="Measure a cell.")
    parser.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("cell", nargs="*", metavar="function shape dtype mode")
    parser.add_argument("--isa", default="", help="baseline, avx2 or avx512; default: the best")
    parser.add_argument("--threads", type=int, default=processors())
    parser.add_argument("--opponents", default="none", help="usual, all, none, or names")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args(arguments)
    if options.worker:
        work(options.worker)
        return
    if len(options.cell) != 4:
        parser.error("give a function, a shape, a dtype and a mode")
    function, shape, dtype, mode = options.cell
    cell = Cell(function, shape, dtype, mode, options.isa, options.threads)
    for result in run([cell], installed(options.opponents), options.rounds):
        print(f"{cell.key}, {result.isa}, {cell.threads} threads")
        for name in result.samples:
            print(
                f"{name:>14} {result.seconds(name) * 1e3:12.4f} ms"
                f" {result.gigabytes_per_second(name):8.2f} GB/s"
                f" {result.fraction(name):7.3f} of the limit"
            )


if __name__ == "__main__":
    main()
