"""``fastce config``: what this installation was built with and what it uses here."""

from __future__ import annotations

import argparse

import fastce
from fastce.cli.report import Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Print the configuration."""
    if arguments.json:
        report.json(fastce.show_config(mode="dict"))
    else:
        fastce.show_config()
