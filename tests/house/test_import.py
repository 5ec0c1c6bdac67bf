"""Importing the package changes nothing else in the process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import calls
import pytest

import fastce

SNAPSHOT = """
import atexit, faulthandler, gc, locale, logging, os, random, signal, sys, threading, warnings
import numpy as np
# What the package needs of the standard library, so that it is the package's own doing that shows.
import functools, importlib.util, math, numbers, operator, pathlib, re, typing

def listed(folder):
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

def descriptors():
    links = {}
    for name in listed("/proc/self/fd"):
        try:
            links[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass  # the one that lists the folder
    return links

def snapshot():
    return {
        "environment": dict(os.environ),
        "signal handlers": {s: signal.getsignal(s) for s in signal.valid_signals()},
        "warnings": list(warnings.filters),
        "threads": [threading.active_count(), listed("/proc/self/task")],
        "file descriptors": descriptors(),
        "sys.path": [*sys.path, "hooks", *sys.path_hooks, "finders", *sys.meta_path],
        "hooks": [sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook],
        "streams": [sys.stdin, sys.stdout, sys.stderr],
        "tracing": [sys.gettrace(), sys.getprofile(), faulthandler.is_enabled()],
        "limits": [sys.getrecursionlimit(), sys.getswitchinterval(), gc.get_threshold()],
        "atexit": atexit._ncallbacks(),
        "numpy": [np.geterr(), np.geterrcall(), np.getbufsize(), repr(np.get_printoptions())],
        "random": [random.getstate(), repr(np.random.get_state())],
        "logging": [logging.root.handlers[:], logging.root.level],
        "locale": locale.setlocale(locale.LC_ALL),
        "folder": [os.getcwd(), os.listdir(), os.umask(os.umask(0o22))],
        "affinity": os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None,
    }

def compare(before, what):
    after = snapshot()
    for name in before:
        assert after[name] == before[name], f"{what}: {name}: {before[name]} -> {after[name]}"
"""


def test_an_import_changes_nothing(tmp_path) -> None:
    out = calls.python(
        SNAPSHOT
        + f"""
os.chdir({str(tmp_path)!r})
before = snapshot()
import fastce
compare(before, "import fastce")
fastce.softmax_cross_entropy([[0.0, 1.0]], [1])
fastce.softmax([0.0, 1.0])
fastce.class_weights(fastce.class_counts([0, 1], 2))
compare(before, "a small call")
import fastce.compat.tensorflow, fastce.cli
compare(before, "import of compat and cli")
""",
        PYTHONDONTWRITEBYTECODE="1",
    )
    assert out == "", "an import prints nothing"


def test_calls_change_nothing_but_threads() -> None:
    """OpenMP keeps the threads that it has started; there are never more than were asked for."""
    calls.python(
        SNAPSHOT
        + """
import calls
before = snapshot()
for result in calls.results(2):
    pass
threads = before.pop("threads")
compare(before, "a call")
python_threads, tasks = snapshot()["threads"]
assert python_threads == threads[0]
assert len(tasks) <= len(threads[1]) + 1
"""
    )


@pytest.mark.parametrize("module", ["ml_dtypes", "rich", "threadpoolctl", "multiprocessing"])
def test_what_is_not_needed_is_not_imported(module) -> None:
    program = f"import sys, numpy; had = {module!r} in sys.modules; import fastce; "
    assert calls.python(program + f"print(had or {module!r} not in sys.modules)") == "True\n"


def test_a_second_import_is_the_same_module() -> None:
    assert sys.modules["fastce"].softmax is calls.fastce.softmax


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """Return a folder with the package as a clone has it, not compiled."""
    folder = tmp_path_factory.mktemp("clone")
    package = Path(fastce.__file__).parent
    without = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(package, folder / "fastce", ignore=without)
    return folder


@pytest.mark.parametrize("installed", [False, True], ids=["alone", "before an installed one"])
def test_a_clone_that_is_not_compiled_says_what_to_do(sources, installed) -> None:
    """In one line, whether Python is asked to import the package or to run it."""
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if installed:
        variables["PYTHONPATH"] = str(Path(fastce.__file__).parents[1])

    def run(*arguments: str) -> tuple[int, list[str]]:
        found = subprocess.run(
            [sys.executable, *arguments], cwd=sources, env=variables, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert found.stdout == ""
        return found.returncode, found.stderr.splitlines()

    what = (
        f"fastce in {sources} is not compiled for Python {sys.version_info[0]}."
        f"{sys.version_info[1]}: run 'python -m pip install -e .' there, or start Python elsewhere "
        "to use an installed fastce"
    )
    status, lines = run("-c", "import fastce")
    assert (status, lines[-1]) == (1, f"ImportError: {what}")
    assert run("-m", "fastce") == (2, [f"fastce: error: {what}"])
    assert run("-m", "fastce", "evaluate", "--json") == (2, [f"fastce: error: {what}"])
