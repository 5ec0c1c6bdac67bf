"""Rows given to an evaluation: what is accepted, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastce._validation.arrays import as_array, first_where, place
from fastce._validation.dtypes import INTEGER_DTYPES, is_integer
from fastce._validation.scalars import Integer, as_integer
from fastce.evaluation.losses import RowNumbers
from fastce.evaluation.options import Options
from fastce.evaluation.sums.ledger import Ledger

MOST_ROWS = 2**62


class Places(NamedTuple):
    """Where rows come from, as it is given."""

    first_row: Integer | None
    group: ArrayLike | None
    source: str | None
    removed: Mapping[str, int] | None


class Batch(NamedTuple):
    """Labels and places of the rows of one call.

    Attributes
    ----------
    source : str
    first_row, rows : int
        Range of the rows in their source.
    width : int
        Labels of a row: C for the sigmoid, else 1.
    labels : ndarray of int, shape (rows * width,)
    groups : ndarray of int64, shape (rows,), or None
    ignored : int
        How many labels are `ignore_index`.
    removed : dict of str to int
        How many of those each rule has taken out.
    """

    source: str
    first_row: int
    rows: int
    width: int
    labels: NDArray[Any]
    groups: NDArray[np.int64] | None
    ignored: int
    removed: dict[str, int]


def check_batch(
    y: NDArray[Any],
    options: Options,
    ledger: Ledger,
    grouped: bool | None,
    places: Places,
) -> Batch:
    """Check where rows come from, before any of them is added."""
    first_row, group, source, removed = places
    if source is not None and not isinstance(source, str):
        raise TypeError(f"source is {source!r}, accepted is text")
    name = source or ""
    width = options.classes if options.loss == "sigmoid" else 1
    rows = y.size // width
    first = ledger.next_row(name)
    if first_row is not None:
        first = as_integer(first_row, "first_row", "an integer in [0, 2**62)")
    if not 0 <= first < MOST_ROWS:
        raise ValueError(f"first_row is {first}, accepted is an integer in [0, 2**62)")
    ledger.check(name, first, first + rows)
    shape = y.shape[:-1] if options.loss == "sigmoid" else y.shape
    groups = None if group is None else _groups(group, shape)
    if rows and grouped is not None and grouped != (groups is not None):
        raise ValueError(
            f"group is {'None' if grouped else 'given'}, but rows before had "
            f"{'groups' if grouped else 'none'}: accepted are groups for all rows or for none"
        )
    ignored = int(np.count_nonzero(y == options.ignore_index))
    rules = _rules(removed, ignored)
    return Batch(name, first, rows, width, y.reshape(-1), groups, ignored, rules)


def check_labels(y: NDArray[Any], shape: tuple[int, ...], options: Options) -> NDArray[Any]:
    """Refuse labels of another shape or dtype, and name the first that is no class."""
    sigmoid = options.loss == "sigmoid"
    if y.size == 0 and y.dtype == np.float64:
        y = y.astype(np.int64)
    if not is_integer(y.dtype) and not (y.dtype == np.bool_ and sigmoid):
        raise TypeError(f"labels has dtype {y.dtype}, accepted are {INTEGER_DTYPES}")
    if y.shape != shape:
        raise ValueError(f"labels has shape {y.shape}, but the rows have {shape}")
    classes = 2 if sigmoid else options.classes
    if y.size == 0 or (0 <= y.min() and y.max() < classes):
        return y
    ignore = options.ignore_index
    at = first_where(
        lambda part: np.asarray(((part < 0) | (part >= classes)) & (part != ignore)), y
    )
    if at is not None:
        accepted = "labels are 0 or 1" if sigmoid else f"the evaluation has {classes} classes"
        raise ValueError(
            f"labels{place(at)} is {y[at]}, but {accepted} and ignore_index is {ignore}"
        )
    return y


def check_statistics(statistics: object, y: NDArray[Any], options: Options) -> RowNumbers:
    """Return the statistics of rows that `Evaluation.add` is given, as flat arrays."""
    found = []
    for name in RowNumbers._fields:
        field = getattr(statistics, name, None)
        if field is None:
            raise ValueError(
                f"statistics.{name} is None, accepted are statistics with the fields "
                f"{', '.join(RowNumbers._fields)}"
            )
        kind = np.int64 if name in ("predicted", "rank") else np.float64
        array = as_array(field, f"statistics.{name}")
        if array.dtype != kind:
            raise TypeError(
                f"statistics.{name} has dtype {array.dtype}, accepted is {kind.__name__}"
            )
        if array.shape != y.shape:
            raise ValueError(
                f"statistics.{name} has shape {array.shape}, but labels have {y.shape}"
            )
        found.append(array.reshape(-1))
    numbers = RowNumbers(*found)
    if numbers.loss.size:
        _check_ranges(numbers, options)
        _check_hits(numbers, y.reshape(-1), options)
    return numbers


def _check_ranges(numbers: RowNumbers, options: Options) -> None:
    classes = 2 if options.loss == "sigmoid" else options.classes
    for name in ("predicted", "rank"):
        field = getattr(numbers, name)
        if field.min() < -1 or field.max() >= classes:
            at = int(((field < -1) | (field >= classes)).argmax())
            raise ValueError(
                f"statistics.{name}[{at}] is {field[at]}, accepted is -1 to {classes - 1}"
            )
    p = numbers.confidence
    if not (p.min() >= 0 and p.max() <= 1):
        bad = ~((p >= 0) & (p <= 1)) & ~np.isnan(numbers.loss)
        if bad.any():
            at = int(bad.argmax())
            raise ValueError(f"statistics.confidence[{at}] is {p[at]}, accepted is 0 to 1")


def _check_hits(numbers: RowNumbers, y: NDArray[Any], options: Options) -> None:
    """Refuse rows, neither ignored nor with NaN, whose numbers contradict each other."""
    loss, predicted, rank = numbers.loss, numbers.predicted, numbers.rank
    bad = (rank == 0) != (predicted == y)
    bad |= np.minimum(rank, predicted) < 0
    if bad.any():
        bad &= ~np.isnan(loss) & (y != options.ignore_index)
    if bad.any():
        at = int(bad.argmax())
        raise ValueError(
            f"statistics.rank[{at}] is {rank[at]} and statistics.predicted[{at}] is "
            f"{predicted[at]}, but labels[{at}] is {y[at]}: accepted is a rank of 0 for the label "
            "that is predicted alone, and -1 for both in rows with NaN alone"
        )


def _groups(group: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.int64]:
    array = as_array(group, "group")
    if array.size == 0 and isinstance(group, (list, tuple)):
        array = array.astype(np.int64)
    if not is_integer(array.dtype):
        raise TypeError(f"group has dtype {array.dtype}, accepted are {INTEGER_DTYPES}")
    if array.shape not in ((), shape):
        raise ValueError(f"group has shape {array.shape}, accepted is {shape}, one for each row")
    if array.size and array.dtype.kind == "u" and int(array.max()) >= 2**63:
        raise ValueError(f"group is {array.max()}, accepted are integers below 2**63")
    return np.broadcast_to(array.astype(np.int64), shape).reshape(-1)


def _rules(removed: Mapping[str, int] | None, ignored: int) -> dict[str, int]:
    rules = {}
    for rule, rows in (removed or {}).items():
        if not isinstance(rule, str):
            raise TypeError(f"removed has the key {rule!r}, accepted is text")
        count = as_integer(rows, f"removed[{rule!r}]", "an integer >= 0")
        if count < 0:
            raise ValueError(f"removed[{rule!r}] is {count}, accepted is an integer >= 0")
        if count:
            rules[rule] = count
    if sum(rules.values()) > ignored:
        raise ValueError(
            f"removed counts {sum(rules.values())} rows, but {ignored} labels are ignore_index: "
            "accepted are those of them that a rule has taken out"
        )
    return rules
