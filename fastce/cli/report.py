"""What the commands print: facts, tables and JSON on standard output, a bar on a terminal.

`rich` draws the tables and the bar when it is installed and both output streams are a terminal;
otherwise tables are plain text and there is no bar.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

_COLUMN = 12  # characters; wide enough for counts up to 10^12 and six significant digits
_REFRESH_SECONDS = 0.1  # between two pictures of the bar
_RICH_ROWS = 1000  # rich measures every cell before it prints one


class Report:
    """Where output goes, and how.

    Parameters
    ----------
    bar_after : float
        Seconds of work after which a progress bar appears on a terminal.
    bare : bool
        Whether there is nothing but the results to be seen: no bar.
    """

    def __init__(self, bar_after: float, bare: bool) -> None:
        self.bar_after = bar_after
        streams = sys.stdout, sys.stderr
        self.terminal = not bare and all(stream and stream.isatty() for stream in streams)

    def facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Print one line for each name and value."""
        _write("".join(f"{name:<16}{value}\n" for name, value in facts))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table of numbers, its columns aligned to the right."""
        if self.terminal and len(rows) <= _RICH_ROWS:
            try:
                _rich_table(columns, rows)
                return
            except ImportError:  # rich is optional
                pass
        for row in (columns, *rows):
            _write("".join(f"{cell_text(cell):>{_COLUMN}}" for cell in row).rstrip() + "\n")

    def json(self, value: object) -> None:
        """Print one JSON object; a float that JSON cannot write becomes null."""
        import json

        _write(json.dumps(_finite(value), allow_nan=False) + "\n")

    @contextmanager
    def progress(self, task: str, total: int) -> Iterator[Callable[[int], None]]:
        """Give a function that counts work done; the bar appears once the work takes long."""
        begun = shown = time.monotonic()
        done = 0
        bar: Progress | None = None

        def advance(amount: int) -> None:
            nonlocal done, bar, shown
            done += amount
            now = time.monotonic()
            if bar is None and self.terminal and now - begun >= self.bar_after:
                bar = _start_bar(task, total)
                self.terminal = bar is not None
            if bar is not None:
                refresh = now - shown >= _REFRESH_SECONDS or done >= total
                bar.update(bar.task_ids[0], completed=done, refresh=refresh)
                shown = now if refresh else shown

        try:
            yield advance
        finally:
            if bar is not None:
                bar.stop()


def cell_text(cell: object) -> str:
    """Return the text of a table's cell: floats with six significant digits."""
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)


def complain(message: str) -> None:
    """Print one line on standard error, whatever line breaks the message brings along."""
    if sys.stderr is not None:  # print would take standard output instead
        print(f"fastce: {' '.join(message.split())}", file=sys.stderr, flush=True)


def silence() -> None:
    """Let what is left to print, also by the interpreter at its exit, go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(text: str) -> None:
    # A file name may hold what the output's encoding has not.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), end="")


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*map(cell_text, row))
    Console().print(table)


def _start_bar(task: str, total: int) -> Progress | None:
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:  # rich is optional
        return None
    # Without a thread of its own: there may be none to be had.
    bar = Progress(console=Console(stderr=True), transient=True, auto_refresh=False)
    bar.add_task(task, total=total)
    bar.start()
    return bar


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
