"""Arrays in ``.npy`` files. Nothing is unpickled."""

from __future__ import annotations

import ast
import re
import struct
import warnings
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from fastce.readers.bfloat16 import bfloat16
from fastce.readers.errors import InputError
from fastce.readers.file import File
from fastce.readers.formats.format import Format
from fastce.readers.raw import Layout, RawArray
from fastce.readers.source import Report, Wanted

MAGIC = b"\x93NUMPY"
_LENGTHS = {1: "<H", 2: "<I", 3: "<I"}  # of the header, by the format's major version
_LONGEST = 1 << 20  # bytes of a header, padding included
_LONGEST_TEXT = 1 << 12  # characters of it without padding
# What programs wrote into headers beside literals: NumPy 2 its own numbers, Python 2 long ones.
_WRITTEN = (
    (re.compile(r"\b(?:np|numpy)\.u?int\w*\((\d+)\)"), r"\1"),
    (re.compile(r"\b(?:np|numpy)\.bool_?\((True|False)\)"), r"\1"),
    (re.compile(r"\b(?:np|numpy)\.(True|False)_"), r"\1"),
    (re.compile(r"\b(\d+)L\b"), r"\1"),
)


def _read(file: File, wanted: Wanted, _report: Report) -> RawArray:
    """Map the array, or read it where there are no maps."""
    wanted.only(file.name)
    header = read_header(file.stream(), file.name, file.size)
    return RawArray(file, file.name, header.layout, header.end, header.note)


FORMAT = Format(".npy", lambda head, _: head.startswith(MAGIC), holds_several=False, read=_read)


class Header(NamedTuple):
    """What the head of a ``.npy`` file says about the data that follow it."""

    layout: Layout
    end: int  # bytes from the file's beginning to the data
    note: str


def read_header(stream: IO[bytes], name: str, size: int) -> Header:
    """Read the header at the stream's position; `size` bytes are there, header included."""
    text, end = _text(stream, name)
    layout = _layout(text, name)
    left = size - end - layout.nbytes
    if left < 0:
        raise InputError(
            f"{name}: truncated: {layout.dtype} data of shape {layout.shape} are {layout.nbytes} "
            f"bytes, the file holds {max(size - end, 0)}"
        )
    return Header(layout, end, "" if left == 0 else _surplus(stream, name, layout, left))


def _text(stream: IO[bytes], name: str) -> tuple[str, int]:
    """Return the header's text, and how many bytes there are before the data."""
    start = stream.read(len(MAGIC) + 2)
    if start[: len(MAGIC)] != MAGIC or len(start) < len(MAGIC) + 2:
        raise InputError(f"{name}: not a valid .npy header: it does not begin as one")
    major, minor = start[-2:]
    if major not in _LENGTHS or minor != 0:
        raise InputError(
            f"{name}: not a valid .npy header: format version {(major, minor)}, "
            "expected (1, 0), (2, 0) or (3, 0)"
        )
    packed = stream.read(struct.calcsize(_LENGTHS[major]))
    if len(packed) < struct.calcsize(_LENGTHS[major]):
        raise InputError(f"{name}: not a valid .npy header: it ends before its length")
    (length,) = struct.unpack(_LENGTHS[major], packed)
    if length > _LONGEST:
        raise InputError(
            f"{name}: not a valid .npy header: it has {length} bytes, expected at most {_LONGEST}"
        )
    raw = stream.read(length)
    if len(raw) < length:
        raise InputError(
            f"{name}: not a valid .npy header: {len(raw)} bytes of it are there, expected {length}"
        )
    text = raw.decode("utf-8" if major == 3 else "latin-1", "replace").strip(" \n\0")
    if len(text) > _LONGEST_TEXT:
        raise InputError(
            f"{name}: not a valid .npy header: it has {len(text)} characters, expected "
            f"at most {_LONGEST_TEXT}"
        )
    return text, len(start) + len(packed) + length


def _layout(text: str, name: str) -> Layout:
    for pattern, literal in _WRITTEN:
        text = pattern.sub(literal, text)
    try:
        said = ast.literal_eval(text)
    except Exception:  # text that is parsed as Python can raise anything
        said = None
    if not isinstance(said, dict) or set(said) != {"descr", "fortran_order", "shape"}:
        raise InputError(
            f"{name}: not a valid .npy header: expected a dictionary of 'descr', 'fortran_order' "
            "and 'shape'"
        )
    shape, fortran = said["shape"], said["fortran_order"]
    if not isinstance(shape, tuple) or not all(type(length) is int for length in shape):
        raise InputError(f"{name}: not a valid .npy header: shape is not a tuple of integers")
    if any(length < 0 for length in shape):
        raise InputError(f"{name}: not a valid .npy header: shape {shape} is negative")
    if not isinstance(fortran, bool):
        raise InputError(f"{name}: not a valid .npy header: fortran_order is not True or False")
    dtype = _dtype(said["descr"], name)
    if dtype.hasobject:
        raise InputError(f"{name}: holds Python objects (a pickle), which are never loaded")
    layout = Layout(shape, dtype, "F" if fortran else "C")
    layout.check(name)
    return layout


def _dtype(said: Any, name: str) -> np.dtype[Any]:
    if said in ("bfloat16", "<bfloat16"):
        return bfloat16(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that NumPy gave up
            return npy.descr_to_dtype(said)
    except Exception as error:  # a description can be wrong in any way
        raise InputError(
            f"{name}: not a valid .npy header: descr is not a dtype that NumPy knows"
        ) from error


def _surplus(stream: IO[bytes], name: str, layout: Layout, left: int) -> str:
    """Return a note about bytes behind the data that are harmless, and refuse others.

    Some programs end files with a line feed, or fill them up with zeros; less than an entry of
    the first axis of these cannot be data that were appended.
    """
    entry = layout.nbytes // max(1, layout.shape[0]) if layout.shape else layout.nbytes
    if left < max(2, entry):
        end = _end(stream, layout.nbytes, left)
        if not end.strip(b"\0") or end in (b"\n", b"\r\n"):
            return f"{name}: {left} bytes follow the array, zeros or the end of a line"
    raise InputError(
        f"{name}: {left} bytes follow the array of shape {layout.shape}, which ends there; "
        "arrays that were appended one after the other need a file each"
    )


def _end(stream: IO[bytes], skipped: int, left: int) -> bytes:
    if not stream.seekable():
        return b"?"
    place = stream.tell()
    stream.seek(skipped, 1)
    end = stream.read(left)
    stream.seek(place)
    return end
