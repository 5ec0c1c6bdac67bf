"""The command line: ``fastce evaluate``, ``merge``, ``class-weights`` and ``config``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

import fastce
from fastce.cli.report import Report, complain, silence
from fastce.readers.errors import InputError

__all__ = ["main"]

# A command is the module of its name, with _ for -.
_COMMANDS = {
    "evaluate": "loss, accuracy and calibration of the logits in files",
    "merge": "add evaluations that were made in parts",
    "class-weights": "weights of classes from the labels in a file",
    "config": "what this installation was built with and uses",
}
# Exit statuses. The last two are what a shell reports for a program that the signal ended.
_DONE = 0
_BAD_INPUT = 2
_INTERRUPTED = 130
_CLOSED_PIPE = 141


def main(argv: Sequence[str] | None = None, *, bar_after: float = 1.0) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process by default.
    bar_after : float, default 1.0
        Seconds of work after which a progress bar appears on a terminal.

    Returns
    -------
    int
        Exit status: 0, 1 where a condition does not hold, 2 for bad usage or input, 130 when
        interrupted, 141 when whoever read the output has gone.
    """
    try:
        status = _run(argv, bar_after)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        complain("interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        silence()
        return _CLOSED_PIPE
    except OSError as error:  # those of other files are InputErrors by now
        silence()
        complain(f"error: standard output: {error.strerror or error}")
        return _BAD_INPUT


def _run(argv: Sequence[str] | None, bar_after: float) -> int:
    try:
        given = sys.argv[1:] if argv is None else argv
        arguments = _parser(given).parse_args(given)
        report = Report(bar_after, bare=getattr(arguments, "json", False))
        return arguments.run(arguments, report) or _DONE
    except SystemExit as stop:  # argparse, after usage, help or version
        return int(stop.code or 0)
    except InputError as error:
        complain(f"error: {error}")
        return _BAD_INPUT
    except MemoryError as error:
        complain(f"error: not enough memory: {error}")
        return _BAD_INPUT


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser; only the command that is meant is imported, so that help is quick."""
    parser = argparse.ArgumentParser(
        prog="fastce", description="Cross-entropy losses on the CPU, fast and accurate."
    )
    parser.add_argument("--version", action="version", version=f"fastce {fastce.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    meant = next((argument for argument in argv if not argument.startswith("-")), None)
    for name, text in _COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if name == meant:
            import_module(f"fastce.cli.{name.replace('-', '_')}").configure(command)
    return parser
