"""An array that has to be unpacked from its beginning on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from fastce.readers.errors import InputError
from fastce.readers.file import File
from fastce.readers.raw import Layout, as_bytes

_BLOCK_BYTES = 1 << 20  # unpacked at a time
_SKIPPED_BYTES = 1 << 18


class PackedArray:
    """A compressed array in C order, unpacked as far as `read` asks for it.

    Going back begins again at the file's beginning.

    Parameters
    ----------
    file, name, layout, note
        As for `RawArray`.
    head : int
        Bytes before the data.
    unpack : callable
        Opens the stream of unpacked bytes.
    explained : callable
        A context in which the errors of the stream become InputErrors.
    """

    array = None

    def __init__(
        self,
        file: File,
        name: str,
        layout: Layout,
        head: int,
        unpack: Callable[[], IO[bytes]],
        explained: Callable[[], AbstractContextManager[None]],
        note: str = "",
    ) -> None:
        layout.check(name)
        self.name, self.note = name, note
        self.shape, self.dtype = layout.shape, layout.dtype
        self._file, self._head, self._end = file, head, head + layout.nbytes
        self._unpack, self._explained = unpack, explained
        self._stream: IO[bytes] | None = None
        self._position = 0  # in the stream
        self._lock = threading.Lock()
        self._entry = layout.nbytes // max(1, self.shape[0]) if self.shape else layout.nbytes
        self.block_rows = max(1, _BLOCK_BYTES // max(1, self._entry))

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the entries `start` to `stop` as a new array."""
        start, stop, _ = slice(start, stop).indices(self.shape[0])
        entries = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
        if entries.size == 0:
            return entries
        with self._lock, self._explained():
            self._go_to(self._head + start * self._entry)
            self._fill(as_bytes(entries))
        return entries

    def check(self) -> None:
        """Raise InputError if the file changed since it was opened."""
        self._file.check()

    def _go_to(self, position: int) -> None:
        if self._stream is None or position < self._position:
            self._stream, self._position = self._unpack(), 0
        skipped = memoryview(bytearray(min(_SKIPPED_BYTES, position - self._position)))
        while self._position < position:
            self._fill(skipped[: position - self._position])

    def _fill(self, view: memoryview) -> None:
        assert self._stream is not None
        while view:
            part = self._stream.read(min(len(view), _BLOCK_BYTES))
            if not part:
                raise InputError(f"{self.name}: ends after {self._position} unpacked bytes")
            view[: len(part)] = part
            view, self._position = view[len(part) :], self._position + len(part)
        if self._position == self._end:  # the checksum is compared when the stream has ended
            while self._stream.read(_SKIPPED_BYTES):
                pass
            self._stream = None
