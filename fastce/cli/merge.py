"""``fastce merge``: one evaluation of rows that were evaluated in parts."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastce.cli import evaluation_options as options
from fastce.cli.conditions import unmet
from fastce.cli.evaluation_output import show
from fastce.cli.report import Report, complain
from fastce.cli.state_file import load, save
from fastce.readers.errors import InputError
from fastce.readers.several import expand


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = (
        "Add states that 'fastce evaluate --state' has written. Sums are exact: the result and its "
        "receipt are those of one evaluation of all rows, in whatever order they are added."
    )
    parser.add_argument("states", nargs="+", metavar="STATE", help="names with * are looked up")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the sum as a state")
    options.add_results(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Merge, print, and return the exit status."""
    paths = expand(arguments.states)
    with report.progress("merging", len(paths)) as advance:
        whole = load(paths[0])
        advance(1)
        for path in paths[1:]:
            try:
                whole.merge(load(path))
            except ValueError as error:
                raise InputError(f"{path}: {error}") from error
            advance(1)
    if arguments.output is not None:
        save(arguments.output, whole)
    result = whole.result()
    if "+" in result.instruction_set:
        complain(
            f"note: rows were computed with several instruction sets ({result.instruction_set}), "
            "which differ in the last bits"
        )
    show(arguments, result, report, None)
    return unmet(arguments, result)
