"""Compare the speed with what was stored, and fail if it fell.

    python -m bench.guard             compare; exit status 1 if a cell became slower
    python -m bench.guard --update    measure and store

Seconds are worth nothing across days and machines, ratios within a run are worth something.
ratios.json holds two per cell, to NumPy and to the memory limit. A cell counts as fallen when
both are more than 15 % below what is stored: slower code lowers both, while faster memory lowers
only the one and a faster NumPy only the other. A cell that seems to have fallen is measured once
more before it is reported.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

from bench.measure import ROUNDS, Result, processors, run
from bench.shapes import Cell, expand
from bench.table import accepted, processor

RATIOS = Path(__file__).with_name("ratios.json")
OPPONENT = "NumPy"
TOLERANCE = 0.15

Ratios = dict[str, dict[str, float]]


def cells(shapes: str, threads: int) -> list[Cell]:
    """List the quick shapes in float32 and float64, loss and gradient; sigmoid on one of them."""
    softmax = [
        Cell("softmax_cross_entropy", shape, dtype, mode, threads=threads)
        for shape, dtype, mode in product(
            expand(shapes), ("float32", "float64"), ("loss", "gradient")
        )
    ]
    sigmoid = [
        Cell("sigmoid_cross_entropy", expand(shapes)[0], "float32", mode, threads=threads)
        for mode in ("loss", "gradient")
    ]
    return softmax + sigmoid


def ratios(results: Iterable[Result]) -> Ratios:
    """Say how many times faster than NumPy, and at which part of the memory limit's speed."""
    return {
        f"{result.cell.key}, {result.isa}, {result.cell.threads} threads": {
            OPPONENT: round(result.ratio(OPPONENT), 3),
            "limit": round(result.fraction(), 3),
        }
        for result in results
    }


def changes(stored: dict[str, float], fresh: dict[str, float]) -> dict[str, float]:
    """Return the relative change of each ratio; negative is slower."""
    return {name: fresh[name] / stored[name] - 1 for name in stored}


def has_fallen(stored: dict[str, float], fresh: dict[str, float]) -> bool:
    return all(change < -TOLERANCE for change in changes(stored, fresh).values())


def compare(stored: Ratios, fresh: Ratios) -> tuple[list[str], list[str]]:
    """Return one line per cell, and the keys of those that fell."""
    lines, fallen = [], []
    for key, values in fresh.items():
        if key not in stored:
            lines.append(f"  new   {key}")
            continue
        verdict = "FELL" if has_fallen(stored[key], values) else "ok"
        if verdict == "FELL":
            fallen.append(key)
        numbers = ", ".join(
            f"{name} {stored[key][name]:.2f} → {values[name]:.2f} ({change:+.0%})"
            for name, change in changes(stored[key], values).items()
        )
        lines.append(f"  {verdict:<5} {key}: {numbers}")
    lines += [f"  gone  {key}" for key in stored if key not in fresh]
    return lines, fallen


def measured(wanted: Sequence[Cell], rounds: int) -> list[Result]:
    return list(run(wanted, [OPPONENT], rounds))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.guard", description="Fail if a cell became slower."
    )
    parser.add_argument("--update", action="store_true", help="store what is measured now")
    parser.add_argument("--ratios", type=Path, default=RATIOS)
    parser.add_argument("--shapes", default="quick")
    parser.add_argument("--threads", type=int, default=processors())
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args(arguments)
    stored = json.loads(options.ratios.read_text()) if options.ratios.exists() else {"cells": {}}
    if not stored["cells"] and not options.update:
        print(f"{options.ratios.name} holds no cells; store some with --update", file=sys.stderr)
        return 2

    results = measured(accepted(cells(options.shapes, options.threads)), options.rounds)
    fresh = ratios(results)
    if options.update:
        content = {"processor": processor(), "cells": fresh}
        options.ratios.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        print(f"{options.ratios.name}: {len(fresh)} cells stored")
        return 0

    if stored["processor"] != processor():
        print(f"stored on {stored['processor']}, now {processor()}: compare with care")
    suspects = set(compare(stored["cells"], fresh)[1])
    if suspects:
        again = [r.cell for r in results if ratios([r]).keys() & suspects]
        for key, values in ratios(measured(again, options.rounds)).items():
            fresh[key] = {name: max(values[name], fresh[key][name]) for name in values}
    if not fresh.keys() & stored["cells"].keys():
        print(f"none of the cells measured is in {options.ratios.name}", file=sys.stderr)
        return 2
    lines, fallen = compare(stored["cells"], fresh)
    print("\n".join(lines))
    print(f"{len(fallen)} of {len(fresh)} cells fell by more than {TOLERANCE:.0%}")
    return 1 if fallen else 0


if __name__ == "__main__":
    raise SystemExit(main())
