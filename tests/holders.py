"""Objects that offer an array by one protocol alone. Old NumPys look for methods in the class."""

from __future__ import annotations

from typing import Any

import numpy as np


class OnlyArray:
    """An object with ``__array__``, as NumPy 2 and older want it."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.array if dtype is None else self.array.astype(dtype)


class OnlyDLPack:
    """An object with DLPack's two methods."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> object:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()
