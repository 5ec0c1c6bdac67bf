"""Data sets of HDF5 files, by name, through h5py (extra ``hdf5``).

What lies in one piece is mapped where it lies; what lies in chunks is read chunk by chunk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastce.readers.errors import InputError
from fastce.readers.extras import extra
from fastce.readers.file import File
from fastce.readers.formats.format import Format
from fastce.readers.raw import Layout, RawArray
from fastce.readers.source import Report, Source, Wanted, check_numbers

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SUFFIXES = (".h5", ".hdf5")  # of files whose signature lies behind a block of the user's
_CACHE_BYTES = 64 << 20  # of unpacked chunks
_MOST_NAMES = 10_000


def _is_hdf5(head: bytes, path: Path) -> bool:
    return head.startswith(_SIGNATURE) or (len(head) > 0 and path.suffix in _SUFFIXES)


def _read(file: File, wanted: Wanted, _report: Report) -> Source:
    """Map the data set that is wanted, or make ready to read it."""
    h5py = extra("h5py", "hdf5", file.name, "HDF5")
    with _explained(file.name):
        opened = h5py.File(file.path, "r", rdcc_nbytes=_CACHE_BYTES)
        data = opened[_choose(h5py, opened, file.name, wanted)]
        name = f"{file.name}[{data.name.lstrip('/')}]"
        check_numbers(data.dtype, name)
        Layout(data.shape or (), data.dtype).check(name)
        if data.shape is None or data.is_virtual or data.external:
            raise InputError(f"{name}: has no data of its own in the file, expected an array")
        offset = data.id.get_offset() if data.chunks is None else None
        if offset is not None and data.size:
            return _mapped(file, name, data, offset)
        return _DataSet(file, name, data)


FORMAT = Format(".h5", _is_hdf5, holds_several=True, read=_read)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Say in one line what the library says against a file."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # h5py has no exceptions of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: not a usable HDF5 file: {reason}") from error


def _choose(h5py: Any, opened: Any, file: str, wanted: Wanted) -> str:
    names: list[str] = []

    def note(name: str, item: Any) -> object:
        if isinstance(item, h5py.Dataset):
            names.append(name)
        return True if len(names) == _MOST_NAMES else None

    opened.visititems(note)
    if wanted.key is not None:
        wanted = wanted._replace(key=wanted.key.strip("/"))
    return wanted.choose(names, file)


def _mapped(file: File, name: str, data: Any, offset: int) -> RawArray:
    layout = Layout(data.shape, data.dtype)
    if offset + layout.nbytes > file.size:
        raise InputError(
            f"{name}: truncated: its data end at byte {offset + layout.nbytes}, the file has "
            f"{file.size}"
        )
    return RawArray(file, name, layout, offset)


class _DataSet:
    """A data set that the library reads."""

    array = None
    note = ""

    def __init__(self, file: File, name: str, data: Any) -> None:
        self._file, self.name, self._data = file, name, data
        self.shape: tuple[int, ...] = data.shape
        self.dtype: np.dtype[Any] = data.dtype
        self.block_rows = data.chunks[0] if data.chunks else 1
        self._lock = threading.Lock()

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the entries `start` to `stop`."""
        with self._lock, _explained(self.name):
            entries: npt.NDArray[Any] = np.asarray(
                self._data[start:stop] if self.shape else self._data[()], self.dtype
            )
        return entries

    def check(self) -> None:
        """Raise InputError if the file changed since it was opened."""
        self._file.check()
