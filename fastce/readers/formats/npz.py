"""Arrays in ``.npz`` archives, by name.

No array is read into memory: a stored member is mapped where it lies, a compressed one is unpacked
block by block. The checksums of both are verified.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from fastce.readers.errors import InputError
from fastce.readers.file import File
from fastce.readers.formats.format import Format
from fastce.readers.formats.npy import MAGIC, read_header
from fastce.readers.packed import PackedArray
from fastce.readers.raw import RawArray
from fastce.readers.refused import TORCH
from fastce.readers.source import Report, Source, Wanted
from fastce.readers.spool import spooled

if TYPE_CHECKING:
    import zipfile

_STARTS = (b"PK\x03\x04", b"PK\x05\x06")  # of a first member, of an archive without any
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_PIECE = 1 << 20  # bytes that are summed at a time
_MOST_LOOKED_INTO = 1000  # members without the suffix .npy


def _read(file: File, wanted: Wanted, report: Report) -> Source:
    """Find the array that is wanted, map it or make ready to unpack it."""
    import zipfile

    with _as_input_error(file.name):
        archive = zipfile.ZipFile(file.stream())
        member = _choose(archive, file, wanted)
        name = f"{file.name}[{member.filename.removesuffix('.npy')}]"
        if member.flag_bits & 1:
            raise InputError(f"{name}: is encrypted, expected an array that can be read")
        if member.compress_type == zipfile.ZIP_STORED:
            start = _start(file, member, name)
            stop = start + member.file_size
            header = read_header(file.stream(start, stop), name, member.file_size)
            _verify(file, member, start, name, report)
            return RawArray(file, name, header.layout, start + header.end, header.note)
        with archive.open(member) as stream:
            header = read_header(stream, name, member.file_size)
            layout = header.layout
            if not layout.shape or (layout.order == "F" and len(layout.shape) > 1):
                # its first entry is all over it
                return spooled(_pieces(stream), layout, name, report, header.note)
        return PackedArray(
            file,
            name,
            layout,
            header.end,
            lambda: archive.open(member),
            lambda: _as_input_error(file.name),
            header.note,
        )


FORMAT = Format(".npz", lambda head, _: head.startswith(_STARTS), holds_several=True, read=_read)


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece


@contextmanager
def _as_input_error(name: str) -> Iterator[None]:
    """Say in one line what is wrong with an archive."""
    import lzma
    import zipfile

    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        struct.error,
        NotImplementedError,  # a compression that zipfile does not know
        RuntimeError,  # of bz2 and of encryption
        OSError,  # of bz2: "Invalid data stream"
        ValueError,
        IndexError,  # of damaged extra fields
        MemoryError,  # a dictionary of lzma that the member only claims to need
        OverflowError,
    ) as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"{name}: not a usable .npz file: {reason}") from error


def _choose(archive: zipfile.ZipFile, file: File, wanted: Wanted) -> zipfile.ZipInfo:
    files = {member.filename: member for member in archive.infolist() if not member.is_dir()}
    if any(name.rpartition("/")[2] == "data.pkl" for name in files):
        raise InputError(f"{file.name}: {TORCH}")
    arrays = {
        name.removesuffix(".npy"): member for name, member in files.items() if name.endswith(".npy")
    }
    if not arrays:  # other writers leave the suffix out
        few = list(files.items())[:_MOST_LOOKED_INTO]
        arrays = {name: member for name, member in few if _is_array(archive, member)}
    if not arrays and files:
        raise InputError(
            f"{file.name}: is an archive without arrays (.npy), expected a .npz file; it holds "
            f"{', '.join(list(files)[:3])}{' and more' if len(files) > 3 else ''}"
        )
    if wanted.key is not None:
        wanted = wanted._replace(key=wanted.key.removesuffix(".npy"))
    return arrays[wanted.choose(arrays, file.name)]


def _is_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    if member.flag_bits & 1:
        return False
    with archive.open(member) as stream:
        return stream.read(len(MAGIC)) == MAGIC


def _start(file: File, member: zipfile.ZipInfo, name: str) -> int:
    """Where the bytes of a stored member begin: behind its local header, which is checked."""
    stream = file.stream(member.header_offset)
    signature, name_length, extra_length = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
    written = stream.read(name_length)
    encoding = "utf-8" if member.flag_bits & 0x800 else "cp437"
    if signature != b"PK\x03\x04" or written.decode(encoding) != member.orig_filename:
        raise InputError(
            f"{name}: the archive's directory and the member's own header do not agree, so it is "
            "not known which array is which"
        )
    start = member.header_offset + _LOCAL_HEADER.size + int(name_length) + int(extra_length)
    if member.compress_size != member.file_size or start + member.file_size > file.size:
        raise InputError(
            f"{name}: truncated: the member has {member.file_size} bytes, "
            f"{max(0, file.size - start)} are left in the file"
        )
    return start


def _verify(file: File, member: zipfile.ZipInfo, start: int, name: str, report: Report) -> None:
    """Compare a stored member with its checksum."""
    buffer = memoryview(bytearray(min(_PIECE, member.file_size)))
    found, stop = 0, start + member.file_size
    with report.progress(f"checking {member.filename}", member.file_size) as advance:
        for offset in range(start, stop, _PIECE):
            piece = buffer[: min(_PIECE, stop - offset)]
            file.read_into(piece, offset)
            found = zlib.crc32(piece, found)
            advance(len(piece))
    if found != member.CRC:
        raise InputError(
            f"{name}: is damaged: its checksum is {found:08x}, the archive says {member.CRC:08x}"
        )
