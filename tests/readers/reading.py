"""Reading a file in a test: every way that a source has must give the same array."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from fastce.readers import InputError, open_source


def entries(source, height=3):
    """The array of a source, read in blocks of a few entries, and compared with its whole array."""
    count = source.shape[0]
    blocks = [source.read(start, min(start + height, count)) for start in range(0, count, height)]
    assert all(block.dtype == source.dtype for block in blocks)
    read = np.empty((sum(map(len, blocks)), *source.shape[1:]), source.dtype)
    for start, block in zip(range(0, count, height), blocks, strict=True):
        read[start : start + height] = block
    assert read.shape == source.shape
    assert read.dtype == source.dtype
    if source.array is not None:
        assert source.array.shape == source.shape
        assert source.array.dtype == source.dtype
        assert source.array.flags.c_contiguous or source.array.flags.f_contiguous
        assert bits(source.array) == bits(read)
    source.check()
    return read


def bits(array):
    """The bytes of an array in C order."""
    return np.ascontiguousarray(array).tobytes()


def assert_holds(source, expected, height=3):
    """Compare a source with the array that was written, bit for bit."""
    found = entries(source, height)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert bits(found) == bits(expected)


def refusal(path, role="logits", **options):
    """The one line that a file is refused with, without its name in front."""

    def read_all():
        source = open_source(path, role, **options)
        for start in range(source.shape[0]):
            source.read(start, start + 1)

    with pytest.raises(InputError) as caught:
        read_all()
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message.removeprefix(str(path)).removeprefix(": ")


def npy(array, text=None, version=(1, 0)):
    """The bytes of a .npy file whose header is written by hand; the text's end is filled up."""
    if text is None:
        text = repr(np.lib.format.header_data_from_array_1_0(array))
    head = text.encode("latin-1" if version < (3, 0) else "utf-8")
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    length = struct.pack("<H" if version[0] == 1 else "<I", len(head))
    return b"\x93NUMPY" + bytes(version) + length + head + array.tobytes()
