"""`fastce` as a process: memory, pipes, terminals, signals and start-up."""

from __future__ import annotations

import contextlib
import json
import math
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import run

import fastce

FASTCE = [sys.executable, "-m", "fastce"]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
MEGABYTE = 1 << 20


def start(*arguments, **options):
    """Start ``fastce *arguments`` with its output in pipes."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.Popen([*FASTCE, *map(str, arguments)], **options)


def finish(*arguments, **options):
    """Exit status, standard output and standard error of ``fastce *arguments``."""
    process = start(*arguments, **options)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def sparse(path, shape, dtype="<f4", order="C"):
    """Write a .npy of zeros that takes no room on the disk."""
    dtype = np.dtype(dtype)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": dtype.str, "fortran_order": order == "F", "shape": shape}
        )
        file.truncate(file.tell() + math.prod(shape) * dtype.itemsize)
    return path


def memory(process):
    """Anonymous and file-backed bytes of a running process, from /proc; zeros once it ended."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{process.pid}/status").read_text()
        found = dict(re.findall(r"(Rss\w+):\s+(\d+) kB", status))
        if found:
            return 1024 * int(found["RssAnon"]), 1024 * int(found["RssFile"])
    return 0, 0


def measured(folder, *arguments, **options):
    """Run ``fastce *arguments``; return its JSON and the largest of each kind of memory."""
    seen = [(0, 0)]
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        process = start(*arguments, "--json", stdout=out, stderr=err, **options)
        while process.poll() is None:
            seen.append(memory(process))
            time.sleep(0.002)
        out.seek(0)
        err.seek(0)
        assert (process.returncode, err.read()) == (0, "")
        return json.load(out), *map(max, zip(*seen, strict=True))


# Memory


@LINUX
@pytest.mark.parametrize(
    ("shape", "dtype", "order", "options"),
    [
        ((250_000, 2, 1000), "<f4", "C", ()),
        ((250_000, 2, 1000), "<f4", "C", ("--per-class", "--label-smoothing", "0.1")),
        ((2000, 250_000), "<f4", "C", ()),
        ((1, 2_000_000, 250), "<f4", "F", ()),
        ((1000, 500_000), "<f4", "F", ()),
        ((10_000_000, 25), ">f8", "C", ("--threads", "16")),
    ],
    ids=["rows", "classes", "large rows", "Fortran", "Fortran, many classes", "big-endian"],
)
def test_two_gigabytes_of_logits(tmp_path, shape, dtype, order, options):
    x = sparse(tmp_path / "x.npy", shape, dtype, order)
    y = sparse(tmp_path / "y.npy", shape[:-1], "<i8")
    found, anonymous, of_files = measured(tmp_path, "evaluate", x, y, *options)
    assert found["rows"] == math.prod(shape[:-1])
    assert found["loss_nats"] == pytest.approx(math.log(shape[-1]), rel=1e-6)
    assert found["accuracy"] == 1
    assert of_files > 1000 * MEGABYTE, "the file was not read through a map"
    assert 0 < anonymous < 200 * MEGABYTE


@LINUX
def test_a_gigabyte_of_labels(tmp_path):
    y = sparse(tmp_path / "y.npy", (125_000_000,), "<i8")
    found, anonymous, of_files = measured(tmp_path, "class-weights", y)
    assert found["classes"][0]["count"] == 125_000_000
    assert of_files > 500 * MEGABYTE
    assert 0 < anonymous < 200 * MEGABYTE


@LINUX
def test_a_compressed_archive_is_not_read_into_memory(tmp_path):
    packed = tmp_path / "packed.npz"
    np.savez_compressed(
        packed, logits=np.zeros((400_000, 200), np.float32), labels=np.zeros(400_000, np.uint8)
    )
    folder = tmp_path / "unpacked"
    folder.mkdir()
    environment = os.environ | {"TMPDIR": str(folder)}
    found, anonymous, of_files = measured(tmp_path, "evaluate", packed, env=environment)
    assert found["loss_nats"] == pytest.approx(math.log(200), rel=1e-6)
    assert of_files < 100 * MEGABYTE, "it is unpacked block by block"
    assert 0 < anonymous < 200 * MEGABYTE
    assert list(folder.iterdir()) == []


# Pipes and other outputs


def test_in_a_pipe():
    status, out, err = finish("evaluate", "--per-class")
    assert (status, err) == (0, "")
    assert re.search(r"^loss +0\.\d+ nats, 0\.\d+ bits$", out, re.MULTILINE)
    assert "\x1b" not in out


def test_errors_are_one_line(tmp_path):
    missing = tmp_path / "missing.npy"
    status, out, err = finish("evaluate", missing, missing)
    expected = f"{missing}: No such file or directory, expected a readable file"
    assert (status, out, err) == (2, "", f"fastce: error: {expected}\n")


def test_a_named_pipe_is_refused_at_once(tmp_path):
    fifo = tmp_path / "fifo.npy"
    os.mkfifo(fifo)
    status, _, err = finish("evaluate", fifo, fifo)
    assert status == 2
    assert err == (f"fastce: error: {fifo}: is not a regular file, so it cannot be memory-mapped\n")


@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [
        (("evaluate", "--per-class"), "1"),
        (("evaluate", "--per-class"), ""),
        (("config",), "1"),
        (("config",), ""),
        (("--help",), ""),
    ],
)
def test_a_closed_pipe_is_no_traceback(arguments, unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
        process = start(*arguments, stdout=writing, env=environment)
    finally:
        os.close(writing)
    assert process.communicate(timeout=120)[1] == ""
    assert process.returncode == 141


@LINUX
def test_a_full_disk_is_one_line():
    with Path("/dev/full").open("w") as full:
        status, _, err = finish("evaluate", stdout=full)
    assert (status, err) == (2, "fastce: error: standard output: No space left on device\n")


def test_without_standard_output():
    command = [*FASTCE, "evaluate"]
    result = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_a_name_that_the_output_cannot_encode(tmp_path):
    x, y = tmp_path / "λ\n.npy", tmp_path / "y.npy"
    np.save(x, np.zeros((2, 3)))
    np.save(y, np.zeros(2, np.int64))
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    status, out, err = finish("evaluate", x, y, env=ascii_only)
    assert (status, err) == (0, "")
    assert "\\u03bb" in out
    y.unlink()
    status, _, err = finish("evaluate", x, tmp_path / "λ\n\n.npy", env=ascii_only)
    assert (status, err.count("\n")) == (2, 1)


@LINUX
def test_interrupted(tmp_path):
    x = sparse(tmp_path / "x.npy", (2**31, 10))
    y = sparse(tmp_path / "y.npy", (2**31,), "u1")
    process = start("evaluate", x, y, "--threads", 1)
    while memory(process)[1] < 300 * MEGABYTE:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "fastce: interrupted\n")


# Terminals


def on_a_terminal(code):
    """Run Python code on a terminal; return its exit status and what the terminal got."""
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"},
    )
    os.close(inside)
    shown = b""
    # Reading a terminal whose other side is closed is an error on Linux, empty elsewhere.
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 4096):
            shown += piece
    os.close(terminal)
    return process.wait(), shown.decode()


MAIN = "import sys; from fastce.cli import main; sys.exit(main({}, bar_after={}))"
PER_CLASS = ["evaluate", "--per-class"]


def test_the_bar_appears_when_the_work_lasts():
    status, shown = on_a_terminal(MAIN.format(PER_CLASS, 0.0))
    assert status == 0
    assert "evaluating" in shown
    assert "100%" in shown
    assert shown.index("100%") < shown.index("perplexity")


def test_no_bar_when_the_work_is_short():
    status, shown = on_a_terminal(MAIN.format(PER_CLASS, 1e9))
    assert status == 0
    assert "perplexity" in shown
    assert "evaluating" not in shown


def test_the_bar_appears_after_a_second_of_work(tmp_path):
    x = sparse(tmp_path / "x.npy", (2**31, 10))
    y = sparse(tmp_path / "y.npy", (2**31,), "u1")
    code = (
        "import os, signal, sys, threading; from fastce.cli import main\n"
        "timer = threading.Timer(4, os.kill, (os.getpid(), signal.SIGINT)); timer.start()\n"
        f"sys.exit(main(['evaluate', {str(x)!r}, {str(y)!r}, '--threads', '1']))"
    )
    status, shown = on_a_terminal(code)
    assert status == 130
    assert "evaluating" in shown or "checking labels" in shown
    assert "fastce: interrupted" in shown
    assert "Traceback" not in shown


def test_other_work_has_a_bar_too(tmp_path):
    packed = tmp_path / "packed.npz"
    np.savez_compressed(packed, logits=np.eye(3), labels=np.arange(3))
    status, shown = on_a_terminal(MAIN.format(["evaluate", str(packed)], 0.0))
    assert status == 0
    assert "unpacking packed.npz" in shown
    labels = tmp_path / "labels.npy"
    np.save(labels, np.arange(3))
    status, shown = on_a_terminal(MAIN.format(["class-weights", str(labels)], 0.0))
    assert status == 0
    assert "counting" in shown


def test_json_on_a_terminal_is_nothing_but_json():
    status, shown = on_a_terminal(MAIN.format(["evaluate", "--json"], 0.0))
    assert status == 0
    assert json.loads(shown)["rows"] == 898


def test_without_rich():
    """Tables are plain text, and there is no bar."""
    code = "import sys; sys.modules['rich'] = None\n" + MAIN.format(PER_CLASS, 0.0)
    status, shown = on_a_terminal(code)
    assert status == 0
    assert "evaluating" not in shown
    assert "\x1b" not in shown
    piped = finish(*PER_CLASS)[1]
    for text in (shown.replace("\r", ""), piped):
        table = text[text.index("       class") :]
        assert len(table.splitlines()) == 11
    assert table in shown.replace("\r", "")


# Start-up


def test_modules_are_imported_where_they_are_used():
    code = (
        "import sys; from fastce.cli import main\n"
        "main(['--version']); main(['evaluate', '--threads', '1'])\n"
        "late = {'rich', 'zipfile', 'tempfile', 'concurrent.futures', 'dask'}\n"
        "late |= {'pyarrow', 'h5py', 'zarr', 'ml_dtypes', 'safetensors'}\n"
        "print(late & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "set()"


def test_version_and_help(capsys):
    assert run(capsys, "--version") == (0, f"fastce {fastce.__version__}\n", "")
    assert finish("--version") == (0, f"fastce {fastce.__version__}\n", "")
    status, out, err = finish("--help")
    assert (status, err) == (0, "")
    for command in ("evaluate", "class-weights", "config"):
        assert command in out


@LINUX
def test_a_closed_standard_error(tmp_path):
    missing = shlex.quote(str(tmp_path / "missing.npy"))
    command = f"{shlex.join(FASTCE)} evaluate {missing} {missing} --json 2>&-"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", "")
