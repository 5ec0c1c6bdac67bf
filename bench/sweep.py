"""Fraction of the memory limit against the number of classes, for fastce and the opponents.

    python -m bench.sweep                          measure, store it, draw docs/sweep-*.png
    python -m bench.sweep --from-json bench/sweep.json   draw only

The number of elements is the same everywhere, so that only the shape changes. fastce and the
limit are measured on a dense grid, the opponents on a sparse one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.measure import ROUNDS, Result, processors, run
from bench.opponents import NAMES, installed
from bench.shapes import Cell, parse
from bench.table import Setting, load, report, save

ROOT = Path(__file__).resolve().parents[1]
ELEMENTS = 1 << 25
LARGEST = 256_000
SPARSE = (2, 4, 10, 21, 32, 64, 128, 1024, 4096, 32768, 131072, LARGEST)
MODES = ("loss", "gradient")


def dense(largest: int) -> list[int]:
    """Return every number of classes from 2 to 70, then the powers of two and their neighbours."""
    powers = [2**k + d for k in range(7, largest.bit_length()) for d in (-1, 0, 1)]
    return sorted({c for c in (*range(2, 71), *powers, largest) if c <= largest})


def cells(classes: Iterable[int], elements: int, dtype: str, isa: str, threads: int) -> list[Cell]:
    return [
        Cell("softmax_cross_entropy", f"{max(1, elements // c)}x{c}", dtype, mode, isa, threads)
        for c in classes
        for mode in MODES
    ]


def measure(options: argparse.Namespace, opponents: Sequence[str]) -> list[Result]:
    """Measure the sparse grid with the opponents, the rest of the dense grid without."""
    sparse = [c for c in SPARSE if c <= options.largest] if opponents else []
    rest = [c for c in dense(options.largest) if c not in sparse]
    setting = options.elements, options.dtype, options.isa, options.threads
    results = []
    for classes, against in ((rest, []), (sparse, opponents)):
        for result in run(cells(classes, *setting), against, options.rounds):
            report(result)
            results.append(result)
    return results


def draw(setting: Setting, results: Sequence[Result], mode: str, path: Path) -> None:
    """Draw one line per candidate, and one for computing alone; both axes logarithmic."""
    from matplotlib.figure import Figure

    of_mode = [result for result in results if result.cell.mode == mode]
    cell = of_mode[0].cell
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(1, color="0.5", linewidth=1)
    for name in ("fastce", "in cache", *NAMES):
        points = sorted(
            (parse(result.cell.shape).classes, result.fraction(name))
            for result in of_mode
            if name in result.samples
        )
        if points:
            line = "-" if name == "fastce" else "--"
            axes.plot(*zip(*points, strict=True), line, label=name, marker=".", linewidth=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    ticks = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.yaxis.minorticks_off()
    axes.set_xlabel("number of classes")
    axes.set_ylabel("fraction of the memory limit")
    axes.set_title(
        f"{cell.function}, {mode}, {cell.dtype}, {cell.threads} threads, {of_mode[0].isa}\n"
        f"{setting.processor}; {setting.versions}",
        fontsize=8,
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.sweep", description="Measure and draw speed against classes."
    )
    parser.add_argument("--elements", type=int, default=ELEMENTS)
    parser.add_argument("--largest", type=int, default=LARGEST, help="number of classes")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--isa", default="")
    parser.add_argument("--threads", type=int, default=processors())
    parser.add_argument("--opponents", default="usual", help="usual, all, none, or names")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, default=ROOT / "bench" / "sweep.json")
    parser.add_argument("--from-json", type=Path, help="draw such a file; measure nothing")
    parser.add_argument("--into", type=Path, default=ROOT / "docs", help="folder of the plots")
    options = parser.parse_args(arguments)
    if options.from_json:
        setting, results = load(options.from_json)
    else:
        opponents = installed(options.opponents)
        setting, results = Setting.here(opponents), measure(options, opponents)
        save(options.json, setting, results)
    for mode in MODES:
        path = options.into / f"sweep-{mode}.png"
        draw(setting, results, mode, path)
        print(path)


if __name__ == "__main__":
    main()
