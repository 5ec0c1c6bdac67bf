"""Files that change while they are read, and file systems that have no maps."""

from __future__ import annotations

import errno
import math
import os
import signal
import subprocess
import sys
import threading
import time

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import zarr
from reading import assert_holds

from fastce.readers import InputError, file, open_source

LOGITS = np.random.default_rng(6).normal(size=(5000, 10)).astype(np.float32)
POSIX = pytest.mark.skipif(os.name != "posix", reason="a mapped file cannot be cut short")


def write_hdf5(path, array, **options):
    with h5py.File(path, "w") as written:
        written.create_dataset("x", data=array, **options)


def write_arrow(path, array):
    column = pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])
    with pa.ipc.new_file(path, pa.schema([("x", column.type)])) as writer:
        writer.write_batch(pa.record_batch({"x": column}))


def write_parquet(path, array):
    column = pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])
    pq.write_table(pa.table({"x": column}), path)


WRITERS = {
    "x.npy": np.save,
    "fortran.npy": lambda path, array: np.save(path, np.asfortranarray(array)),
    "x.npz": lambda path, array: np.savez(path, x=array),
    "packed.npz": lambda path, array: np.savez_compressed(path, x=array),
    "x.safetensors": lambda path, array: safetensors.numpy.save_file({"x": array}, path),
    "x.h5": write_hdf5,
    "chunked.h5": lambda path, array: write_hdf5(path, array, chunks=(100, 10)),
    "x.arrow": write_arrow,
    "x.parquet": write_parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_is_written_again(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path, LOGITS)
    source = open_source(path, "logits")
    source.read(0, 100)
    source.check()
    size, later = path.stat().st_size, path.stat().st_mtime_ns + 1
    os.utime(path, ns=(later, later))
    with pytest.raises(InputError, match=r"changed while it was read, so there is no result"):
        source.check()
    source = open_source(path, "logits")
    replaced = tmp_path / "other"
    replaced.write_bytes(path.read_bytes())
    os.utime(replaced, ns=(later, later))
    replaced.replace(path)
    with pytest.raises(InputError, match="changed while it was read"):
        source.check()
    source = open_source(path, "logits")
    with path.open("ab") as appended:
        appended.write(b"x")
    with pytest.raises(InputError, match=rf"changed.*\({size} bytes, now {size + 1}\)"):
        source.check()
    path.unlink()
    with pytest.raises(InputError, match="No such file"):
        source.check()


def test_a_zarr_that_is_written_again(tmp_path):
    folder = tmp_path / "x.zarr"
    zarr.save_array(str(folder), LOGITS)
    source = open_source(folder, "logits")
    source.check()
    description = next(path for path in folder.iterdir() if path.name in ("zarr.json", ".zarray"))
    os.utime(description, ns=(1, 1))
    with pytest.raises(InputError, match="changed while it was read"):
        source.check()
    description.unlink()
    with pytest.raises(InputError):
        source.check()


@POSIX
@pytest.mark.parametrize("size", [0, 1, 4096, 100_000])
@pytest.mark.parametrize("name", [name for name in WRITERS if name != "packed.npz"])
def test_a_file_that_is_cut_short(tmp_path, name, size):
    """Whatever is read then: there is an error in the end, and the process lives."""
    path = tmp_path / name
    WRITERS[name](path, LOGITS)
    source = open_source(path, "logits")
    os.truncate(path, size)

    def read_all():
        for start in range(0, len(LOGITS), 100):
            np.array(source.read(start, start + 100))
        source.check()

    with pytest.raises(InputError):
        read_all()


@POSIX
def test_a_file_that_is_cut_short_under_many_threads(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.ones((1 << 20, 4), np.float32))
    source = open_source(path, "logits")
    least = []

    def read(array):
        for _ in range(40):
            least.append(float(array.min()))  # NumPy reads without holding the interpreter

    threads = [threading.Thread(target=read, args=(source.array,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.01)
    os.truncate(path, 1 << 20)
    for thread in threads:
        thread.join()
    assert least[-1] == 0, "what is not there reads as zeros"
    with pytest.raises(InputError, match="changed while it was read"):
        source.check()
    # The addresses are given back, and a map of another file there is as good as any.
    del source, threads, thread
    np.save(path, LOGITS)
    assert_holds(open_source(path, "logits"), LOGITS, 1000)


@POSIX
@pytest.mark.parametrize("size", [0, 4096])
@pytest.mark.parametrize("command", ["evaluate", "class-weights"])
def test_a_command_whose_file_is_cut_short(tmp_path, command, size):
    """One line and status 2, where the system would end the process."""
    shape = (10_000_000, 1000) if command == "evaluate" else (5_000_000_000,)
    dtype = "<f4" if command == "evaluate" else "<i8"
    path, labels = tmp_path / "x.npy", tmp_path / "y.npy"
    for each, its_shape, its_dtype in ((path, shape, dtype), (labels, shape[:1], "|i1")):
        with each.open("wb") as written:  # 40 GB that take no room, and more than a second
            np.lib.format.write_array_header_1_0(
                written, {"descr": its_dtype, "fortran_order": False, "shape": its_shape}
            )
            written.truncate(written.tell() + np.dtype(its_dtype).itemsize * math.prod(its_shape))
    files = [path, labels] if command == "evaluate" else [path]
    process = subprocess.Popen(
        [sys.executable, "-m", "fastce", command, *files, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.7)
    os.truncate(path, size)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert err.startswith(f"fastce: error: {path}: ")
    assert err.count("\n") == 1


FAULT = """
import faulthandler, mmap, os, signal, sys
import numpy as np
from fastce.readers import open_source
path = sys.argv[1]
source = open_source(path, "logits")
{before}
with open(path + "2", "wb") as file:
    file.write(bytes(8192))
with open(path + "2", "rb") as file:
    foreign = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
os.truncate(path + "2", 0)
foreign[5000]
"""


@POSIX
@pytest.mark.parametrize(
    "before", ["", "os.truncate(path, 0); source.read(0, 10).sum()", "os.kill(os.getpid(), 7)"]
)
def test_faults_of_others_stay_theirs(tmp_path, before):
    """A map that is not ours ends the process as ever, and so does a signal that is sent."""
    path = tmp_path / "x.npy"
    np.save(path, LOGITS)
    code = FAULT.format(before=before.replace("7", str(int(signal.SIGBUS))))
    found = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=False)
    assert found.returncode == -signal.SIGBUS


@POSIX
def test_faults_of_others_meet_their_own_handler(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, LOGITS)
    code = "import faulthandler; faulthandler.enable()\n" + FAULT.format(before="")
    found = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=False)
    assert found.returncode == -signal.SIGBUS
    assert b"Fatal Python error: Bus error" in found.stderr


def refuse_maps(monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(file, "mapping", refuse)


@pytest.mark.parametrize("name", WRITERS)
def test_without_maps(tmp_path, monkeypatch, name):
    """As on some network and user-space file systems."""
    path = tmp_path / name
    WRITERS[name](path, LOGITS)
    refuse_maps(monkeypatch)
    source = open_source(path, "logits")
    for height in (1000, 7, 5000):
        assert_holds(source, LOGITS, height)
    assert source.array is None or name == "x.arrow"
    if name == "x.npy":
        os.truncate(path, 4096)
        with pytest.raises(InputError, match="changed while it was read"):
            source.read(0, 5000)


def test_without_maps_and_axes(tmp_path, monkeypatch):
    refuse_maps(monkeypatch)
    for array in (
        np.float64(3),
        np.zeros((0, 3)),
        np.zeros((3, 0)),
        np.arange(24).reshape(2, 3, 4),
    ):
        for order in "CF":
            np.save(tmp_path / "x.npy", np.asarray(array, order=order))
            source = open_source(tmp_path / "x.npy", "logits")
            if array.ndim:
                assert_holds(source, array, 1)
            else:
                assert source.read(0, 1) == array


@pytest.mark.skipif(not hasattr(os, "preadv"), reason="is the way that is tested anyway")
def test_without_pread(tmp_path, monkeypatch):
    refuse_maps(monkeypatch)
    monkeypatch.delattr(os, "preadv")
    np.save(tmp_path / "x.npy", LOGITS)
    assert_holds(open_source(tmp_path / "x.npy", "logits"), LOGITS, 77)
