"""What is expected of an evaluation: exit status 1 where it does not hold."""

from __future__ import annotations

import argparse

from fastce.cli.report import complain
from fastce.evaluation.results.result import EvaluationResult


def unmet(arguments: argparse.Namespace, result: EvaluationResult) -> int:
    """Return 1, and say what was expected, if a condition does not hold; else 0."""
    failed = []
    if arguments.expect_rows is not None and result.all_rows != arguments.expect_rows:
        failed.append(f"rows is {result.all_rows}, expected {arguments.expect_rows}")
    if arguments.expect_finite and result.nonfinite_rows:
        failed.append(f"{result.nonfinite_rows} rows are not finite, expected none")
    for text in failed:
        complain(text)
    return 1 if failed else 0
