"""Which rows of which source have been seen."""

from __future__ import annotations

from bisect import bisect_right


class Ledger:
    """Ranges of rows by the name of their source; none is entered twice."""

    def __init__(self) -> None:
        self.ranges: dict[str, list[tuple[int, int]]] = {}

    def next_row(self, source: str) -> int:
        """Return the row behind the last one of a source."""
        ranges = self.ranges.get(source)
        return ranges[-1][1] if ranges else 0

    def check(self, source: str, start: int, stop: int) -> None:
        """Raise ValueError if any of these rows has been seen."""
        ranges = self.ranges.get(source, [])
        place = bisect_right(ranges, (start, start))
        for low, high in ranges[max(0, place - 1) : place + 1]:
            if max(low, start) < min(high, stop):
                name = f"source {source!r}" if source else "the source without a name"
                raise ValueError(
                    f"rows {max(low, start)} to {min(high, stop) - 1} of {name} have been "
                    "evaluated already, accepted is each row once: first_row and source tell rows "
                    "apart"
                )

    def enter(self, source: str, start: int, stop: int) -> None:
        """Enter rows that `check` accepts."""
        if stop <= start:
            return
        ranges = self.ranges.setdefault(source, [])
        place = bisect_right(ranges, (start, start))
        if place < len(ranges) and ranges[place][0] == stop:
            stop = ranges.pop(place)[1]
        if place and ranges[place - 1][1] == start:
            place -= 1
            start = ranges.pop(place)[0]
        ranges.insert(place, (start, stop))

    def check_merge(self, other: Ledger) -> None:
        """Raise ValueError if a row is in both."""
        for source, ranges in other.ranges.items():
            for start, stop in ranges:
                self.check(source, start, stop)

    def merge(self, other: Ledger) -> None:
        """Enter what another has seen."""
        for source, ranges in other.ranges.items():
            for start, stop in ranges:
                self.enter(source, start, stop)

    def gaps(self) -> dict[str, list[tuple[int, int]]]:
        """Return the ranges between row 0 and the last row of each source that are missing."""
        found = {}
        for source, ranges in self.ranges.items():
            ends = [0, *(stop for _, stop in ranges)]
            missing = [(a, b) for a, (b, _) in zip(ends, ranges, strict=False) if a < b]
            if missing:
                found[source] = missing
        return found
