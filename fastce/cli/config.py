"""``fastce config``: what this installation was built with and what it uses here."""

from __future__ import annotations

import argparse

import fastce
from fastce.cli.report import Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments: it has none."""
    parser.set_defaults(run=run)


def run(_arguments: argparse.Namespace, _report: Report) -> None:
    """Print the configuration."""
    fastce.show_config()
