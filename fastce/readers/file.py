"""A regular file: opening it, reading and mapping it, and seeing whether it changed meanwhile."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from fastce.readers.errors import InputError

if sys.platform == "win32":  # where a mapped file cannot be cut short
    from mmap import mmap as mapping
else:
    from fastce.readers.pages import Pages as mapping  # noqa: N813

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import WriteableBuffer


class File:
    """A regular file that is open for reading.

    Parameters
    ----------
    path : Path
        Where it is; it stays open as long as this object lives.

    Raises
    ------
    InputError
        If it cannot be opened, is a folder, or is no regular file (opening a pipe would wait).
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        try:
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                raise InputError(f"{path}: is a directory, expected a file")
            if not stat.S_ISREG(mode):
                raise InputError(f"{path}: is not a regular file, so it cannot be memory-mapped")
            self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            weakref.finalize(self, os.close, self.descriptor)
            self._state = _state(os.fstat(self.descriptor))
        except OSError as error:
            refuse(path, error)
        self.size = self._state[0]
        self._lock = threading.Lock()  # of the position, where there is no pread
        self._pages: Any = None

    def check(self) -> None:
        """Raise InputError if the file has another size, time or identity than when it was opened.

        A time is all that tells an overwritten file, so what is written in the same tick of the
        file system's clock is not seen.
        """
        try:
            now = _state(self.path.stat())
        except OSError as error:
            refuse(self.path, error)
        if now == self._state:
            if getattr(self._pages, "lost", False):
                raise InputError(
                    f"{self.name}: a part of it could not be read: an error of the disk"
                )
            return
        size, before = now[0], self._state[0]
        how = f" ({before} bytes, now {size})" if size != before else ""
        raise InputError(f"{self.name}: changed while it was read{how}, so there is no result")

    def read_into(self, buffer: WriteableBuffer, offset: int) -> None:
        """Fill the buffer with what begins at `offset`."""
        view = memoryview(buffer).cast("B")
        while view:
            try:
                count = self._read_some(view, offset)
            except OSError as error:
                refuse(self.path, error)
            if count == 0:
                self.check()
                raise InputError(f"{self.name}: ends at byte {offset}, expected more")
            view, offset = view[count:], offset + count

    def _read_some(self, view: memoryview, offset: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self.descriptor, [view], offset)
        with self._lock:
            os.lseek(self.descriptor, offset, os.SEEK_SET)
            part = os.read(self.descriptor, len(view))
        view[: len(part)] = part
        return len(part)

    def map(self) -> Any:
        """Map the whole file as a buffer, or return None where the file system has no maps.

        If the file shrinks while it is read, zeros are read, and `check` raises.
        """
        if self._pages is None and self.size:
            with suppress(OSError):
                self._pages = mapping(self.descriptor, self.size)
        return self._pages

    def stream(self, start: int = 0, stop: int | None = None) -> io.BufferedReader:
        """Return a stream of the bytes `start` to `stop`, with a position of its own."""
        return io.BufferedReader(_Part(self, start, self.size if stop is None else stop))


class Folder(File):
    """A folder that is read as a file would be; files in it (`described_by`) say how."""

    def __init__(self, path: Path, described_by: Sequence[str] = ()) -> None:
        self.path, self.name, self.size = path, str(path), 0
        self._descriptions = [path / name for name in described_by if (path / name).is_file()]
        self._states = [_state(at.stat()) for at in self._descriptions]

    def check(self) -> None:
        """Raise InputError if what describes the folder's contents has changed."""
        try:
            now = [_state(at.stat()) for at in self._descriptions]
        except OSError as error:
            refuse(self.path, error)
        if now != self._states:
            raise InputError(f"{self.name}: changed while it was read, so there is no result")


class _Part(io.RawIOBase):
    """A part of a file as a stream."""

    def __init__(self, file: File, start: int, stop: int) -> None:
        self._file, self._start, self._length = file, start, max(0, stop - start)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, "the position lies before the beginning")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self._length - self._position)]
        self._file.read_into(view, self._start + self._position)
        self._position += len(view)
        return len(view)


def refuse(path: Path, error: OSError) -> NoReturn:
    """Say what the system has against a file."""
    reason = error.strerror or str(error)
    raise InputError(f"{path}: {reason}, expected a readable file") from error


def _state(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev
