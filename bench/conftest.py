"""Options and parameters of the pytest-benchmark files.

Each file names a FUNCTION, its SHAPES and MODES; every cell of these becomes one group of
benchmarks, in which fastce, the limit and the opponents stand below each other.
"""

from __future__ import annotations

import os
import warnings
from functools import lru_cache
from itertools import cycle, product
from typing import Any

import pytest

from bench.measure import Slot, arena, bind, candidates, environment, processors
from bench.opponents import Candidate, Fastce, installed
from bench.roofline import bytes_moved
from bench.shapes import Cell, expand


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the command line choose what is measured."""
    group = parser.getgroup("fastce benchmarks")
    group.addoption("--bench-shapes", help="names, groups or shapes such as 64x10")
    group.addoption("--bench-dtypes", default="float32,float64")
    group.addoption("--bench-opponents", default="NumPy", help="usual, all, none, or names")
    group.addoption("--bench-threads", type=int, default=processors())


def pytest_configure(config: pytest.Config) -> None:
    """Run benchmarks as benchmarks: whoever names this folder asks for the numbers."""
    if "--benchmark-disable" not in config.invocation_params.args:
        config.option.benchmark_disable = False
    # Before any library that reads these when it is loaded.
    os.environ.update(environment("", config.getoption("--bench-threads")))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one benchmark per cell and candidate."""
    if "cell" not in metafunc.fixturenames:
        return
    option, module = metafunc.config.getoption, metafunc.module
    shapes = expand(option("--bench-shapes") or ",".join(module.SHAPES))
    dtypes = option("--bench-dtypes").split(",")
    opponents = installed(option("--bench-opponents"))
    pairs = []
    for shape, dtype, mode in product(shapes, dtypes, module.MODES):
        cell = Cell(module.FUNCTION, shape, dtype, mode, threads=option("--bench-threads"))
        if Fastce.supports(cell):
            pairs += [(cell, kind) for kind in candidates(cell, opponents)]
    ids = [f"{cell.shape}-{cell.dtype}-{cell.mode}-{kind.name}" for cell, kind in pairs]
    metafunc.parametrize(("cell", "kind"), pairs, ids=ids)


@lru_cache(maxsize=1)
def slots_of(cell: Cell) -> list[Slot]:
    """Keep the arrays of the cell that is being measured."""
    return arena(cell.dtype).slots(cell)


@pytest.fixture
def run_cell(benchmark: Any, cell: Cell, kind: type[Candidate]) -> Any:
    """Benchmark one candidate on one cell, each call on the next of the rotating arrays."""

    def run() -> Any:
        benchmark.group = f"{cell.key}, {cell.threads} threads"
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # what the opponents warn of is their own affair
            calls = cycle(bind(kind(cell), slots_of(cell)))
            answer = benchmark(lambda: next(calls)())
        if benchmark.stats:  # there are none with --benchmark-disable
            seconds = benchmark.stats.stats.median
            benchmark.extra_info["GB/s"] = bytes_moved(cell) / seconds * 1e-9
        return answer

    return run
