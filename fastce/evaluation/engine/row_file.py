"""What was found for each row, written to a file as the run goes on."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt

from fastce.evaluation.engine.pairs import Pair
from fastce.evaluation.engine.run import Known
from fastce.readers.errors import InputError
from fastce.readers.extras import extra

SUFFIXES = (".npy", ".parquet")
_FIELDS: tuple[tuple[str, str], ...] = (
    ("file", "<i4"),  # number of the file of logits, from 0 on
    ("row", "<i8"),  # number of the row in it, in the order of C
    ("label", "<i8"),  # the ignored label where the row does not count
    ("loss", "<f8"),
    ("predicted", "<i8"),
    ("rank", "<i8"),
    ("confidence", "<f8"),
    ("margin", "<f8"),
    ("entropy", "<f8"),
    ("brier", "<f8"),
)
_COLUMN = ("column", "<i4")  # of a label, where a row has several


class _Table(Protocol):
    def write(self, rows: npt.NDArray[Any], places: npt.NDArray[np.intp]) -> None: ...
    def close(self) -> None: ...


class RowFile:
    """A ``.npy`` with a structured array, or a ``.parquet``: a row for each label.

    The file appears under its name when everything is written, so there is never half of one.

    Parameters
    ----------
    path : Path
        Where; its suffix tells the format.
    pairs : list of Pair
        What will be written, in this order.
    """

    def __init__(self, path: Path, pairs: list[Pair]) -> None:
        if path.suffix not in SUFFIXES:
            raise InputError(f"{path}: expected a name that ends in {' or '.join(SUFFIXES)}")
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        several = pairs[0].columns > 1
        fields = [*_FIELDS[:2], *([_COLUMN] if several else []), *_FIELDS[2:]]
        self._dtype = np.dtype(fields)
        self._numbers = {id(pair): number for number, pair in enumerate(pairs)}
        ends = np.cumsum([0, *(pair.rows * pair.columns for pair in pairs)]).tolist()
        self._starts = ends[:-1]
        try:
            self._table: _Table = (
                _Npy(self._part, self._dtype, ends[-1])
                if path.suffix == ".npy"
                else _Parquet(self._part, self._dtype, path)
            )
        except OSError as error:
            raise _cannot(path, error) from error

    def keep(self, pair: Pair, known: Known) -> None:
        """Write the rows of a piece."""
        columns = pair.columns
        numbers = known.piece.numbers
        if isinstance(numbers, slice):
            numbers = np.arange(numbers.start, numbers.stop)
        table = np.empty(known.labels.size, self._dtype)
        file = self._numbers[id(pair)]
        table["file"] = file
        table["row"] = np.repeat(numbers, columns)
        table["label"] = known.labels.reshape(-1)
        if columns > 1:
            table["column"] = np.tile(np.arange(columns), len(numbers))
        for name, values in zip(known.numbers._fields, known.numbers, strict=True):
            table[name] = values.reshape(-1)
        places = self._starts[file] + (numbers[:, np.newaxis] * columns + np.arange(columns))
        try:
            self._table.write(table, places.reshape(-1))
        except OSError as error:
            raise _cannot(self._path, error) from error

    def __enter__(self) -> RowFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._table.close()
            if kind is None:
                self._part.replace(self._path)
        except OSError as problem:
            raise _cannot(self._path, problem) from problem
        finally:
            self._part.unlink(missing_ok=True)


def _cannot(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot be written: {error.strerror or error}")


class _Npy:
    def __init__(self, path: Path, dtype: np.dtype[Any], count: int) -> None:
        self._file: IO[bytes] = path.open("w+b")
        np.lib.format.write_array_header_2_0(
            self._file,
            {
                "descr": np.lib.format.dtype_to_descr(dtype),
                "fortran_order": False,
                "shape": (count,),
            },
        )
        self._begin = self._file.tell()
        self._size = dtype.itemsize
        self._file.truncate(self._begin + count * self._size)

    def write(self, rows: npt.NDArray[Any], places: npt.NDArray[np.intp]) -> None:
        breaks = np.flatnonzero(np.diff(places) != 1) + 1
        if len(breaks) > 1000:  # rows in another order than they are written in
            rows, places = rows[np.argsort(places)], np.sort(places)
            breaks = np.flatnonzero(np.diff(places) != 1) + 1
        for part, at in zip(np.split(rows, breaks), np.split(places, breaks), strict=True):
            if len(part):
                self._file.seek(self._begin + int(at[0]) * self._size)
                self._file.write(part.tobytes())

    def close(self) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, path: Path, dtype: np.dtype[Any], name: Path) -> None:
        self._arrow = extra("pyarrow", "arrow", str(name), "Parquet")
        parquet = extra("pyarrow.parquet", "arrow", str(name), "Parquet")
        schema = self._arrow.schema(
            [(field, self._arrow.from_numpy_dtype(dtype[field])) for field in dtype.names or ()]
        )
        self._writer = parquet.ParquetWriter(str(path), schema)
        self._schema = schema

    def write(self, rows: npt.NDArray[Any], places: npt.NDArray[np.intp]) -> None:
        columns = [
            self._arrow.array(np.ascontiguousarray(rows[name])) for name in self._schema.names
        ]
        self._writer.write_table(self._arrow.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()
