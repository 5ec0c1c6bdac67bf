"""Rows wait here until there are enough of them: NumPy takes its time for each call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastce.evaluation.sums.sums import Block, Sums

HELD = 1 << 14


class Gathering:
    """Rows on their way to the sums, all of one source."""

    def __init__(self, sums: Sums) -> None:
        self._sums = sums
        self._count = 0
        self._source = ""
        self._pieces: list[dict[str, NDArray[Any]]] = []

    def add(self, source: str, fields: dict[str, NDArray[Any]], kept: bool) -> None:
        """Add rows: an array for each field of a block, or none for `group`.

        `kept` says that nobody else may change the arrays.
        """
        if source != self._source:
            self.flush()
            self._source = source
        count = len(fields["loss"])
        if not kept and self._count + count < HELD:
            fields = {name: field.copy() for name, field in fields.items()}
        self._pieces.append(fields)
        self._count += count
        if self._count >= HELD:
            self._hand_over(self._count - self._count % HELD)

    def flush(self) -> None:
        """Let the sums have what waits."""
        if self._count:
            self._hand_over(self._count)

    def _hand_over(self, rows: int) -> None:
        pieces, self._pieces = self._pieces, []
        arrays = pieces[0]
        if len(pieces) > 1:
            arrays = {name: np.concatenate([piece[name] for piece in pieces]) for name in arrays}
        for start in range(0, rows, HELD):
            part: dict[str, Any] = {"group": None}
            part |= {name: field[start : min(start + HELD, rows)] for name, field in arrays.items()}
            self._sums.add(Block(**part, source=self._source))
        self._count -= rows
        if self._count:
            self._pieces = [{name: field[rows:].copy() for name, field in arrays.items()}]
