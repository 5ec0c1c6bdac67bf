"""The options on which it does not depend what a loss returns, for type checkers."""

from __future__ import annotations

from typing import TypedDict

import numpy.typing as npt

from fastce._validation.scalars import Integer, Number


class LossOptions(TypedDict, total=False):
    """Of every loss."""

    sample_weight: npt.ArrayLike | None
    normalizer: str | Number
    num_threads: Integer | None


class LabelOptions(LossOptions, total=False):
    """Of losses with one class a row."""

    class_weight: npt.ArrayLike | None
    ignore_index: Integer
    axis: Integer
