"""Arrays in ``.npy`` and ``.npz`` files, memory-mapped.

Nothing is unpickled, and no array is read into memory: a ``.npy`` file and a stored member of a
``.npz`` are mapped where they lie; a compressed member is unpacked into a temporary file first.
"""

from __future__ import annotations

import math
import mmap
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Callable
    from contextlib import AbstractContextManager

_NPY_MAGIC = b"\x93NUMPY"
_ZIP_MAGIC = b"PK"
_UNPACK_BYTES = 1 << 20


class InputError(Exception):
    """Input that cannot be used. The text is one line: which file, where, what was expected."""


class Report(Protocol):
    """Who is told how far a long step has come."""

    def progress(self, task: str, total: int) -> AbstractContextManager[Callable[[int], object]]:
        """Begin a step; the function returned is told of each part that is done."""


class Source(NamedTuple):
    """An array and the name that messages call it by: ``file`` or ``file[member]``."""

    name: str
    array: npt.NDArray[Any]


def open_array(path: Path, role: str, report: Report, *, named: bool = False) -> Source:
    """Map the array in a file.

    In a ``.npz`` this is the array named `role`, or the only one unless it must be `named` so.
    """
    with _opened(path) as file:
        magic = file.read(len(_NPY_MAGIC))
        file.seek(0)
        if magic == _NPY_MAGIC:
            return Source(str(path), _map(file, str(path), 0, os.fstat(file.fileno()).st_size))
        if magic.startswith(_ZIP_MAGIC):
            return _open_member(file, path, role, named, report)
    raise InputError(f"{path}: expected a .npy or .npz file, found neither's first bytes")


def check_labels(labels: Source) -> None:
    """Refuse labels that are not integers."""
    dtype = labels.array.dtype
    if dtype.kind not in "iu":
        raise InputError(f"{labels.name}: labels have dtype {dtype}, expected an integer dtype")


def is_archive(path: Path) -> bool:
    """Whether the file is a ``.npz``, which can hold several arrays."""
    with _opened(path) as file:
        return file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open the file for reading; whatever the system says against it becomes an InputError."""
    try:
        # Opening a named pipe would wait for a writer, so look before opening.
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{path}: is a directory, expected a .npy or .npz file")
        if not stat.S_ISREG(mode):
            raise InputError(f"{path}: is not a regular file, so it cannot be memory-mapped")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path}: {reason}, expected a readable .npy or .npz file") from error


class _Header(NamedTuple):
    """What the head of a ``.npy`` file says about the data that follow it."""

    shape: tuple[int, ...]
    order: str
    dtype: np.dtype[Any]
    end: int

    @property
    def data_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def _read_header(file: IO[bytes], name: str, size: int) -> _Header:
    """Read the header at the file's position; `size` bytes are there, header included."""
    start = file.tell()
    try:
        version = npy.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = npy.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, fortran, dtype = npy.read_array_header_2_0(file)
        else:
            raise ValueError(f"format version {version}, expected (1, 0) or (2, 0)")
    except Exception as error:  # a header is parsed as Python: damage can raise anything
        raise InputError(f"{name}: not a valid .npy header: {error}") from error
    if dtype.hasobject:
        raise InputError(f"{name}: holds Python objects (a pickle), which are never loaded")
    if any(length < 0 for length in shape):
        raise InputError(f"{name}: not a valid .npy header: shape {shape} is negative")
    header = _Header(shape, "F" if fortran else "C", dtype, file.tell() - start)
    if size - header.end < header.data_bytes:
        raise InputError(
            f"{name}: truncated: {dtype} data of shape {shape} are {header.data_bytes} bytes, "
            f"the file holds {max(size - header.end, 0)}"
        )
    return header


def _map(file: IO[bytes], name: str, start: int, size: int) -> npt.NDArray[Any]:
    """Map the ``.npy`` contents that take up `size` bytes of the file from `start` on."""
    file.seek(start)
    header = _read_header(file, name, size)
    return _map_data(file, name, header, start + header.end)


def _map_data(file: IO[bytes], name: str, header: _Header, offset: int) -> npt.NDArray[Any]:
    try:
        if header.data_bytes == 0:  # there may be no byte to map
            return np.empty(header.shape, header.dtype)
        # Not np.memmap: its subclass makes every slice of a block slower.
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return np.ndarray(
            header.shape,
            header.dtype,
            buffer=pages,
            offset=offset,
            order="F" if header.order == "F" else "C",
        )
    except ValueError as error:  # more dimensions, or longer ones, than NumPy can have
        raise InputError(f"{name}: shape {header.shape} is not usable: {error}") from error


def _open_member(file: IO[bytes], path: Path, role: str, named: bool, report: Report) -> Source:
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(file) as archive:
            member = _choose(archive, path, role, named)
            name = f"{path}[{member.filename.removesuffix('.npy')}]"
            encrypted = member.flag_bits & 1
            if member.compress_type == zipfile.ZIP_STORED and not encrypted:
                start = _member_start(file, member)
                return Source(name, _map(file, name, start, member.file_size))
            return Source(name, _unpack(archive, member, name, report))
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        struct.error,
        NotImplementedError,  # a compression that zipfile does not know
        RuntimeError,  # an encrypted member
        ValueError,
    ) as error:
        raise InputError(f"{path}: not a usable .npz file: {error}") from error


def _choose(archive: zipfile.ZipFile, path: Path, role: str, named: bool) -> zipfile.ZipInfo:
    members = {
        member.filename.removesuffix(".npy"): member
        for member in archive.infolist()
        if member.filename.endswith(".npy")
    }
    if role in members:
        return members[role]
    if len(members) == 1 and not named:
        return next(iter(members.values()))
    expected = f"an array named {role!r}" if named else f"one array, or one named {role!r}"
    raise InputError(f"{path}: expected {expected}, found {', '.join(members) or 'none'}")


def _member_start(file: IO[bytes], member: zipfile.ZipInfo) -> int:
    """Where the bytes of a stored member begin: behind its local header, name and extra field."""
    file.seek(member.header_offset)
    name_length, extra_length = struct.unpack("<26xHH", file.read(30))
    return member.header_offset + 30 + int(name_length) + int(extra_length)


def _unpack(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, report: Report
) -> npt.NDArray[Any]:
    """Unpack a member's data into a temporary file, so that memory stays small, and map that."""
    import tempfile

    with archive.open(member) as packed, tempfile.TemporaryFile(buffering=0) as unpacked:
        header = _read_header(packed, name, member.file_size)
        with report.progress(f"unpacking {member.filename}", header.data_bytes) as advance:
            while chunk := packed.read(_UNPACK_BYTES):
                try:
                    unpacked.write(chunk)
                except OSError as error:
                    place = tempfile.gettempdir()
                    reason = f"cannot be unpacked into {place}: {error.strerror or error}"
                    raise InputError(f"{name}: {reason}") from error
                advance(len(chunk))
        return _map_data(unpacked, name, header, 0)
