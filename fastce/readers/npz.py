"""Arrays in ``.npz`` archives, by name.

No array is read into memory: a stored member is mapped where it lies, a compressed one is unpacked
into a temporary file first.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy.typing as npt

from fastce.readers.errors import InputError
from fastce.readers.npy import map_contents, map_data, read_header
from fastce.readers.source import Format, Report, Source, Wanted

if TYPE_CHECKING:
    import zipfile

_MAGIC = b"PK"
_UNPACK_BYTES = 1 << 20


def _read(file: IO[bytes], path: Path, wanted: Wanted, report: Report) -> Source:
    """Map the array named as wanted, or the only one unless it must be named so."""
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(file) as archive:
            member = _choose(archive, path, wanted)
            name = f"{path}[{member.filename.removesuffix('.npy')}]"
            encrypted = member.flag_bits & 1
            if member.compress_type == zipfile.ZIP_STORED and not encrypted:
                start = _member_start(file, member)
                return Source(name, map_contents(file, name, start, member.file_size))
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


FORMAT = Format(".npz", lambda head: head.startswith(_MAGIC), holds_several=True, read=_read)


def _choose(archive: zipfile.ZipFile, path: Path, wanted: Wanted) -> zipfile.ZipInfo:
    role, named = wanted
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
        header = read_header(packed, name, member.file_size)
        with report.progress(f"unpacking {member.filename}", header.data_bytes) as advance:
            while chunk := packed.read(_UNPACK_BYTES):
                try:
                    unpacked.write(chunk)
                except OSError as error:
                    place = tempfile.gettempdir()
                    reason = f"cannot be unpacked into {place}: {error.strerror or error}"
                    raise InputError(f"{name}: {reason}") from error
                advance(len(chunk))
        return map_data(unpacked, name, header, 0)
