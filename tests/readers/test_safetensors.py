"""Files of safetensors, written by its library and by hand."""

from __future__ import annotations

import json
import sys

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from reading import assert_holds, refusal

from fastce.readers import open_source

LOGITS = np.random.default_rng(4).normal(size=(11, 5)).astype(np.float32)
LABELS = np.arange(11)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.safetensors"


def write(path, header, data=b"", padding=0):
    """Write a file by hand; a header that is not bytes becomes JSON."""
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    head += padding * b" "
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)


DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(path, dtype):
    array = LOGITS.astype(dtype)
    safetensors.numpy.save_file({"a": array}, path)
    source = open_source(path, "logits")
    assert source.array is not None
    assert source.name == f"{path}[a]"
    assert_holds(source, array)


def test_several_arrays(path):
    empty = np.zeros((0, 3), np.float16)
    safetensors.numpy.save_file(
        {"labels": LABELS, "logits": LOGITS, "empty": empty}, path, metadata={"format": "np"}
    )
    assert_holds(open_source(path, "logits", named=True), LOGITS)
    assert_holds(open_source(path, "labels", named=True), LABELS)
    assert_holds(open_source(path, "logits", key="empty"), empty)
    assert "expected an array named 'x', found" in refusal(path, key="x")
    assert "__metadata__" not in refusal(path, key="x")


def test_bfloat16(path):
    half = LOGITS.astype(ml_dtypes.bfloat16)
    write(
        path,
        {"logits": {"dtype": "BF16", "shape": [11, 5], "data_offsets": [0, 110]}},
        half.tobytes(),
    )
    for dtype in (None, "bfloat16"):
        source = open_source(path, "logits", dtype=dtype)
        assert source.array is not None
        assert_holds(source, half)


def test_bfloat16_without_its_library(path, monkeypatch):
    write(path, {"a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}, b"12")
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    assert refusal(path).endswith("bfloat16 needs ml_dtypes: pip install 'fastce[bfloat16]'")


@pytest.mark.parametrize("padding", range(8))
def test_data_at_any_place(path, padding):
    """Headers of some writers end anywhere, so that arrays lie between the machine's words."""
    entry = {"dtype": "F32", "shape": [11, 5], "data_offsets": [3, 223]}
    before = {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}
    write(path, {"b": before, "logits": entry}, b"abc" + LOGITS.tobytes(), padding)
    assert_holds(open_source(path, "logits"), LOGITS)


GOOD = {"dtype": "F32", "shape": [11, 5], "data_offsets": [0, 220]}
REFUSED = {
    "truncated": ({"a": GOOD | {"shape": [22, 5], "data_offsets": [0, 440]}}, "truncated"),
    "offsets backwards": ({"a": GOOD | {"data_offsets": [220, 0]}}, "are 220 bytes"),
    "offsets too near": ({"a": GOOD | {"data_offsets": [0, 216]}}, "are 220 bytes"),
    "negative offsets": ({"a": GOOD | {"data_offsets": [-220, 0]}}, "shape or offsets are missing"),
    "negative shape": ({"a": GOOD | {"shape": [-11, -5]}}, "shape or offsets are missing"),
    "fractions": ({"a": GOOD | {"shape": [11.0, 5]}}, "shape or offsets are missing"),
    "truths": ({"a": GOOD | {"shape": [True, 5]}}, "shape or offsets are missing"),
    "unknown dtype": ({"a": GOOD | {"dtype": "F8_E4M3"}}, "has dtype 'F8_E4M3', expected"),
    "no dtype": ({"a": {"shape": [11, 5], "data_offsets": [0, 220]}}, "has dtype None"),
    "no entry": ({"a": 3}, "shape or offsets are missing"),
    "huge": ({"a": GOOD | {"shape": [2**62, 2**62]}}, "is not usable"),
    "many axes": ({"a": GOOD | {"shape": [55] + 70 * [1]}}, "is not usable"),
    "wrong size": ({"a": GOOD | {"shape": [11, 6]}}, "the header says 220"),
    "no object": (b"[1, 2]", "first bytes of no format"),
    "no JSON": (b'{"a": }', "not a usable .safetensors header"),
    "deep": (b'{"a":' + 100_000 * b"[", "not a usable .safetensors header"),
    "twice": (b'{"a": 1, "a": 2}', "a name occurs twice"),
    "no text": (b'{"\xff\xfe": 1}', "not a usable .safetensors header"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(path, case):
    header, message = REFUSED[case]
    write(path, header, LOGITS.tobytes())
    assert message in refusal(path)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**33, 300])
def test_headers_that_promise_more_than_there_is(path, length):
    path.write_bytes(length.to_bytes(8, "little") + b'{"a": 1}')
    assert "its header has" in refusal(path)


def test_bytes_behind_the_last_array(path):
    safetensors.numpy.save_file({"a": LOGITS}, path)
    path.write_bytes(path.read_bytes() + b"abc")
    assert refusal(path) == "3 bytes follow the last array, expected none"


@pytest.fixture
def sharded(tmp_path):
    """Two files and their index, as transformers writes them."""
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    safetensors.numpy.save_file({"logits": LOGITS, "other": LABELS}, tmp_path / names[0])
    safetensors.numpy.save_file({"labels": LABELS}, tmp_path / names[1])
    index = tmp_path / "model.safetensors.index.json"
    places = {"logits": names[0], "other": names[0], "labels": names[1]}
    index.write_text(json.dumps({"metadata": {"total_size": 308}, "weight_map": places}))
    return index


def test_a_sharded_set(sharded):
    source = open_source(sharded, "logits", named=True)
    assert_holds(source, LOGITS)
    assert source.name == f"{sharded.parent / 'model-00001-of-00002.safetensors'}[logits]"
    assert_holds(open_source(sharded, "labels", named=True), LABELS)
    assert "found logits, other, labels" in refusal(sharded, key="x")


@pytest.mark.parametrize(
    "place", ["../x.safetensors", "/etc/passwd", "", "m.safetensors.index.json"]
)
def test_an_index_that_leads_elsewhere(sharded, place):
    sharded.write_text(json.dumps({"weight_map": {"logits": place}}))
    assert refusal(sharded) == f"tells the file {place!r}, expected one beside it"


@pytest.mark.parametrize("text", ["{}", "[]", '{"weight_map": {"logits": 3}}', "{", "[" * 100_000])
def test_an_index_of_no_use(sharded, text):
    sharded.write_text(text)
    assert refusal(sharded)
