"""Archives: which array, where it lies, and whether it is what was written."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pytest
from reading import assert_holds, npy, refusal

from fastce.readers import open_source
from fastce.readers.formats import npz

LOGITS = np.random.default_rng(5).normal(size=(300, 7)).astype(np.float32)
LABELS = np.arange(300, dtype=np.uint8)
METHODS = {
    "stored": zipfile.ZIP_STORED,
    "deflate": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.npz"


def write(path, members, method=zipfile.ZIP_STORED):
    """Write an archive of members: arrays, or bytes."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            data = content if isinstance(content, bytes) else npy_bytes(content)
            archive.writestr(name, data)


def npy_bytes(array):
    held = io.BytesIO()
    np.save(held, array)
    return held.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes(path, save):
    save(path, logits=LOGITS, labels=LABELS)
    source = open_source(path, "logits")
    assert source.name == f"{path}[logits]"
    assert (source.array is not None) == (save is np.savez)
    assert_holds(source, LOGITS, 41)
    assert_holds(open_source(path, "labels", named=True), LABELS)
    assert_holds(open_source(path, "logits", key="labels"), LABELS)
    assert_holds(open_source(path, "logits", key="labels.npy"), LABELS)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("method", METHODS)
def test_every_compression(path, method, order):
    array = np.asarray(LOGITS, order=order)
    write(path, {"a.npy": array}, METHODS[method])
    source = open_source(path, "logits")
    assert_holds(source, array, 13)
    assert_holds(source, array, 7)  # from the beginning again
    write(path, {"a.npy": np.array(3)}, METHODS[method])
    assert open_source(path, "logits").read(0, 1) == 3
    write(path, {"a.npy": np.zeros((0, 4))}, METHODS[method])
    assert_holds(open_source(path, "logits"), np.zeros((0, 4)))


def test_entries_of_a_packed_array_in_any_order(path):
    write(path, {"a.npy": LOGITS}, zipfile.ZIP_DEFLATED)
    source = open_source(path, "logits")
    for start, stop in ((200, 210), (3, 290), (290, 300), (0, 1), (299, 300), (300, 300)):
        assert np.array_equal(source.read(start, stop), LOGITS[start:stop])


def test_which_array(path):
    np.savez(path, a=LOGITS, b=LABELS)
    assert refusal(path) == "expected one array, or one named 'logits', found a, b"
    assert refusal(path, named=True) == "expected an array named 'logits', found a, b"
    assert refusal(path, key="c") == "expected an array named 'c', found a, b"
    assert_holds(open_source(path, "logits", key="a"), LOGITS)
    np.savez(path, LOGITS)
    assert_holds(open_source(path, "logits"), LOGITS)
    assert refusal(path, named=True) == "expected an array named 'logits', found arr_0"
    np.savez(path, **{f"layer{i}": LABELS for i in range(20)})
    assert refusal(path).endswith("layer10, layer11 and 8 more")


@pytest.mark.parametrize("method", METHODS)
def test_members_without_a_suffix(path, method):
    write(path, {"logits": LOGITS, "labels": LABELS, "README": b"no array"}, METHODS[method])
    assert_holds(open_source(path, "logits", named=True), LOGITS)
    assert_holds(open_source(path, "labels", named=True), LABELS)


def test_archives_that_are_none(path):
    write(path, {"archive/data.pkl": b"\x80\x02.", "archive/data/0": bytes(40)})
    message = refusal(path)
    assert "torch.save" in message
    assert "numpy.save('FILE.npy', torch.load('FILE.pt').numpy())" in message
    write(path, {"word/document.xml": b"<a/>", "b": b"", "c": b"", "d": b""})
    assert refusal(path) == (
        "is an archive without arrays (.npy), expected a .npz file; it holds word/document.xml, b, "
        "c and more"
    )
    write(path, {})
    assert refusal(path) == "expected one array, or one named 'logits', found none"
    np.savez(path, logits=LOGITS)
    path.write_bytes(bytes(10) + path.read_bytes())
    assert refusal(path).startswith("has the first bytes of no format that is read")


# Checksums and headers


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("back", [20, 900, 8000])
def test_a_byte_that_changed(path, method, back):
    """Of the data, wherever it is: a wrong number is never returned."""
    noise = np.random.default_rng(1).integers(0, 256, (40, 256), dtype=np.uint8)
    write(path, {"logits.npy": noise}, METHODS[method])
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        end = archive.start_dir
    content[end - back] ^= 1
    path.write_bytes(content)
    message = refusal(path)
    if method == "stored":
        assert message.startswith("[logits]: is damaged: its checksum is ")


def test_a_checksum_of_a_large_member(path, monkeypatch):
    monkeypatch.setattr(npz, "_PIECE", 64)
    np.savez(path, logits=LOGITS)
    assert_holds(open_source(path, "logits"), LOGITS)


def test_a_directory_that_points_elsewhere(path):
    np.savez(path, logits=LOGITS, others=-LOGITS)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        first = archive.start_dir
        others = archive.getinfo("others.npy").header_offset
    content[first + 42 : first + 46] = struct.pack("<I", others)
    path.write_bytes(content)
    assert refusal(path).startswith("[logits]: the archive's directory and the member's own header")


def test_a_member_without_its_header(path):
    np.savez(path, labels=LABELS, logits=LOGITS)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("logits.npy").header_offset
    content[at : at + 4] = b"PK\0\0"
    path.write_bytes(content)
    assert "the archive's directory and the member's own header" in refusal(path)


def test_zip64_headers(path):
    """As NumPy writes them: sizes of 64 bits in every local header, also of small members."""
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("x.npy", "w", force_zip64=True) as member:
            member.write(npy_bytes(LOGITS))
        with archive.open("y", "w", force_zip64=True) as member:
            member.write(npy_bytes(LABELS))
    assert_holds(open_source(path, "logits"), LOGITS)


def test_archives_of_streaming_writers(path):
    """Sizes and checksums follow the data, and the directory holds them."""

    class Pipe(io.RawIOBase):
        def __init__(self):
            self.written = b""

        def writable(self):
            return True

        def write(self, data):
            self.written += bytes(data)
            return len(data)

    for method in METHODS.values():
        pipe = Pipe()
        with zipfile.ZipFile(pipe, "w", method) as archive:
            archive.writestr("logits.npy", npy_bytes(LOGITS))
        path.write_bytes(pipe.written)
        assert_holds(open_source(path, "logits"), LOGITS, 50)


@pytest.mark.parametrize("method", METHODS)
def test_members_that_are_no_whole_arrays(path, method):
    data = npy_bytes(LOGITS)
    write(path, {"x.npy": data[:-8]}, METHODS[method])
    assert "[x]: truncated: float32 data of shape (300, 7)" in refusal(path)
    write(path, {"x.npy": data + data}, METHODS[method])
    assert f"[x]: {len(data)} bytes follow the array of shape (300, 7)" in refusal(path)
    write(path, {"x.npy": data + b"\n"}, METHODS[method])
    source = open_source(path, "logits")
    assert_holds(source, LOGITS, 100)
    assert source.note == f"{path}[x]: 1 bytes follow the array, zeros or the end of a line"
    write(path, {"x.npy": b"no array"}, METHODS[method])
    assert "[x]: not a valid .npy header" in refusal(path)


def test_an_archive_cut_short(path):
    np.savez_compressed(path, logits=LOGITS)
    content = path.read_bytes()
    for size in (4, 100, len(content) - 1):
        path.write_bytes(content[:size])
        assert refusal(path).startswith("not a usable .npz file: ")


def test_an_encrypted_member(path):
    np.savez(path, logits=LOGITS)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        content[archive.start_dir + 8] |= 1
    path.write_bytes(content)
    assert refusal(path).startswith("[logits]: is encrypted")


def test_a_header_that_promises_more_than_the_member_has(path):
    """Nothing of the size that is promised is allocated."""
    text = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000), }"
    for method in METHODS.values():
        write(path, {"x.npy": npy(LABELS, text)}, method)
        assert "[x]: truncated: float64 data of shape (1000000000, 1000)" in refusal(path)
