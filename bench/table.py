"""Print the tables of README.md and docs/performance.md as Markdown.

python -m bench.table --quick
python -m bench.table --shapes all,segmentation --opponents usual --threads 1,2 --json table.json
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, product
from pathlib import Path

from bench.measure import ROUNDS, Result, processors, run
from bench.opponents import NAMES, OPPONENTS, Candidate, Fastce, installed
from bench.shapes import FUNCTIONS, MODES, NAMED, Cell, expand


def processor() -> str:
    """Return the processor's own name for itself."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@dataclass(frozen=True)
class Setting:
    """What stands above a table: the processor and the versions of the libraries."""

    processor: str
    versions: str

    @classmethod
    def here(cls, opponents: Iterable[str]) -> Setting:
        """Describe this machine and what is installed on it."""
        kinds: list[type[Candidate]] = [Fastce]
        kinds += (OPPONENTS["softmax_cross_entropy"][name] for name in opponents)
        found = {kind.distribution: kind.version() for kind in kinds}
        return cls(processor(), ", ".join(" ".join(pair) for pair in found.items()))


def cells(options: argparse.Namespace) -> list[Cell]:
    """List every combination of what the options list."""
    return [
        Cell(options.function, shape, dtype, mode, isa, int(threads))
        for isa, threads, dtype, shape, mode in product(
            options.isa.split(","),
            options.threads.split(","),
            options.dtypes.split(","),
            expand("quick" if options.quick else options.shapes),
            options.modes.split(","),
        )
    ]


def accepted(wanted: Iterable[Cell]) -> list[Cell]:
    """Leave out the dtypes and functions that this fastce does not have, and name them."""
    wanted = list(wanted)
    kept = [cell for cell in wanted if Fastce.supports(cell)]
    for name in sorted({f"{c.function} {c.dtype}" for c in wanted if c not in kept}):
        print(f"left out, not in this fastce: {name}", file=sys.stderr)
    return kept


def size(shape: str) -> str:
    """Write a shape, named or spelt out, as a reader does: `65536×1000`."""
    dims, _, axis = NAMED.get(shape, shape).partition("@")
    return dims.replace("x", "×") + (f" axis {axis}" if axis else "")


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def row(result: Result, opponents: Iterable[str]) -> list[str]:
    """Return median, GB/s, limit's GB/s, fractions, ratio to each opponent."""
    cell = result.cell
    # In the cache there is no traffic that a memory limit could be compared with.
    of_memory = (
        ["–"] * 4
        if result.is_hot
        else [
            f"{result.gigabytes_per_second():.1f}",
            f"{result.gigabytes_per_second('limit'):.1f}",
            f"{result.fraction():.2f}",
            f"{result.computing():.2f}" if "in cache" in result.samples else "–",
        ]
    )
    ratios = [f"{result.ratio(o):.1f}×" if o in result.samples else "–" for o in opponents]
    return [
        size(cell.shape),
        cell.dtype,
        cell.mode.replace("-", ", "),
        milliseconds(result.seconds()),
        *of_memory,
        *ratios,
    ]


def markdown(
    setting: Setting, results: Sequence[Result], opponents: Sequence[str]
) -> Iterator[str]:
    """Yield one heading line and one table per function, instruction set and number of threads."""

    def kind(result: Result) -> tuple[str, str, int]:
        return result.cell.function, result.isa, result.cell.threads

    header = ["logits", "dtype", "mode", "median", "GB/s", "limit GB/s", "of the limit"]
    header += ["computing", *opponents]
    for (function, isa, threads), group in groupby(sorted(results, key=kind), key=kind):
        of_kind = list(group)
        yield (
            f"`{function}`, {setting.processor}, {isa}, {threads} "
            f"{'thread' if threads == 1 else 'threads'}; {setting.versions}; "
            f"{limits(of_kind)}. Computing: the time that the same work takes in the cache, as a "
            "part of the median. Libraries: their time as a multiple of fastce's."
        )
        yield ""
        yield "| " + " | ".join(header) + " |"
        yield "| --- | --- | --- |" + " ---: |" * (len(header) - 3)
        for result in of_kind:
            yield "| " + " | ".join(row(result, opponents)) + " |"
        yield ""


def limits(results: Iterable[Result]) -> str:
    """Say the speed of the limit in this run, reading alone and reading with writing."""
    speeds: dict[str, list[float]] = {"read": [], "read and write": []}
    for result in results:
        if not result.is_hot:
            name = "read" if result.cell.mode == "loss" else "read and write"
            speeds[name].append(result.gigabytes_per_second("limit"))
    parts = [f"{name} {min(s):.0f}–{max(s):.0f}" for name, s in speeds.items() if s]
    return f"memory limit in GB/s: {', '.join(parts)}" if parts else "arrays in the cache"


def save(path: Path, setting: Setting, results: Iterable[Result]) -> None:
    content = {"setting": asdict(setting), "results": [asdict(result) for result in results]}
    path.write_text(json.dumps(content, ensure_ascii=False) + "\n")


def load(path: Path) -> tuple[Setting, list[Result]]:
    content = json.loads(path.read_text())
    results = [Result.from_dict(fields) for fields in content["results"]]
    return Setting(**content["setting"]), results


def report(result: Result) -> None:
    """Print one line on stderr as soon as a cell is done; a whole table takes minutes."""
    print(
        f"{result.cell.key}, {result.isa}, {result.cell.threads} threads:"
        f" {milliseconds(result.seconds())}, {result.fraction():.2f} of the limit",
        file=sys.stderr,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.table", description="Measure and print a Markdown table."
    )
    parser.add_argument("--quick", action="store_true", help="a quarter of the size; some shapes")
    parser.add_argument("--function", default=FUNCTIONS[0], choices=FUNCTIONS)
    parser.add_argument("--shapes", default="all", help="groups, names, or shapes such as 64x10")
    parser.add_argument("--dtypes", default="float32")
    parser.add_argument("--modes", default="loss,gradient", help=f"of {', '.join(MODES)}")
    parser.add_argument("--isa", default="", help="baseline,avx2,avx512; default: the best")
    parser.add_argument("--threads", default=str(processors()), help="e.g. 1,2")
    parser.add_argument(
        "--opponents", default="usual", help=f"usual, all, none, or of {', '.join(NAMES)}"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, help="write every sample to this file")
    parser.add_argument("--from-json", type=Path, help="print such a file; measure nothing")
    options = parser.parse_args(arguments)
    if options.from_json:
        setting, results = load(options.from_json)
    else:
        opponents = installed(options.opponents)
        setting, results = Setting.here(opponents), []
        try:
            for result in run(accepted(cells(options)), opponents, options.rounds):
                report(result)
                results.append(result)
        finally:  # what was measured is worth keeping if the rest fails
            if options.json:
                save(options.json, setting, results)
    measured = [name for name in NAMES if any(name in result.samples for result in results)]
    print("\n".join(markdown(setting, results, measured)))


if __name__ == "__main__":
    main()
