"""Bad input: exit status 2 and one line that names the file, the place and what was expected."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pytest
from commands import CLASSES, LAYOUTS, refused, run, save, shrink_blocks, some_rows

from fastce.readers.formats import SEVERAL


@pytest.fixture
def small_blocks(monkeypatch):
    shrink_blocks(monkeypatch)


@pytest.fixture
def case():
    return some_rows()


@pytest.fixture
def files(tmp_path, case):
    """The case as two files."""
    logits, labels = case
    return save(tmp_path / "logits.npy", logits), save(tmp_path / "labels.npy", labels)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("layout", ["C", "Fortran"])
@pytest.mark.parametrize("label", [CLASSES, -1, 2**40])
def test_label_out_of_range(capsys, tmp_path, case, layout, label):
    logits, labels = case
    labels[3, 1, 2] = label
    x = save(tmp_path / "x.npy", LAYOUTS[layout](logits))
    y = save(tmp_path / "y.npy", labels)
    assert refused(capsys, "evaluate", x, y, "--threads", 2) == (
        f"{y}: labels[3, 1, 2] is {label}, expected 0 to 6 for 7 classes, or ignored -100"
    )


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (
            (3, 4),
            (4,),
            "{y}: labels have shape (4,), expected (3,) for logits of shape (3, 4); with the "
            "classes on axis 0 they would fit",
        ),
        ((3, 4), (3, 4), "{y}: labels have shape (3, 4), expected (3,) for logits of shape (3, 4)"),
        ((), (), "{x}: logits have shape (), expected (..., classes)"),
    ],
)
def test_shapes_that_do_not_match(capsys, tmp_path, logits, labels, message):
    x = save(tmp_path / "x.npy", np.zeros(logits))
    y = save(tmp_path / "y.npy", np.zeros(labels, np.int64))
    assert refused(capsys, "evaluate", x, y) == message.format(x=x, y=y)


@pytest.mark.parametrize("dtype", ["float32", "bool", "complex64", "S3", "datetime64[s]"])
def test_labels_that_are_not_integers(capsys, tmp_path, dtype):
    x = save(tmp_path / "x.npy", np.zeros((3, 4)))
    y = save(tmp_path / "y.npy", np.zeros(3, dtype))
    name = np.dtype(dtype)
    message = refused(capsys, "evaluate", x, y)
    assert message.startswith(f"{y}: labels have dtype {name}, expected an integer dtype")
    assert ("astype(int)" in message) == (dtype == "float32")
    assert refused(capsys, "class-weights", y) == (
        f"{y}: labels have dtype {name}, expected an integer dtype"
    )


@pytest.mark.parametrize("dtype", ["int64", "complex64", "g", "bool", "S3", "V2", "f4,f4", "V0"])
def test_logits_of_no_use(capsys, tmp_path, dtype):
    x = save(tmp_path / "x.npy", np.zeros((3, 4), dtype))
    y = save(tmp_path / "y.npy", np.zeros(3, np.int64))
    message = refused(capsys, "evaluate", x, y)
    assert message.startswith(f"{x}: logits have dtype {np.dtype(dtype)}")
    assert message.endswith(", expected float32, float64, float16 or bfloat16")
    assert ("bfloat16 if" in message) == (dtype == "V2")


def test_no_classes(capsys, tmp_path):
    x = save(tmp_path / "x.npy", np.zeros((3, 0)))
    y = save(tmp_path / "y.npy", np.zeros(3, np.int64))
    assert refused(capsys, "evaluate", x, y).startswith(f"{x}: ")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(6), "weights have shape (6,), expected (7,), a weight for each class"),
        (np.ones((7, 1)), "weights have shape (7, 1), expected (7,), a weight for each class"),
        (np.array([1, 2, -3.5, 1, 1, 1, 1]), "weights[2] is -3.5, expected a finite number >= 0"),
        (np.array([1, np.nan] + 5 * [1]), "weights[1] is nan, expected a finite number >= 0"),
        (np.array(6 * [1] + [np.inf]), "weights[6] is inf, expected a finite number >= 0"),
        (np.array([1, np.longdouble("1e4000")] + 5 * [1]), "weights[1] is inf, expected a finite"),
        (np.array(7 * ["1"]), "weights have dtype <U1, expected real numbers"),
        (np.ones(7, complex), "weights have dtype complex128, expected real numbers"),
    ],
)
def test_weights_of_no_use(capsys, tmp_path, files, weights, message):
    w = save(tmp_path / "w.npy", weights)
    assert refused(capsys, "evaluate", *files, "--class-weight", w).startswith(f"{w}: {message}")


def header(text, version=(1, 0)):
    """The head of a .npy file with this dictionary."""
    length = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text.encode()


FORMAT = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}\n"

BROKEN = {
    "empty": (b"", "is empty, expected .npy, .npz"),
    "text": (b"1,2,3\n", "is text, expected .npy, .npz"),
    "magic alone": (b"\x93NUMPY", "not a valid .npy header"),
    "half a header": (header(FORMAT.format("<f8", "(3, 4)"))[:30], "not a valid .npy header"),
    "not a dictionary": (header("[1, 2]"), "not a valid .npy header"),
    "no Python": (header("{'descr': (((((("), "not a valid .npy header"),
    "unknown dtype": (header(FORMAT.format("<q9", "(3, 4)")), "not a valid .npy header"),
    "negative shape": (header(FORMAT.format("<f8", "(-3, 4)")), "shape (-3, 4) is negative"),
    "huge shape": (header(FORMAT.format("<f8", f"({2**70}, 0)")), "is not usable"),
    "many axes": (header(FORMAT.format("<f8", 70 * (1,))) + bytes(8), "is not usable"),
    "version 4": (header(FORMAT.format("<f8", "(3, 4)"), (4, 0)), "format version (4, 0)"),
    "truncated": (
        header(FORMAT.format("<f8", "(3, 4)")) + bytes(95),
        "truncated: float64 data of shape (3, 4) are 96 bytes, the file holds 95",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(capsys, tmp_path, files, name):
    contents, message = BROKEN[name]
    path = tmp_path / "broken.npy"
    path.write_bytes(contents)
    for arguments in (
        ("evaluate", path, files[1]),
        ("evaluate", files[0], path),
        ("evaluate", *files, "--class-weight", path),
        ("class-weights", path),
    ):
        found = refused(capsys, *arguments)
        assert found.startswith(f"{path}: ")
        assert message in found


def test_any_header_is_refused_or_read(capsys, tmp_path, files):
    """A damaged header never ends in a traceback."""
    good = files[0].read_bytes()
    path = tmp_path / "damaged.npy"
    rng = np.random.default_rng(3)
    for _ in range(300):
        contents = bytearray(good)
        for place in rng.integers(0, 90, rng.integers(1, 4)):
            contents[place] = rng.integers(256)
        path.write_bytes(contents)
        status, _, err = run(capsys, "evaluate", path, files[1])
        assert status in (0, 2)
        assert err.count("\n") == (status == 2)


def test_pickles_are_never_loaded(capsys, tmp_path, files):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    path = tmp_path / "objects.npy"
    np.save(path, np.array([Trap()], dtype=object), allow_pickle=True)
    message = f"{path}: holds Python objects (a pickle), which are never loaded"
    assert refused(capsys, "evaluate", path, files[1]) == message
    assert refused(capsys, "class-weights", path) == message
    archive = tmp_path / "objects.npz"
    np.savez(archive, labels=np.array([Trap()], dtype=object))
    assert "holds Python objects" in refused(capsys, "class-weights", archive)


def test_files_that_cannot_be_opened(capsys, tmp_path, files):
    missing = tmp_path / "missing.npy"
    assert refused(capsys, "evaluate", missing, files[1]) == (
        f"{missing}: No such file or directory, expected a readable file"
    )
    assert refused(capsys, "evaluate", files[0], tmp_path) == (
        f"{tmp_path}: is a directory, expected a file"
    )
    assert refused(capsys, "evaluate", files[0]) == (
        f"{files[0]}: holds no labels, expected LABELS or a {SEVERAL} with both"
    )
    assert refused(capsys, "evaluate", missing).startswith(f"{missing}: No such file")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["evaluate", "--nothing"],
        ["evaluate", "--threads", "0"],
        ["evaluate", "--threads", "two"],
        ["evaluate", "--label-smoothing", "1.5"],
        ["evaluate", "--label-smoothing", "nan"],
        ["evaluate", "--label-smoothing", "a"],
        ["evaluate", "--ignore-index", str(2**64)],
        ["class-weights"],
        ["class-weights", "x.npy", "--method", "best"],
        ["class-weights", "x.npy", "--beta", "1"],
        ["class-weights", "x.npy", "--classes", str(2**60)],
        ["class-weights", "x.npy", "--zero-weight", "-1"],
        ["class-weights", "x.npy", "--zero-weight", "inf"],
    ],
)
def test_bad_usage(capsys, arguments):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert "usage: fastce" in err
    assert "Traceback" not in err


def test_archives_refused(capsys, tmp_path, case):
    logits, labels = case
    two = tmp_path / "two.npz"
    np.savez(two, a=logits, b=labels)
    expected = f"{two}: expected one array, or one named 'logits', found a, b"
    assert refused(capsys, "evaluate", two, two) == expected
    alone = tmp_path / "alone.npz"
    np.savez(alone, logits)
    expected = f"{alone}: expected an array named 'logits', found arr_0"
    assert refused(capsys, "evaluate", alone) == expected

    packed = tmp_path / "packed.npz"
    np.savez_compressed(packed, logits=logits)
    contents = bytearray(packed.read_bytes())
    contents[len(contents) // 2] ^= 255
    packed.write_bytes(contents)
    y = save(tmp_path / "y.npy", labels)
    assert refused(capsys, "evaluate", packed, y).startswith(f"{packed}: not a usable .npz file")
    packed.write_bytes(contents[:1000])
    y = save(tmp_path / "y.npy", labels)
    assert refused(capsys, "evaluate", packed, y).startswith(f"{packed}: not a usable .npz file")

    short = tmp_path / "short.npz"
    held = io.BytesIO()
    np.save(held, logits)
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(short, "w", compression) as archive:
            archive.writestr("logits.npy", held.getvalue()[:-8])
        message = refused(capsys, "evaluate", short, y)
        assert message.startswith(f"{short}[logits]: truncated")
