"""Rows wait here until there are enough of them: NumPy takes its time for each call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastce.evaluation.sums.sums import Block, Sums

HELD = 1 << 14
_FLOATS = ("loss", "brier", "entropy", "confidence", "margin")
_INTEGERS = ("column", "label", "predicted", "rank", "row", "group")


class Gathering:
    """Rows on their way to the sums, all of one source."""

    def __init__(self, sums: Sums) -> None:
        self._sums = sums
        self._count = 0
        self._source = ""
        self._arrays: dict[str, NDArray[Any]] = {}

    def add(self, source: str, fields: Mapping[str, NDArray[Any]]) -> None:
        """Add rows: an array for each field of a block, or none for `group`."""
        if source != self._source:
            self.flush()
            self._source = source
        if not self._arrays:
            self._arrays = {name: np.empty(HELD) for name in _FLOATS}
            self._arrays |= {name: np.empty(HELD, np.int64) for name in _INTEGERS}
        done, rows = 0, len(fields["loss"])
        while done < rows:
            count = min(rows - done, HELD - self._count)
            for name, field in fields.items():
                self._arrays[name][self._count : self._count + count] = field[done : done + count]
            self._count += count
            done += count
            if self._count == HELD:
                self.flush()

    def flush(self) -> None:
        """Let the sums have what waits."""
        count, self._count = self._count, 0
        if count:
            arrays = {name: array[:count] for name, array in self._arrays.items()}
            if not self._sums.grouped:
                arrays["group"] = None  # type: ignore[assignment]
            self._sums.add(Block(**arrays, source=self._source))
