"""HDF5 and zarr, made by h5py and zarr."""

from __future__ import annotations

import sys

import h5py
import ml_dtypes
import numpy as np
import pytest
import zarr
from reading import assert_holds, entries, refusal

from fastce.readers import open_source

LOGITS = np.random.default_rng(8).normal(size=(50, 6)).astype(np.float32)
LABELS = np.arange(50, dtype=np.int16)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.h5"


LAYOUTS = {
    "contiguous": {},
    "chunked": {"chunks": (8, 4)},
    "compressed": {"chunks": (8, 6), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "extendable": {"maxshape": (None, 6)},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("userblock", [0, 512, 2048])
def test_every_layout(path, layout, userblock):
    with h5py.File(path, "w", userblock_size=userblock) as file:
        file.create_dataset("test/logits", data=LOGITS, **LAYOUTS[layout])
        file["labels"] = LABELS
    source = open_source(path, "logits", key="test/logits")
    assert (source.array is not None) == (layout == "contiguous")
    assert source.name == f"{path}[test/logits]"
    if layout in ("chunked", "compressed"):
        assert source.block_rows == 8
    for height in (1, 8, 50):
        assert_holds(source, LOGITS, height)
    assert_holds(open_source(path, "x", key="/labels"), LABELS)
    assert_holds(open_source(path, "labels", named=True), LABELS)
    assert refusal(path) == "expected one array, or one named 'logits', found labels, test/logits"


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4", "i1", "<i8", "u1", ">u8", "?"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_dtype(path, dtype, layout):
    array = LOGITS.astype(dtype)
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=array, **LAYOUTS[layout])
    assert_holds(open_source(path, "logits"), array)


def test_hdf5_without_rows_or_axes(path):
    with h5py.File(path, "w") as file:
        file["none"] = LOGITS[:0]
        file["one"] = np.float32(3.5)
        file["null"] = h5py.Empty("f4")
        file["text"] = "abc"
        file["texts"] = np.array([b"a", b"b"])
        file["records"] = np.zeros(3, "f4,i4")
    assert_holds(open_source(path, "logits", key="none"), LOGITS[:0])
    assert open_source(path, "logits", key="one").read(0, 1) == 3.5
    assert "no data of its own" in refusal(path, key="null")
    for key in ("text", "texts", "records"):
        assert "expected numbers" in refusal(path, key=key)


def test_data_outside_of_the_file(path, tmp_path):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (6,), "f4", external=[(str(tmp_path / "y"), 0, 24)])
        layout = h5py.VirtualLayout((50, 6), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "x", (50, 6))
        file.create_virtual_dataset("v", layout)
    for key in ("x", "v"):
        assert "no data of its own" in refusal(path, key=key)


def test_bfloat16_in_hdf5(path):
    half = LOGITS.astype(ml_dtypes.bfloat16)
    for options in LAYOUTS.values():
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=half.view(np.uint16), **options)
        assert_holds(open_source(path, "logits", dtype="bfloat16"), half)


@pytest.mark.parametrize("layout", ["contiguous", "compressed"])
def test_a_file_cut_short(path, layout):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.random.default_rng(0).random((500, 6)), **LAYOUTS[layout])
    content = path.read_bytes()
    for size in (10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        assert refusal(path)


def test_a_damaged_chunk(path):
    with h5py.File(path, "w") as file:
        data = file.create_dataset("x", data=LOGITS, chunks=(8, 6), fletcher32=True)
        place = data.id.get_chunk_info(3).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 5] ^= 1
    path.write_bytes(content)
    assert "not a usable HDF5 file" in refusal(path)


def test_hdf5_without_the_library(path, monkeypatch):
    h5py.File(path, "w").close()
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert refusal(path) == "HDF5 needs h5py: pip install 'fastce[hdf5]'"


# zarr, whose library of version 2 (the last one for Python 3.10) knows nothing of version 3

LIBRARY = int(zarr.__version__.partition(".")[0])
VERSIONS = pytest.mark.parametrize("version", [2, 3] if LIBRARY >= 3 else [2])
VERSION_3 = pytest.mark.skipif(LIBRARY < 3, reason="this zarr has no version 3")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "x.zarr"


def write(folder, array, version, **options):
    """Write one array."""
    options |= {"zarr_format": version} if LIBRARY >= 3 else {}
    made = zarr.open(
        str(folder),
        mode="w",
        shape=array.shape,
        dtype=array.dtype,
        **({"chunks": (8, 4)} | options),
    )
    made[...] = array
    return made


@VERSIONS
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", "<i8", "u1", "?"])
def test_every_zarr(folder, version, dtype):
    array = LOGITS.astype(dtype)
    write(folder, array, version)
    source = open_source(folder, "logits")
    assert source.name == str(folder)
    assert source.array is None
    assert source.block_rows == 8
    for height in (1, 8, 50):
        assert_holds(source, array, height)
    assert refusal(folder, key="a") == "holds one array without a name, expected no key 'a'"


def test_big_endian_zarr(folder):
    write(folder, LOGITS.astype(">f4"), 2)
    assert np.array_equal(entries(open_source(folder, "logits")), LOGITS)


@VERSIONS
def test_groups(folder, version):
    options = {"zarr_format": version} if LIBRARY >= 3 else {}
    group = zarr.open_group(str(folder), mode="w", **options)
    for name, array in (("logits", LOGITS), ("labels", LABELS), ("deep/er", -LOGITS)):
        create = group.create_array if LIBRARY >= 3 else group.create_dataset
        create(name, shape=array.shape, dtype=array.dtype)[...] = array
    source = open_source(folder, "logits", named=True)
    assert source.name == f"{folder}[logits]"
    assert_holds(source, LOGITS)
    assert_holds(open_source(folder, "labels", named=True), LABELS)
    assert_holds(open_source(folder, "logits", key="deep/er"), -LOGITS)
    assert refusal(folder, key="x") == "expected an array named 'x', found labels, logits"
    assert refusal(folder, key="deep/none")


@VERSION_3
def test_shards(folder):
    made = zarr.create_array(
        str(folder), shape=LOGITS.shape, dtype="f4", chunks=(4, 6), shards=(16, 6)
    )
    made[...] = LOGITS
    source = open_source(folder, "logits")
    assert source.block_rows == 16
    assert_holds(source, LOGITS, 16)


@VERSIONS
def test_chunks_that_are_not_there(folder, version):
    array = np.zeros_like(LOGITS)
    array[:8] = 1
    write(folder, array, version, chunks=(8, 6))
    source = open_source(folder, "logits")
    assert_holds(source, array)
    assert source.note.startswith(f"{folder}: 6 of 7 chunks are not there")
    write(folder, LOGITS, version, chunks=(8, 6))
    assert open_source(folder, "logits").note == ""


@VERSIONS
def test_chunks_that_could_be_there(folder, version):
    """A description that promises billions of chunks is not looked through for them."""
    write(folder, LOGITS, version)
    description = next(path for path in folder.iterdir() if path.name in ("zarr.json", ".zarray"))
    text = description.read_text()
    assert text.count("50,") == 1
    description.write_text(text.replace("50,", f"{2**40},"))
    source = open_source(folder, "logits")
    assert source.shape == (2**40, 6)
    assert "chunks are not there" in source.note
    assert np.array_equal(source.read(0, 50), LOGITS)


@VERSION_3
def test_a_damaged_zarr(folder):
    write(folder, LOGITS, 3, chunks=(50, 6))
    chunk = next(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".json")
    chunk.write_bytes(chunk.read_bytes()[:-10])
    assert "not a usable zarr array" in refusal(folder)
    (folder / "zarr.json").write_text('{"zarr_format": 3, "node_type": "array"}')
    assert "not a usable zarr array" in refusal(folder)
    (folder / "zarr.json").write_text("{")
    assert "not a usable zarr array" in refusal(folder)


def test_other_folders(tmp_path):
    assert refusal(tmp_path) == "is a directory, expected a file"


def test_zarr_without_the_library(folder, monkeypatch):
    write(folder, LOGITS, 2)
    monkeypatch.setitem(sys.modules, "zarr", None)
    assert refusal(folder) == "zarr needs zarr: pip install 'fastce[zarr]'"
