"""What users give as logits and labels, as pairs of sources."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastce.evaluation.engine.pairs import Pair, checked_pair
from fastce.evaluation.engine.pieces import needs_map
from fastce.readers.errors import InputError
from fastce.readers.formats import SEVERAL
from fastce.readers.opening import holds_several, open_source
from fastce.readers.several import expand
from fastce.readers.source import ArraySource, Report, Source
from fastce.readers.spool import mapped


class Layout(NamedTuple):
    """How logits and labels are to be read."""

    axis: int = -1
    sigmoid: bool = False
    key: str | None = None  # of the logits in their file
    labels_key: str | None = None
    dtype: str | None = None  # as which the bits of the logits are read
    shift: int = 0


class Given(NamedTuple):
    """What goes together: one value, or a sequence with one for each of the logits."""

    logits: Any
    labels: Any = None
    mask: Any = None
    groups: Any = None


def open_pairs(given: Given, layout: Layout, report: Report) -> list[Pair]:
    """Open what was given and check that it fits.

    Logits may be files, patterns of files, arrays and anything with a shape, a dtype and slices
    of the first axis. Where labels are None, each file of logits holds both, under their names.
    """
    items = _items(given.logits)
    if not items:
        raise InputError("logits: none are given, expected at least one file or array")
    both = given.labels is None
    logits = [_opened(item, "logits", layout, report, both) for item in _named(items, "logits")]
    if both:
        labels = [_labels_beside(item, layout, report) for item in items]
    else:
        labels = _for_each(given.labels, "labels", logits, layout, report)
    masks = _for_each(given.mask, "mask", logits, layout, report)
    groups = _for_each(given.groups, "groups", logits, layout, report)
    pairs = [
        checked_pair(
            Pair(
                mapped(x, report) if needs_map(x.shape, layout.axis) else x,
                mapped(y, report),
                layout.axis,
                layout.sigmoid,
                None if mask is None else mapped(mask, report),
                None if group is None else mapped(group, report),
                x.name if isinstance(item, Path) else None,
            ),
            layout.shift,
        )
        for item, x, y, mask, group in zip(items, logits, labels, masks, groups, strict=True)
    ]
    first = pairs[0]
    for pair in pairs[1:]:
        if pair.classes != first.classes:
            raise InputError(
                f"{pair.logits.name}: logits have {pair.classes} classes, expected "
                f"{first.classes} as in {first.logits.name}"
            )
    return pairs


def _items(value: Any) -> list[Any]:
    """Return the files, as paths, and arrays that were given."""
    if _is_sequence(value):
        return [item for several in value for item in _items(several)]
    return list(expand([value])) if isinstance(value, (str, Path)) else [value]


def _is_sequence(value: Any) -> bool:
    """Whether this is a list of files or arrays, and not one array written as lists."""
    return isinstance(value, (list, tuple)) and all(
        isinstance(item, (str, Path)) or getattr(item, "shape", ()) for item in value
    )


def _named(items: list[Any], role: str) -> list[tuple[Any, str]]:
    """Return each item with what messages call it if it has no name of its own."""
    if len(items) == 1:
        return [(items[0], role)]
    return [(item, f"{role}[{index}]") for index, item in enumerate(items)]


def _opened(
    named_item: tuple[Any, str], role: str, layout: Layout, report: Report, both: bool = False
) -> Source:
    item, name = named_item
    if isinstance(item, Path):
        key = {"logits": layout.key, "labels": layout.labels_key}.get(role)
        dtype = layout.dtype if role == "logits" else None
        return open_source(item, role, report, key=key, dtype=dtype, named=both and key is None)
    if isinstance(item, np.ndarray):
        return ArraySource(item, name)
    if all(hasattr(item, part) for part in ("name", "shape", "dtype", "read", "check")):
        source: Source = item
        return source
    if hasattr(item, "__getitem__") and isinstance(getattr(item, "dtype", None), np.dtype):
        return SlicedSource(item, name)
    try:
        return ArraySource(np.asarray(item), name)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name}: {type(item).__name__} cannot be read as an array: {error}"
        ) from error


def _labels_beside(item: Any, layout: Layout, report: Report) -> Source:
    """Open the labels in a file of logits."""
    if not isinstance(item, Path):
        raise InputError("labels: none are given, expected labels for logits in memory")
    if not holds_several(item):
        raise InputError(f"{item}: holds no labels, expected LABELS or a {SEVERAL} with both")
    return _opened((item, ""), "labels", layout, report, both=True)


def _for_each(
    value: Any, role: str, logits: list[Source], layout: Layout, report: Report
) -> list[Any]:
    """Return one source for each of the logits; a single one is cut where theirs end."""
    if value is None:
        return [None] * len(logits)
    items = _named(_items(value), role)
    sources = [_opened(item, role, layout, report) for item in items]
    if len(sources) == len(logits):
        return sources
    if len(sources) != 1:
        raise InputError(
            f"{role}: {len(sources)} files or arrays for {len(logits)} of logits, expected as "
            "many, or one for all"
        )
    whole = mapped(sources[0], report)
    lengths = [source.shape[0] if source.shape else 1 for source in logits]
    if whole.shape[:1] != (sum(lengths),):
        raise InputError(
            f"{whole.name}: {role} of shape {whole.shape}, expected {sum(lengths)} entries for "
            f"{len(logits)} files of logits"
        )
    ends = np.cumsum([0, *lengths]).tolist()
    return [_Cut(whole, start, stop) for start, stop in pairwise(ends)]


class SlicedSource:
    """Anything with a shape, a dtype and slices of its first axis: data sets of h5py, zarr."""

    array = None
    note = ""

    def __init__(self, array: Any, name: str) -> None:
        self._array, self.name = array, name
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype: np.dtype[Any] = array.dtype
        chunks = getattr(array, "chunks", None)
        first = chunks[0] if chunks else 1
        self.block_rows = int(first if isinstance(first, int) else max(first, default=1))

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the entries `start` to `stop` of the first axis."""
        return np.asarray(self._array[start:stop])

    def check(self) -> None:
        """Nothing can have changed that the caller does not know of."""


class _Cut:
    """Consecutive entries of another source."""

    def __init__(self, source: Source, start: int, stop: int) -> None:
        self._source, self._start = source, start
        self.name = f"{source.name}[{start}:{stop}]"
        self.dtype, self.note = source.dtype, source.note
        self.shape = (stop - start, *source.shape[1:])
        self.block_rows = source.block_rows
        self.array = None if source.array is None else source.array[start:stop]

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the entries `start` to `stop`."""
        start, stop, _ = slice(start, stop).indices(self.shape[0])
        return self._source.read(self._start + start, self._start + stop)

    def check(self) -> None:
        """Raise InputError if the file changed since it was opened."""
        self._source.check()
