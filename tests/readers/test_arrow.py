"""Parquet, Arrow files and streams, and tables in memory, all made by pyarrow."""

from __future__ import annotations

import sys

import ml_dtypes
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from reading import assert_holds, refusal

from fastce.readers import InputError, open_source, open_table

LOGITS = np.random.default_rng(2).normal(size=(100, 6)).astype(np.float32)
LABELS = np.arange(100, dtype=np.int16)


def fixed_lists(array):
    return pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[-1])


def lists(array, offsets=np.int32):
    places = np.arange(len(array) + 1, dtype=offsets) * array.shape[-1]
    kind = pa.ListArray if offsets == np.int32 else pa.LargeListArray
    return kind.from_arrays(pa.array(places), pa.array(array.reshape(-1)))


COLUMNS = {
    "fixed lists": fixed_lists,
    "lists": lists,
    "large lists": lambda array: lists(array, np.int64),
    "tensors": pa.FixedShapeTensorArray.from_numpy_ndarray,
}


def parquet(path, table):
    pq.write_table(table, path, row_group_size=30)


def arrow_file(path, table, **options):
    with pa.ipc.new_file(path, table.schema, **options) as writer:
        writer.write_table(table, max_chunksize=30)


def arrow_stream(path, table):
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=30)


def compressed_file(path, table):
    arrow_file(path, table, options=pa.ipc.IpcWriteOptions(compression="zstd"))


def feather(path, table):
    pyarrow.feather.write_feather(table, path, chunksize=30)


WRITERS = [parquet, arrow_file, arrow_stream, compressed_file, feather]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table"


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("write", WRITERS)
def test_every_kind_of_column(path, write, column):
    labels = pa.array(LABELS)
    write(
        path, pa.table({"text": ["a"] * 100, "logits": COLUMNS[column](LOGITS), "labels": labels})
    )
    source = open_source(path, "logits")
    assert source.name == f"{path}[logits]"
    for height in (1, 7, 30, 45, 100):
        assert_holds(source, LOGITS, height)
    assert_holds(open_source(path, "labels", named=True), LABELS)
    assert_holds(open_source(path, "x", key="labels"), LABELS)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i2", "i8", "u1", "u2", "u8"])
def test_every_dtype(path, write, dtype):
    array = LOGITS.astype(dtype)
    write(path, pa.table({"x": fixed_lists(array)}))
    assert_holds(open_source(path, "logits"), array, 9)


@pytest.mark.parametrize("write", WRITERS)
def test_lists_in_lists(path, write):
    array = np.arange(480.0).reshape(20, 4, 6)
    inner = fixed_lists(array.reshape(-1, 6))
    for outer in (
        pa.FixedSizeListArray.from_arrays(inner, 4),
        pa.ListArray.from_arrays(
            pa.array(np.arange(0, 81, 4, np.int32)), lists(array.reshape(80, 6))
        ),
        pa.FixedShapeTensorArray.from_numpy_ndarray(array),
    ):
        write(path, pa.table({"x": outer}))
        assert_holds(open_source(path, "logits"), array)


@pytest.mark.parametrize("write", WRITERS)
def test_entries_in_any_order(path, write):
    write(path, pa.table({"x": fixed_lists(LOGITS)}))
    source = open_source(path, "logits")
    for start, stop in ((95, 100), (3, 70), (29, 31), (31, 32), (0, 1), (99, 100), (5, 5)):
        assert np.array_equal(source.read(start, stop), LOGITS[start:stop])


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("column", ["fixed lists", "tensors"])
def test_no_rows(path, write, column):
    write(path, pa.table({"x": COLUMNS[column](LOGITS)}).slice(0, 0))
    assert_holds(open_source(path, "logits"), LOGITS[:0])


@pytest.mark.parametrize("write", WRITERS)
def test_bfloat16(path, write):
    half = LOGITS.astype(ml_dtypes.bfloat16)
    write(path, pa.table({"x": fixed_lists(half.view(np.uint16))}))
    assert_holds(open_source(path, "logits", dtype="bfloat16"), half)


REFUSED = {
    "nulls": (pa.array([1.0, None, 2.0]), "1 values are null"),
    "null lists": (pa.array([[1.0], None, [2.0]], pa.list_(pa.float32(), 1)), "1 values are null"),
    "nulls in lists": (pa.array([[1.0], [None], [2.0]], pa.list_(pa.float32())), "are null"),
    "lists of two lengths": (pa.array([[1.0], [1.0, 2.0], [2.0]]), "of 1 and of 2 numbers"),
    "texts": (pa.array(["a", "b", "c"]), "holds string, expected numbers"),
    "texts in lists": (pa.array([["a"], ["b"], ["c"]]), "expected numbers"),
    "times": (pa.array([1, 2, 3], pa.timestamp("ms")), "holds timestamp[ms], expected numbers"),
    "decimals": (pa.array([1, 2, 3], pa.decimal128(5)), "expected numbers"),
    "truths": (pa.array([True, False, True]), "holds bool, expected numbers"),
    "records": (pa.array([{"a": 1}] * 3), "expected numbers"),
}


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("case", REFUSED)
def test_columns_of_no_use(path, write, case):
    column, message = REFUSED[case]
    write(path, pa.table({"x": column}))
    assert message in refusal(path)


@pytest.mark.parametrize("write", WRITERS)
def test_lists_whose_length_changes_later(path, write):
    longer = np.zeros((30, 7), np.float32)
    column = pa.chunked_array([lists(LOGITS[:90]), lists(longer)])
    write(path, pa.table({"x": column}))
    message = refusal(path)
    assert "(7,)" in message or "of 6 and of 7 numbers" in message


def test_permuted_tensors(path):
    kind = pa.fixed_shape_tensor(pa.float32(), [2, 3], permutation=[1, 0])
    parquet(path, pa.table({"x": pa.ExtensionArray.from_storage(kind, fixed_lists(LOGITS))}))
    assert "axes are permuted" in refusal(path)


def test_a_damaged_page(path):
    pq.write_table(
        pa.table({"x": LOGITS.reshape(-1)}), path, compression="none", use_dictionary=False,
        write_page_checksum=True,
    )  # fmt: skip
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    assert "not a usable Arrow or Parquet file" in refusal(path)


def test_a_single_batch_is_mapped(path):
    with pa.ipc.new_stream(path, pa.schema([("x", fixed_lists(LOGITS).type)])) as writer:
        writer.write_batch(pa.record_batch({"x": fixed_lists(LOGITS)}))
    assert open_source(path, "logits").array is not None


class Frame:
    """What a data frame of another library shows of itself."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize("column", COLUMNS)
def test_tables_in_memory(column):
    table = pa.table({"logits": COLUMNS[column](LOGITS), "labels": LABELS})
    for each in (table, Frame(table)):
        source = open_table(each, "logits", "frame")
        assert source.name == "frame[logits]"
        assert_holds(source, LOGITS)
        assert_holds(open_table(each, "x", "frame", key="labels"), LABELS)
    in_parts = pa.concat_tables([table.slice(0, 41), table.slice(41)])
    assert_holds(open_table(Frame(in_parts), "logits", "frame"), LOGITS, 7)
    with pytest.raises(InputError, match="expected an array named 'y', found logits, labels"):
        open_table(table, "logits", "frame", key="y")


def test_a_slice_of_a_table():
    table = pa.table({"a": fixed_lists(LOGITS), "b": lists(LOGITS)}).slice(33, 20)
    for key in ("a", "b"):
        assert_holds(open_table(table, "logits", "t", key=key), LOGITS[33:53])


@pytest.mark.parametrize("write", [parquet, arrow_file, arrow_stream])
def test_without_the_library(path, write, monkeypatch):
    write(path, pa.table({"x": LABELS}))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    what = "Parquet" if write is parquet else "Arrow"
    assert refusal(path) == f"{what} needs pyarrow: pip install 'fastce[arrow]'"
