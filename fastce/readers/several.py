"""Several files as one: lists and patterns of paths, and arrays one after the other."""

from __future__ import annotations

import glob
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastce.readers.errors import InputError
from fastce.readers.file import File
from fastce.readers.opening import open_source
from fastce.readers.source import Report, Source

_LONGEST_MANIFEST = 64 << 20


def expand(paths: Iterable[str | Path]) -> list[Path]:
    """Return the files that paths and patterns mean.

    A path that exists is taken as it is, whatever it holds; one with ``*``, ``?`` or ``[`` that
    does not is a pattern, whose files come in natural order: part2 before part10.
    Lists keep their own.
    """
    found: list[Path] = []
    for path in paths:
        text = str(path)
        if not glob.has_magic(text) or Path(path).exists():
            found.append(Path(path))
            continue
        matching = sorted(glob.glob(text, recursive=True), key=natural_order)  # noqa: PTH207
        if not matching:
            raise InputError(f"{text}: no file has such a name")
        found += map(Path, matching)
    return found


def natural_order(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return the key that sorts numbers in names by their size."""
    parts = re.split(r"([0-9]+)", text)
    return tuple(
        (1, int(part), part) if index % 2 else (0, 0, part) for index, part in enumerate(parts)
    )


def open_sources(
    paths: Iterable[str | Path],
    role: str,
    report: Report | None = None,
    *,
    key: str | None = None,
    dtype: str | None = None,
    named: bool = False,
) -> list[Source]:
    """Open the array in each of several files; patterns are expanded (see `expand`)."""
    return [
        open_source(path, role, report, key=key, dtype=dtype, named=named) for path in expand(paths)
    ]


def concatenated(sources: Sequence[Source]) -> Source:
    """Return the entries of the first axis of several sources, one after the other."""
    return sources[0] if len(sources) == 1 else Concatenated(sources)


class Concatenated:
    """The entries of the first axis of several sources, one after the other.

    Parameters
    ----------
    sources : sequence of Source
        At least one, of one dtype, whose axes but the first have the same lengths.
    """

    array = None

    def __init__(self, sources: Sequence[Source]) -> None:
        first = sources[0]
        for source in sources:
            if not source.shape or source.shape[1:] != first.shape[1:]:
                raise InputError(
                    f"{source.name}: has shape {source.shape}, which cannot follow "
                    f"{first.name} of shape {first.shape}"
                )
            if source.dtype != first.dtype:
                raise InputError(
                    f"{source.name}: holds {source.dtype}, expected {first.dtype} as in "
                    f"{first.name}"
                )
        self.sources = list(sources)
        self.name = f"{first.name} and {len(sources) - 1} more"
        self.note = "; ".join(filter(None, (source.note for source in sources)))
        self.dtype: np.dtype[Any] = first.dtype
        self._ends = list(accumulate(source.shape[0] for source in sources))
        self.shape: tuple[int, ...] = (self._ends[-1], *first.shape[1:])
        self.block_rows = max(source.block_rows for source in sources)

    def place(self, entry: int) -> tuple[Source, int]:
        """Return the source that an entry of the first axis lies in, and its index there."""
        index = bisect_right(self._ends, entry)
        return self.sources[index], entry - (self._ends[index - 1] if index else 0)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the entries `start` to `stop`; a view where they lie in one mapped file."""
        start, stop, _ = slice(start, stop).indices(self.shape[0])
        if stop <= start:
            return np.empty((0, *self.shape[1:]), self.dtype)
        source, first = self.place(start)
        if first + stop - start <= source.shape[0]:
            return source.read(first, first + stop - start)
        entries = np.empty((stop - start, *self.shape[1:]), self.dtype)
        done = 0
        while done < len(entries):
            source, first = self.place(start + done)
            last = min(source.shape[0], first + len(entries) - done)
            entries[done : done + last - first] = source.read(first, last)
            done += last - first
        return entries

    def check(self) -> None:
        """Raise InputError if one of the files changed since it was opened."""
        for source in self.sources:
            source.check()


def read_manifest(path: str | Path) -> list[tuple[Path, Path]]:
    """Return the pairs of files that a manifest lists: logits, and the labels of the same rows.

    A manifest is a text with two paths in a line, with a tab between them if they hold spaces, or
    JSON: a list of pairs, or of objects with ``logits`` and ``labels``. Empty lines and those that
    begin with ``#`` are passed over; paths are relative to the manifest's folder.
    """
    file = File(Path(path))
    if file.size > _LONGEST_MANIFEST:
        raise InputError(f"{file.name}: has {file.size} bytes, too many for a list of files")
    try:
        text = file.stream().read().decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{file.name}: is not a text, expected a list of files") from error
    pairs = _json_pairs(text, file.name) if text.lstrip()[:1] == "[" else _lines(text, file.name)
    return [(file.path.parent / logits, file.path.parent / labels) for logits, labels in pairs]


def _lines(text: str, name: str) -> list[Sequence[str]]:
    pairs: list[Sequence[str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        pair = line.strip().split("\t" if "\t" in line else None)
        if len(pair) != 2:
            raise InputError(f"{name}: line {number} has {len(pair)} paths, expected two")
        pairs.append(pair)
    return pairs


def _json_pairs(text: str, name: str) -> list[Sequence[str]]:
    import json

    try:
        listed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: not a list in JSON: {error}") from error
    pairs: list[Sequence[str]] = []
    for index, pair in enumerate(listed):
        if isinstance(pair, dict):
            pair = [pair.get("logits"), pair.get("labels")]
        if not isinstance(pair, list) or [type(each) for each in pair] != [str, str]:
            raise InputError(
                f"{name}: entry {index} is no pair of paths, expected [logits, labels] or an "
                "object with both"
            )
        pairs.append(pair)
    return pairs
