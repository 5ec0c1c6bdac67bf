"""The dtype bfloat16, which NumPy itself does not have."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastce.readers.errors import InputError
from fastce.readers.extras import extra
from fastce.readers.source import Source


def bfloat16(name: str) -> np.dtype[Any]:
    """Return the bfloat16 of ml_dtypes; `name` is the file that needs it."""
    dtype: np.dtype[Any] = np.dtype(extra("ml_dtypes", "bfloat16", name, "bfloat16").bfloat16)
    return dtype


def reinterpret(dtype: np.dtype[Any], wanted: str | None, name: str) -> np.dtype[Any]:
    """Return the dtype as which bits are to be read: `wanted` is None or a dtype's name.

    NumPy saves bfloat16 as two bytes without a meaning (V2), other programs as uint16.
    """
    if wanted is None or dtype.name == wanted:
        return dtype
    if wanted == "bfloat16" and dtype.kind in "Vu" and dtype.itemsize == 2 and not dtype.names:
        if not dtype.isnative:
            raise InputError(f"{name}: holds {dtype}, which is bfloat16 in a foreign byte order")
        return bfloat16(name)
    raise InputError(
        f"{name}: holds {dtype}, which cannot be read as {wanted}; the bits of bfloat16 are "
        "uint16 or, as NumPy saves them, V2"
    )


class Reinterpreted:
    """Another source, its bits read as another dtype of the same size."""

    def __init__(self, source: Source, dtype: np.dtype[Any]) -> None:
        self._source, self.dtype = source, dtype
        self.name, self.shape, self.note = source.name, source.shape, source.note
        self.block_rows = source.block_rows
        self.array = None if source.array is None else source.array.view(dtype)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the entries `start` to `stop`."""
        return self._source.read(start, stop).view(self.dtype)

    def check(self) -> None:
        """Raise InputError if the file changed since it was opened."""
        self._source.check()
