"""Make generated calls and count the results that are past their budget: wanted is 0.

    python tools/check/calls.py --calls 500000 [--first NUMBER] [--isa avx2]

True values are those of tests/references/wide.py in long double; what seems past its budget is
settled by tests/references/oracle.py in 1300 binary digits. For each instruction set and quantity:
how many calls have a result past its budget, and the largest share of its budget that any used.
Exits with status 1 if any is past it.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "references")]

import against_reference
import generated
import oracle
from ulp import used

from fastce import _kernels

CALLS_OF_A_PROBLEM = 5  # for each instruction set: the loss alone and with all, three activations
LARGEST_SETTLED = 3000  # logits of a call: the oracle takes about a millisecond for each ten
SHOWN = 5  # calls past their budget, for each quantity


@dataclass
class Count:
    """What has been seen of one quantity."""

    calls: int = 0
    past: int = 0
    worst: float = 0.0
    number: int = -1


def settled(problem: generated.Problem, name: str, share: Any, got: Any) -> float:
    """Return the largest share of the budget, by exact arithmetic where that takes no minutes."""
    largest = float(np.max(share, initial=0))
    if problem.logits.size > LARGEST_SETTLED or name not in ("loss", "gradient"):
        return largest
    x = problem.logits
    x = x.astype(np.float32) if x.dtype.itemsize == 2 else x
    options = {"axis": problem.axis, **problem.options}
    loss, gradient = oracle.softmax_cross_entropy(x, problem.labels, **options)
    wide = against_reference.expected(problem.logits, problem.labels, **options)
    exact = loss if name == "loss" else gradient
    near = wide.loss if name == "loss" else wide.gradient
    allowed = wide.loss_tolerance if name == "loss" else wide.gradient_tolerance
    off = used(near, exact, allowed, np.longdouble)
    if float(np.max(off)) > 0.1:
        print(f"the reference itself is off by {float(np.max(off)):.2g} budgets: {problem}")
    if name == "gradient" and problem.logits.dtype.itemsize == 2:
        return largest
    dtype = np.asarray(got).dtype
    return float(np.max(used(got, exact, allowed, dtype), initial=0))


def run(first: int, calls: int, isas: list[str]) -> dict[tuple[str, str], Count]:
    """Make the calls; return the counts by instruction set and quantity."""
    counts: dict[tuple[str, str], Count] = {}
    problems = -(-calls // (CALLS_OF_A_PROBLEM * len(isas)))
    for number in range(first, first + problems):
        problem = generated.make_problem(number)
        call = generated.measure(problem)
        for isa in isas:
            _kernels.active = _kernels.load(isa)
            for name, (share, got, _) in call().items():
                count = counts.setdefault((isa, name), Count())
                count.calls += 1
                largest = float(np.max(share, initial=0))
                if largest > 1 and count.past < SHOWN:
                    largest = settled(problem, name, share, got)
                    if largest > 1:
                        print(f"{isa}, {name}: {largest:.3g} times the budget, {problem}")
                count.past += largest > 1
                if largest > count.worst:
                    count.worst, count.number = largest, number
    return counts


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first problem")
    parser.add_argument("--isa", action="append", choices=_kernels.available())
    options = parser.parse_args()
    isas = options.isa or list(_kernels.available())
    begin = time.monotonic()
    counts = run(options.first, options.calls, isas)
    print("\n| instruction set | quantity | results | past their budget | worst share | number |")
    print("| --- " * 6 + "|")
    for (isa, name), c in sorted(counts.items()):
        print(f"| {isa} | {name} | {c.calls:,} | {c.past:,} | {c.worst:.3g} | {c.number} |")
    past = sum(c.past for c in counts.values())
    print(f"\n{past:,} past their budget; {time.monotonic() - begin:.0f} s")
    return int(past > 0)


if __name__ == "__main__":
    sys.exit(main())
