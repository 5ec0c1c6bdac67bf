"""Arrays of zarr, versions 2 and 3, by name, through the library zarr (extra ``zarr``)."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastce.readers.errors import InputError
from fastce.readers.extras import extra
from fastce.readers.file import File, Folder
from fastce.readers.formats.format import Format
from fastce.readers.raw import Layout
from fastce.readers.source import Report, Wanted, check_numbers

_MOST_CHUNK_BYTES = 1 << 28
_DESCRIPTIONS = ("zarr.json", ".zarray", ".zgroup")


def _is_zarr(head: bytes, path: Path) -> bool:
    return not head and any((path / name).is_file() for name in _DESCRIPTIONS)


def _read(file: File, wanted: Wanted, _report: Report) -> _Chunks:
    """Make ready to read the array that is wanted."""
    zarr = extra("zarr", "zarr", file.name, "zarr")
    with _explained(file.name):
        opened = zarr.open(str(file.path), mode="r")
        path, name = file.path, file.name
        if hasattr(opened, "arrays"):  # a group
            names = sorted(found for found, _ in opened.arrays())
            if wanted.key is not None and "/" in wanted.key:
                names.append(wanted.key)  # in a group of the group, which is not listed
            key = wanted.choose(names, file.name)
            opened, path, name = opened[key], path / key, f"{name}[{key}]"
        else:
            wanted.only(file.name)
        check_numbers(opened.dtype, name)
        Layout(opened.shape, opened.dtype).check(name)
        return _Chunks(Folder(path, _DESCRIPTIONS), name, opened)


FORMAT = Format(".zarr", _is_zarr, holds_several=True, read=_read)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Say in one line what the library says against an array."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # the library's codecs raise whatever they like
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: not a usable zarr array: {reason}") from error


def _count_files(folder: Path) -> int:
    """Count the files of chunks: the library asks for each chunk that there could be."""
    return sum(
        not name.startswith(".") and name != "zarr.json"
        for _, _, names in os.walk(folder)
        for name in names
    )


class _Chunks:
    """An array in chunks, which are read whole."""

    array = None

    def __init__(self, folder: Folder, name: str, data: Any) -> None:
        self._folder, self.name, self._data = folder, name, data
        self.shape: tuple[int, ...] = data.shape
        self.dtype: np.dtype[Any] = data.dtype
        chunks = getattr(data, "shards", None) or data.chunks
        self.block_rows = max(1, chunks[0]) if chunks else 1
        self._lock = threading.Lock()
        if math.prod(data.chunks) * self.dtype.itemsize > _MOST_CHUNK_BYTES:
            raise InputError(
                f"{name}: has chunks of shape {tuple(data.chunks)}, expected at most 256 MB, since "
                "they are unpacked whole"
            )
        count = math.prod(
            -(-length // max(1, chunk)) for length, chunk in zip(self.shape, chunks, strict=True)
        )
        missing = count - _count_files(folder.path)
        self.note = ""
        if missing > 0:
            self.note = (
                f"{name}: {missing} of {count} chunks are not there; zarr leaves out those that "
                f"hold nothing but the fill value {data.fill_value}, as which they count"
            )

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the entries `start` to `stop`."""
        with self._lock, _explained(self.name):
            entries: npt.NDArray[Any] = np.asarray(
                self._data[start:stop] if self.shape else self._data[()], self.dtype
            )
        return entries

    def check(self) -> None:
        """Raise InputError if the array's description changed since it was opened."""
        self._folder.check()
