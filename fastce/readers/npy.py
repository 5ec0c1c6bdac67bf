"""Arrays in ``.npy`` files, memory-mapped. Nothing is unpickled."""

from __future__ import annotations

import math
import mmap
import os
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from fastce.readers.errors import InputError
from fastce.readers.source import Format, Report, Source, Wanted

_MAGIC = b"\x93NUMPY"


def _read(file: IO[bytes], path: Path, _wanted: Wanted, _report: Report) -> Source:
    """Map the array where it lies."""
    return Source(str(path), map_contents(file, str(path), 0, os.fstat(file.fileno()).st_size))


FORMAT = Format(".npy", lambda head: head.startswith(_MAGIC), holds_several=False, read=_read)


class Header(NamedTuple):
    """What the head of a ``.npy`` file says about the data that follow it."""

    shape: tuple[int, ...]
    order: str
    dtype: np.dtype[Any]
    end: int

    @property
    def data_bytes(self) -> int:
        """Bytes that the data take up."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes], name: str, size: int) -> Header:
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
    header = Header(shape, "F" if fortran else "C", dtype, file.tell() - start)
    if size - header.end < header.data_bytes:
        raise InputError(
            f"{name}: truncated: {dtype} data of shape {shape} are {header.data_bytes} bytes, "
            f"the file holds {max(size - header.end, 0)}"
        )
    return header


def map_contents(file: IO[bytes], name: str, start: int, size: int) -> npt.NDArray[Any]:
    """Map the ``.npy`` contents that take up `size` bytes of the file from `start` on."""
    file.seek(start)
    header = read_header(file, name, size)
    return map_data(file, name, header, start + header.end)


def map_data(file: IO[bytes], name: str, header: Header, offset: int) -> npt.NDArray[Any]:
    """Map the data that begin at `offset`."""
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
