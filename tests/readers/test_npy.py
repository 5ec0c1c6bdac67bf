"""Files of .npy: what NumPy and others write, and what is refused."""

from __future__ import annotations

import io
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from reading import assert_holds, npy, refusal

from fastce.readers import open_source

ARRAY = np.arange(24, dtype=np.float32).reshape(6, 4)
TEXT = "{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.npy"


LAYOUTS = {
    "C": ARRAY,
    "Fortran": np.asfortranarray(ARRAY),
    "big-endian": ARRAY.astype(">f4"),
    "big-endian Fortran": np.asfortranarray(ARRAY.astype(">f8")),
    "three axes": np.arange(30, dtype=np.float16).reshape(5, 3, 2),
    "three axes, Fortran": np.asfortranarray(np.arange(30.0).reshape(5, 3, 2)),
    "one axis": np.arange(7, dtype=np.int16),
    "empty": np.zeros((0, 4)),
    "no classes": np.zeros((4, 0), np.float32),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(path, layout):
    np.save(path, LAYOUTS[layout])
    source = open_source(path, "logits")
    assert source.array is not None
    assert_holds(source, LAYOUTS[layout])
    assert source.name == str(path)
    assert source.note == ""


def test_an_array_without_axes(path):
    np.save(path, np.float64(3.5))
    source = open_source(path, "logits")
    assert source.shape == ()
    assert source.read(0, 1) == source.array == 3.5


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_any_version(path, version):
    with path.open("wb") as file:
        np.lib.format.write_array(file, ARRAY, version=version)
    assert_holds(open_source(path, "logits"), ARRAY)


def test_a_header_that_open_memmap_writes(path):
    """NumPy 2 writes its own numbers as such into the header."""
    shape = (np.int64(6), 4)
    written = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    written[:] = ARRAY
    written.flush()
    assert_holds(open_source(path, "logits"), ARRAY)


HEADERS = {
    "NumPy 2": TEXT.format("<f4", "np.False_", "(np.int64(6), np.int32(4))"),
    "NumPy 2, numpy": TEXT.format("<f4", "numpy.bool_(False)", "(numpy.int64(6), 4)"),
    "Python 2": TEXT.format("<f4", "False", "(6L, 4L)"),
    "padded": TEXT.format("<f4", "False", "(6, 4)") + 12_000 * " ",
    "other order": "{'shape': (6, 4), 'fortran_order': False, 'descr': '<f4'}",
}


@pytest.mark.parametrize("header", HEADERS)
def test_headers_of_other_writers(path, header):
    path.write_bytes(npy(ARRAY, HEADERS[header]))
    assert_holds(open_source(path, "logits"), ARRAY)


def test_a_python_2_header_in_fortran_order(path):
    array = np.asfortranarray(ARRAY)
    path.write_bytes(npy(ARRAY.T, TEXT.format("<f4", "np.True_", "(6L, 4L)")))
    assert_holds(open_source(path, "logits"), array)


def test_headers_are_read_without_a_warning(path):
    """Not even one that is an error: NumPy warns of Python 2."""
    path.write_bytes(npy(ARRAY, HEADERS["Python 2"]))
    code = f"from fastce.readers import open_source; print(open_source({str(path)!r}, 'x').shape)"
    for option in ("default", "error"):
        found = subprocess.run(
            [sys.executable, "-W", option, "-c", code], capture_output=True, text=True, check=True
        )
        assert (found.stdout, found.stderr) == ("(6, 4)\n", "")


REFUSED = {
    "a text as shape": (TEXT.format("<f4", "False", "'(6, 4)'"), "shape is not a tuple"),
    "a list as shape": (TEXT.format("<f4", "False", "[6, 4]"), "shape is not a tuple"),
    "a truth as length": (TEXT.format("<f4", "False", "(True, 4)"), "shape is not a tuple"),
    "a number as order": (TEXT.format("<f4", "0", "(6, 4)"), "fortran_order is not True or False"),
    "no dtype": (TEXT.format("<q9", "False", "(6, 4)"), "not a dtype that NumPy knows"),
    "a call": (TEXT.format("<f4", "False", "(int(6), 4)"), "expected a dictionary"),
    "brackets": ("(" * 3000, "expected a dictionary"),
    "signs": ("-" * 3000 + "1", "expected a dictionary"),
    "a long text": ("'" + "x" * 5000 + "'", "expected at most 4096"),
    "another key": (
        "{'descr': '<f4', 'fortran_order': False, 'shape': (6, 4), 'x': 1}",
        "expected",
    ),
    "negative": (TEXT.format("<f4", "False", "(-6, 4)"), "shape (-6, 4) is negative"),
    "many axes": (TEXT.format("<f4", "False", 70 * (1,)), "is not usable"),
    "long axes": (TEXT.format("<f4", "False", (0, 2**70)), "is not usable"),
    "huge": (TEXT.format("<f4", "False", (2**40, 2**40)), "is not usable"),
    "large": (TEXT.format("<f4", "False", (2**30, 2**30)), "truncated"),
}


@pytest.mark.parametrize("header", REFUSED)
def test_headers_of_no_use(path, header):
    text, message = REFUSED[header]
    path.write_bytes(npy(ARRAY, text, (2, 0)))
    found = refusal(path)
    assert message in found
    assert found == refusal(path), "no address, and nothing else that changes"
    assert "allow_pickle" not in found
    assert "0x" not in found


def test_a_header_without_end(path):
    for length in (2**16, 2**31, 2**32 - 1):
        path.write_bytes(b"\x93NUMPY\x02\x00" + length.to_bytes(4, "little") + b"{")
        assert "not a valid .npy header" in refusal(path)


def test_arrays_that_were_appended(path):
    with path.open("wb") as file:
        np.save(file, ARRAY)
        np.save(file, ARRAY)
    assert refusal(path).startswith(
        f"{128 + ARRAY.nbytes} bytes follow the array of shape (6, 4), which ends there"
    )


def test_a_header_that_tells_fewer_rows_than_there_are(path):
    path.write_bytes(npy(ARRAY, TEXT.format("<f4", "False", "(5, 4)")))
    assert refusal(path).startswith("16 bytes follow the array of shape (5, 4)")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0", 15 * b"\0"])
def test_ends_that_are_no_data(path, end):
    path.write_bytes(npy(ARRAY) + end)
    source = open_source(path, "logits")
    assert_holds(source, ARRAY)
    assert source.note.startswith(f"{path}: {len(end)} bytes follow the array")


@pytest.mark.parametrize("end", [b"x", 15 * b"\1", 16 * b"\0", b"\n\n\n\n"])
def test_ends_that_may_be_data(path, end):
    path.write_bytes(npy(ARRAY) + end)
    assert refusal(path).startswith(f"{len(end)} bytes follow the array")


def test_truncated(path):
    path.write_bytes(npy(ARRAY)[:-1])
    assert refusal(path) == (
        "truncated: float32 data of shape (6, 4) are 96 bytes, the file holds 95"
    )


def test_pickles_are_never_loaded(path):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    np.save(path, np.array([Trap()], dtype=object), allow_pickle=True)
    assert refusal(path) == "holds Python objects (a pickle), which are never loaded"


# bfloat16, which NumPy saves as two bytes without a meaning

HALF = ARRAY.astype(ml_dtypes.bfloat16)


def test_bfloat16_as_numpy_saves_it(path):
    np.save(path, HALF)
    assert open_source(path, "logits").dtype == np.dtype("V2")
    assert_holds(open_source(path, "logits", dtype="bfloat16"), HALF)


def test_bfloat16_as_unsigned_integers(path):
    np.save(path, HALF.view(np.uint16))
    assert open_source(path, "logits").dtype == np.uint16
    source = open_source(path, "logits", dtype="bfloat16")
    assert source.array is not None
    assert_holds(source, HALF)


@pytest.mark.parametrize("descr", ["bfloat16", "<bfloat16"])
def test_bfloat16_by_name(path, descr):
    path.write_bytes(npy(HALF.view(np.uint16), TEXT.format(descr, "False", "(6, 4)")))
    assert_holds(open_source(path, "logits"), HALF)
    assert_holds(open_source(path, "logits", dtype="bfloat16"), HALF)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, ">u2", "f2"])
def test_what_is_no_bfloat16(path, dtype):
    np.save(path, ARRAY.astype(dtype))
    assert f"holds {np.dtype(dtype)}" in refusal(path, dtype="bfloat16")


def test_bfloat16_without_its_library(path, monkeypatch):
    np.save(path, HALF)
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    assert refusal(path, dtype="bfloat16") == (
        "bfloat16 needs ml_dtypes: pip install 'fastce[bfloat16]'"
    )


def test_a_key_where_there_are_no_names(path):
    np.save(path, ARRAY)
    assert refusal(path, key="a") == "holds one array without a name, expected no key 'a'"


def test_formats_that_are_known_and_not_read(tmp_path):
    import gzip
    import pickle

    held = io.BytesIO()
    np.save(held, ARRAY)
    text = b"0.5,1.5\n0.25,3\n"
    for name, content, parts in (
        ("x.npy.gz", gzip.compress(held.getvalue()), ("gzip", "gunzip")),
        ("x.pkl", pickle.dumps(ARRAY), ("pickle", "numpy.save")),
        ("x.csv", text, ("is text", "numpy.loadtxt")),
        ("x.txt", text, ("is text", "numpy.loadtxt")),
        ("x.bin", bytes(range(200, 256)), ("first bytes of no format", ".npy, .npz")),
        ("x.npy", b"", ("is empty", ".npy, .npz")),
    ):
        (tmp_path / name).write_bytes(content)
        message = refusal(tmp_path / name)
        assert all(part in message for part in parts), message
