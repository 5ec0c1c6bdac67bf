"""What llama.cpp writes with ``--kl-divergence-base``: log-probabilities in 16 bits, and tokens.

    8 bytes                  _logits_
    3 x 32 bits              tokens of a chunk (n), entries of the vocabulary (v), chunks
    chunks x n x 32 bits     the tokens
    chunks x (n - 1 - n/2)   rows: scale and least log-probability as float32, then v numbers q of
                             16 bits, filled up to an even count

A row holds ``scale q + least`` for the token that follows; the first half of a chunk has no rows.
Little-endian. https://github.com/ggml-org/llama.cpp, tools/perplexity
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from fastce.readers.errors import InputError
from fastce.readers.file import File
from fastce.readers.formats.format import Format
from fastce.readers.raw import Layout, as_bytes
from fastce.readers.source import ArraySource, Report, Source, Wanted

_MAGIC = b"_logits_"
_HEAD = struct.Struct("<8s3i")
# What scale (16 / 65535) and least value (-16 - ln v) can be, with room.
_LEAST, _MOST = np.array([0, -1000], np.float32), np.array([1e-3, 1e-3], np.float32)
_NOTE = (
    "holds log-probabilities in 16 bits, of which all that lie more than 16 nats below a row's "
    "largest count as 16 nats below it"
)


def _read(file: File, wanted: Wanted, _report: Report) -> Source:
    """Return the rows of log-probabilities, or the token that each of them predicts."""
    key = wanted.choose(("logits", "labels"), file.name)
    name = f"{file.name}[{key}]"
    rows = _Rows(file, name)
    return rows if key == "logits" else ArraySource(rows.labels(), name)


FORMAT = Format(".kld", lambda head, _: head.startswith(_MAGIC), holds_several=True, read=_read)


class _Rows:
    """Rows of log-probabilities, computed from their 16 bits as they are read."""

    array = None
    block_rows = 1

    def __init__(self, file: File, name: str) -> None:
        head = bytearray(_HEAD.size)
        if file.size < len(head):
            raise InputError(f"{file.name}: truncated: a .kld file has {len(head)} bytes and more")
        file.read_into(head, 0)
        _, self._length, classes, self._chunks = _HEAD.unpack(head)
        if self._length < 2 or classes < 1 or self._chunks < 0:
            raise InputError(
                f"{file.name}: has {self._chunks} chunks of {self._length} tokens of {classes}, "
                "expected at least 2 tokens in a chunk and 1 in the vocabulary"
            )
        self._first = self._length // 2  # position in a chunk that the first row is of
        rows = self._chunks * (self._length - 1 - self._first)
        self._file, self.name, self.note = file, name, f"{file.name}: {_NOTE}"
        self._row = 4 + 2 * ((classes + 1) // 2)  # in units of 16 bits
        self._start = _HEAD.size + 4 * self._chunks * self._length
        self.shape: tuple[int, ...] = (rows, classes)
        self.dtype: np.dtype[Any] = np.dtype(np.float32)
        Layout(self.shape, self.dtype).check(name)
        size = self._start + 2 * rows * self._row
        if file.size != size:
            how = "truncated: holds" if file.size < size else "holds"
            raise InputError(
                f"{file.name}: {how} {file.size} bytes, expected {size} for {self._chunks} chunks "
                f"of {self._length} tokens of {classes}"
            )

    def labels(self) -> npt.NDArray[np.int32]:
        """Return the token that follows each row's position."""
        tokens = np.empty((self._chunks, self._length), np.dtype("<i4"))
        self._file.read_into(as_bytes(tokens), _HEAD.size)
        return tokens[:, self._first + 1 :].reshape(-1).astype(np.int32)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the log-probabilities of the rows `start` to `stop`."""
        start, stop, _ = slice(start, stop).indices(self.shape[0])
        packed = np.empty((max(0, stop - start), self._row), np.dtype("<u2"))
        if packed.size:
            self._file.read_into(as_bytes(packed), self._start + 2 * self._row * start)
        scale_and_least = packed[:, :4].copy().view("<f4")
        good = ((scale_and_least >= _LEAST) & (scale_and_least <= _MOST)).all(axis=1)
        if not good.all():
            row = int(good.argmin())
            scale, least = scale_and_least[row]
            raise InputError(
                f"{self.name}: row {start + row} is damaged: its scale is {scale}, its least value "
                f"{least}"
            )
        rows = packed[:, 4 : 4 + self.shape[1]].astype(np.float32)
        rows *= scale_and_least[:, :1]
        rows += scale_and_least[:, 1:]
        return rows

    def check(self) -> None:
        """Raise InputError if the file changed since it was opened."""
        self._file.check()
