"""The options of an evaluation, checked, and when two are the same."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastce._validation.arrays import as_array
from fastce._validation.scalars import LARGEST, SMALLEST, as_flag, as_integer, as_label, as_number

LOSSES = ("softmax", "sigmoid")
_MOST_CLASSES = 2**31


class Options(NamedTuple):
    """What decides the numbers of an evaluation, and how much it keeps.

    Weights and bytes are tuples, or None where they were not given.
    """

    classes: int
    class_weight: tuple[float, ...] | None
    label_smoothing: float
    ignore_index: int
    temperature: float
    loss: str
    token_bytes: tuple[int, ...] | None
    confusions: bool
    hardest: int
    bootstrap: int
    seed: int


# Those that decide which rows are kept or drawn, and no sum or count.
OF_PLACES = ("hardest", "bootstrap", "seed")


def check_options(**given: Any) -> Options:
    """Return the options, or raise what is wrong with them."""
    classes = as_integer(given["classes"], "classes", "an integer >= 1")
    if not 1 <= classes < _MOST_CLASSES:
        raise ValueError(f"classes is {classes}, accepted is an integer >= 1 (below 2**31)")
    loss = given["loss"]
    if not isinstance(loss, str) or loss not in LOSSES:
        raise ValueError(f"loss is {loss!r}, accepted are {', '.join(map(repr, LOSSES))}")
    options = Options(
        classes=classes,
        class_weight=_class_weight(given["class_weight"], classes),
        label_smoothing=as_number(given["label_smoothing"], "label_smoothing", 0, 1, "in [0, 1]"),
        ignore_index=as_label(given["ignore_index"], "ignore_index"),
        temperature=as_number(
            given["temperature"], "temperature", SMALLEST, LARGEST, "> 0 and finite"
        ),
        loss=loss,
        token_bytes=_token_bytes(given["token_bytes"], classes),
        confusions=as_flag(given["confusions"], "confusions"),
        hardest=_count(given["hardest"], "hardest", 10**6),
        bootstrap=_count(given["bootstrap"], "bootstrap", 10**6),
        seed=_count(given["seed"], "seed", 2**64 - 1),
    )
    if loss == "sigmoid":
        for name in ("class_weight", "token_bytes"):
            if given[name] is not None:
                raise ValueError(f"{name} is given, accepted is None with loss='sigmoid'")
    return options


def check_same(ours: Options, theirs: Options) -> None:
    """Raise ValueError that names the first option in which two evaluations differ."""
    for name, mine, other in zip(Options._fields, ours, theirs, strict=True):
        if mine == other:
            continue
        if isinstance(mine, tuple) and isinstance(other, tuple):
            at = next(i for i, (a, b) in enumerate(zip(mine, other, strict=True)) if a != b)
            name, mine, other = f"{name}[{at}]", mine[at], other[at]
        else:
            mine, other = ("given" if isinstance(v, tuple) else repr(v) for v in (mine, other))
        raise ValueError(
            f"{name} is {mine} in this evaluation and {other} in the other, "
            "accepted are evaluations with the same options"
        )


def _count(value: object, name: str, most: int) -> int:
    accepted = f"an integer in [0, {most}]"
    count = as_integer(value, name, accepted)
    if not 0 <= count <= most:
        raise ValueError(f"{name} is {count}, accepted is {accepted}")
    return count


def _class_weight(value: ArrayLike | None, classes: int) -> tuple[float, ...] | None:
    if value is None:
        return None
    array = _per_class(value, "class_weight", classes)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"class_weight has dtype {array.dtype}, accepted are real numbers")
    with np.errstate(over="ignore"):  # a long double past float64 is refused below
        weights: list[float] = array.astype(np.float64).tolist()
    for index, weight in enumerate(weights):
        if not (weight >= 0 and math.isfinite(weight)):
            raise ValueError(
                f"class_weight[{index}] is {array[index]}, accepted are finite numbers >= 0"
            )
    return tuple(weight + 0.0 for weight in weights)  # -0.0 is 0.0


def _token_bytes(value: ArrayLike | None, classes: int) -> tuple[int, ...] | None:
    if value is None:
        return None
    array = _per_class(value, "token_bytes", classes)
    if array.dtype.kind not in "iu":
        raise TypeError(f"token_bytes has dtype {array.dtype}, accepted are integers")
    if array.min() < 0:
        at = int(array.argmin())
        raise ValueError(f"token_bytes[{at}] is {array[at]}, accepted are integers >= 0")
    return tuple(array.tolist())


def _per_class(value: ArrayLike, name: str, classes: int) -> NDArray[Any]:
    array = as_array(value, name)
    if array.shape != (classes,):
        raise ValueError(
            f"{name} has shape {array.shape}, accepted is {(classes,)}, one number for each class"
        )
    return array
