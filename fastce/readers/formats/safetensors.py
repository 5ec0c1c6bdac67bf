"""Arrays in ``.safetensors`` files, by name, and the index of a set of such files.

A file is the length of its header (8 bytes, little-endian), the header in JSON, and the bytes of
all arrays, each in C order. https://github.com/huggingface/safetensors
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fastce.readers.bfloat16 import bfloat16
from fastce.readers.errors import InputError
from fastce.readers.file import File
from fastce.readers.formats.format import Format
from fastce.readers.raw import Layout, RawArray
from fastce.readers.source import Report, Wanted

_LONGEST_HEADER = 16 << 20  # bytes: room for a hundred thousand arrays
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_INDEX = ".safetensors.index.json"


def _is_safetensors(head: bytes, path: Path) -> bool:
    return head[8:9] == b"{" or (len(head) > 0 and path.name.endswith(_INDEX))


def _read(file: File, wanted: Wanted, report: Report) -> RawArray:
    """Map the array that is wanted where it lies."""
    if file.name.endswith(_INDEX):
        return _read_shard(file, wanted, report)
    tensors, start = _header(file)
    key = wanted.choose(tensors, file.name)
    name = f"{file.name}[{key}]"
    layout, offset = _layout(tensors[key], name, file.size - start)
    ends = [entry["data_offsets"][1] for entry in tensors.values() if _has_offsets(entry)]
    surplus = file.size - start - max(ends)
    if surplus > 0:
        raise InputError(f"{file.name}: {surplus} bytes follow the last array, expected none")
    return RawArray(file, name, layout, start + offset)


FORMAT = Format(".safetensors", _is_safetensors, holds_several=True, read=_read)


def _header(file: File) -> tuple[dict[str, Any], int]:
    """Return what the header says of each array, and where their bytes begin."""
    stream = file.stream()
    length = int.from_bytes(stream.read(8), "little")
    if length > min(_LONGEST_HEADER, file.size - 8):
        raise InputError(
            f"{file.name}: not a usable .safetensors file: its header has {length} bytes, expected "
            f"at most {_LONGEST_HEADER} and not more than the file"
        )
    said = _parse(stream.read(length), file.name)
    said.pop("__metadata__", None)
    return said, 8 + length


def _parse(text: bytes, name: str) -> dict[str, Any]:
    import json

    try:
        said = json.loads(text, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:  # broken, not UTF-8, or nested without end
        raise InputError(f"{name}: not a usable .safetensors header: {error}") from error
    if not isinstance(said, dict):
        raise InputError(f"{name}: not a usable .safetensors header: it is not an object")
    return said


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _has_offsets(entry: Any) -> bool:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    return isinstance(offsets, list) and len(offsets) == 2 and _are_sizes(offsets)


def _are_sizes(numbers: list[Any]) -> bool:
    return all(type(number) is int and number >= 0 for number in numbers)


def _layout(entry: Any, name: str, room: int) -> tuple[Layout, int]:
    """Return an array's layout and its place; `room` bytes are there for all arrays."""
    shape = entry.get("shape") if _has_offsets(entry) else None
    if not isinstance(shape, list) or not _are_sizes(shape):
        raise InputError(f"{name}: not a usable .safetensors header: shape or offsets are missing")
    begin, end = entry["data_offsets"]
    layout = Layout(tuple(shape), _dtype(entry.get("dtype"), name))
    layout.check(name)
    if end > room:
        raise InputError(f"{name}: truncated: ends at byte {end} of the data, {room} are there")
    if end - begin != layout.nbytes:
        raise InputError(
            f"{name}: {layout.dtype} data of shape {layout.shape} are {layout.nbytes} bytes, "
            f"the header says {end - begin}"
        )
    return layout, begin


def _dtype(said: Any, name: str) -> np.dtype[Any]:
    if said == "BF16":
        return bfloat16(name)
    if not isinstance(said, str) or said not in _DTYPES:
        raise InputError(
            f"{name}: has dtype {said!r}, expected BF16 or one of {', '.join(_DTYPES)}"
        )
    return np.dtype(_DTYPES[said])


def _read_shard(index: File, wanted: Wanted, report: Report) -> RawArray:
    """Read the array from the one of several files in which the index says that it lies."""
    if index.size > _LONGEST_HEADER:
        raise InputError(
            f"{index.name}: has {index.size} bytes, expected at most {_LONGEST_HEADER}"
        )
    places = _parse(index.stream().read(), index.name).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(at, str) for at in places.values()):
        raise InputError(f"{index.name}: has no 'weight_map' that tells the file of each array")
    key = wanted.choose(places, index.name)
    shard = Path(places[key])
    if len(shard.parts) != 1 or shard.name.endswith(_INDEX):
        raise InputError(f"{index.name}: tells the file {places[key]!r}, expected one beside it")
    return _read(File(index.path.with_name(shard.name)), Wanted(key, True, key), report)
