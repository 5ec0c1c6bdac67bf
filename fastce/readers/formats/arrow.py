"""Columns of Parquet and Arrow files, and of tables in memory, through pyarrow (extra ``arrow``).

A column holds numbers, lists of numbers that are all of one length, or tensors of one shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastce.readers.batches import BatchedArray
from fastce.readers.errors import InputError
from fastce.readers.extras import extra
from fastce.readers.file import File
from fastce.readers.formats.format import Format
from fastce.readers.raw import Layout
from fastce.readers.source import Report, Source, Wanted

_BATCH_BYTES = 1 << 20  # of rows that are unpacked together
_MOST_ROWS = 1 << 16
_STREAM = b"\xff\xff\xff\xff"  # what every message of a stream begins with


def _is_parquet(head: bytes, _: Path) -> bool:
    return head.startswith(b"PAR1")


def _is_ipc(head: bytes, _: Path) -> bool:
    return head.startswith((b"ARROW1", _STREAM))


def _read_parquet(file: File, wanted: Wanted, _report: Report) -> Source:
    """Make ready to read a column, row group by row group."""
    extra("pyarrow", "arrow", file.name, "Parquet")
    parquet = extra("pyarrow.parquet", "arrow", file.name, "Parquet")
    with _explained(file.name):
        table = parquet.ParquetFile(
            str(file.path), buffer_size=_BATCH_BYTES, pre_buffer=False, memory_map=False,
            page_checksum_verification=True,
        )  # fmt: skip
        key = wanted.choose(table.schema_arrow.names, file.name)
        name = f"{file.name}[{key}]"
        counts = [table.metadata.row_group(i).num_rows for i in range(table.num_row_groups)]
    _check_counts(counts, name)

    def batches(group: int, rows: int) -> Iterator[npt.NDArray[Any]]:
        with _explained(name):
            for batch in table.iter_batches(rows, [group], [key], use_threads=False):
                yield _values(batch.column(0), name)

    first = next((i for i, count in enumerate(counts) if count), None)
    if first is None:
        return _of_no_rows(table.schema_arrow.field(key).type, name, file)
    one = next(batches(first, 1), None)
    if one is None:
        raise InputError(f"{name}: ends before its first row")
    height = max(1, min(_MOST_ROWS, _BATCH_BYTES // max(1, one.nbytes)))
    return BatchedArray(
        name, one.shape[1:], one.dtype, counts, lambda i: batches(i, height), file.check, height
    )


def _read_ipc(file: File, wanted: Wanted, _report: Report) -> Source:
    """Find a column of an Arrow file (Feather) or stream, batch by batch where it is mapped."""
    pyarrow = extra("pyarrow", "arrow", file.name, "Arrow")
    pages = file.map()
    with _explained(file.name):
        opened = pyarrow.BufferReader(file.stream().read() if pages is None else pages)
        if bytes(file.stream().read(4)) == _STREAM:
            reader = pyarrow.ipc.open_stream(opened)
            key = wanted.choose(reader.schema.names, file.name)
            batches = [_column(batch, key) for batch in reader]
            return _of_chunks(batches, reader.schema.field(key).type, file.name, key, file)
        key = wanted.choose(pyarrow.ipc.open_file(opened).schema.names, file.name)
        field = pyarrow.ipc.open_file(opened).schema.names.index(key)
        options = pyarrow.ipc.IpcReadOptions(included_fields=[field])
        reader = pyarrow.ipc.open_file(opened, options=options)
        name = f"{file.name}[{key}]"
        counts = [reader.get_batch(i).num_rows for i in range(reader.num_record_batches)]
        _check_counts(counts, name)
        if not any(counts):
            return _of_no_rows(reader.schema.field(0).type, name, file)

        def batches_of(group: int) -> Iterator[npt.NDArray[Any]]:
            with _explained(name):
                yield _values(_column(reader.get_batch(group), key), name)

        first = next(i for i, count in enumerate(counts) if count)
        one = next(batches_of(first))
        return BatchedArray(
            name, one.shape[1:], one.dtype, counts, batches_of, file.check, max(counts)
        )


PARQUET = Format(".parquet", _is_parquet, holds_several=True, read=_read_parquet)
IPC = Format(".arrow", _is_ipc, holds_several=True, read=_read_ipc)


def open_table(
    table: Any, role: str, name: str, *, key: str | None = None, named: bool = False
) -> Source:
    """Return a column of an object with ``__arrow_c_stream__``: a frame, a table, a reader.

    The column of a frame is not copied; a stream is read to its end.
    """
    pyarrow = extra("pyarrow", "arrow", name, "an Arrow table")
    with _explained(name):
        read = pyarrow.table(table)
        key = Wanted(role, named, key).choose(read.schema.names, name)
        column = read.column(key)
        return _of_chunks(column.chunks, column.type, name, key, None)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Say in one line what the library says against a file."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # beside ArrowException: OSError, KeyError, UnicodeDecodeError
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: not a usable Arrow or Parquet file: {reason}") from error


def _column(batch: Any, key: str) -> Any:
    column = batch.column(key)
    column.validate(full=True)  # what a file says of lengths can lie outside its buffers
    return column


def _of_chunks(chunks: list[Any], kind: Any, file_name: str, key: str, file: File | None) -> Source:
    """Return the column whose chunks are all there."""
    name = f"{file_name}[{key}]"
    counts = [len(chunk) for chunk in chunks]
    if not any(counts):
        return _of_no_rows(kind, name, file)
    first = _values(next(chunk for chunk in chunks if len(chunk)), name)

    def batches(group: int) -> Iterator[npt.NDArray[Any]]:
        yield _values(chunks[group], name)

    check = _nothing if file is None else file.check
    found = BatchedArray(name, first.shape[1:], first.dtype, counts, batches, check, max(counts))
    if len(chunks) == 1 and first.flags.c_contiguous:
        found.array = first
    return found


def _of_no_rows(kind: Any, name: str, file: File | None) -> Source:
    pyarrow = extra("pyarrow", "arrow", name, "Arrow")

    with _explained(name):
        extension = isinstance(kind, pyarrow.BaseExtensionType)
        empty = pyarrow.array([], kind.storage_type if extension else kind)
        values = _values(kind.wrap_array(empty) if extension else empty, name)
    check = _nothing if file is None else file.check
    return BatchedArray(name, values.shape[1:], values.dtype, (), lambda _: iter(()), check, 1)


def _check_counts(counts: list[int], name: str) -> None:
    if min(counts, default=0) < 0 or sum(counts) >= 2**63:
        raise InputError(f"{name}: not a usable Arrow or Parquet file: its row counts are damaged")


def _nothing() -> None:
    """Nothing can have changed that the caller does not know of."""


def _values(column: Any, name: str) -> npt.NDArray[Any]:
    """Return a column's numbers without making objects of them, and mostly without a copy."""
    pyarrow = extra("pyarrow", "arrow", name, "Arrow")

    rows, kind, lengths = len(column), column.type, []
    if isinstance(column, pyarrow.ExtensionArray):
        column = column.storage
    while isinstance(
        column, (pyarrow.FixedSizeListArray, pyarrow.ListArray, pyarrow.LargeListArray)
    ):
        _refuse_nulls(column, name)
        lengths.append(_length(column, name))
        column = column.flatten()
    if isinstance(kind, pyarrow.FixedShapeTensorType):
        if kind.permutation not in (None, list(range(len(kind.shape)))):
            raise InputError(f"{name}: holds tensors whose axes are permuted, expected C order")
        lengths = kind.shape
    if isinstance(column, pyarrow.DictionaryArray):
        column = column.dictionary_decode()
    _refuse_nulls(column, name)
    types = pyarrow.types
    if not (types.is_integer(column.type) or types.is_floating(column.type)):
        raise InputError(
            f"{name}: holds {kind}, expected numbers, lists of numbers or tensors of them"
        )
    shape = (rows, *lengths)
    Layout(shape, np.dtype(np.float64)).check(name)
    return np.asarray(column.to_numpy(zero_copy_only=True)).reshape(shape)


def _length(lists: Any, name: str) -> int:
    """Return the length that all lists have."""
    if not hasattr(lists, "offsets"):
        return int(lists.type.list_size)
    lengths = np.diff(lists.offsets.to_numpy())
    if lengths.size and (lengths != lengths[0]).any():
        row = int((lengths != lengths[0]).argmax())
        raise InputError(
            f"{name}: holds lists of {lengths[0]} and of {lengths[row]} numbers, expected lists of "
            "one length"
        )
    return int(lengths[0]) if lengths.size else 0


def _refuse_nulls(column: Any, name: str) -> None:
    if column.null_count:
        raise InputError(f"{name}: {column.null_count} values are null, expected numbers")
