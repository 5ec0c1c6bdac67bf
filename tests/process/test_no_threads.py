"""Where the system lets a process start few threads, or none: calls use those that there are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import calls
import pytest

from fastce import _kernels

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="limits threads as Linux does"),
    pytest.mark.skipif(not _kernels.active.openmp(), reason="a serial build"),
]

# A pthread_create that has no more than a number of threads at a time.
PRELOADED = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct start { void* (*function)(void*); void* argument; };
static atomic_int living;

static void ended(void* unused) { atomic_fetch_sub(&living, 1); }

static void* begin(void* given) {
    struct start start = *(struct start*)given;
    void* result;
    free(given);
    pthread_cleanup_push(ended, NULL);
    result = start.function(start.argument);
    pthread_cleanup_pop(1);
    return result;
}

int pthread_create(pthread_t* thread, const pthread_attr_t* a, void* (*function)(void*), void* argument) {
    int (*real)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*) = dlsym(RTLD_NEXT, "pthread_create");
    const char* most = getenv("MOST_THREADS");
    struct start* start = malloc(sizeof *start);
    if (atomic_fetch_add(&living, 1) >= (most ? atoi(most) : 1000)) {
        atomic_fetch_sub(&living, 1);
        return EAGAIN;
    }
    start->function = function, start->argument = argument;
    return real(thread, a, begin, start);
}
"""  # noqa: E501

CALLS = """
import os, threading
import calls

first = calls.digest(1)

def limited():
    try:
        threads = [threading.Thread(target=lambda: gate.wait()) for _ in range(8)]
        gate, started = threading.Event(), []
        for thread in threads:
            thread.start()
            started.append(thread)
    except RuntimeError:
        return True
    finally:
        gate.set()
        for thread in started:
            thread.join()
    return False
"""


@pytest.fixture(scope="module")
def preloaded(tmp_path_factory) -> str:
    """Return the library that limits threads."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("preloaded")
    (folder / "few.c").write_text(PRELOADED)
    library = folder / "few.so"
    command = [compiler, "-shared", "-fPIC", "-o", library, folder / "few.c", "-ldl", "-lpthread"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"the C compiler makes no library: {made.stderr}")
    return str(library)


@pytest.mark.parametrize("most", [0, 1, 3])
@pytest.mark.parametrize("wanted", [2, 8])
def test_as_many_threads_as_can_be_started(preloaded, most, wanted) -> None:
    """Also in a thread of Python, and after threads could be started again."""
    program = f"""
{CALLS}
import ctypes
assert calls.digest({wanted}) == first
assert calls.digest({wanted}) == first
os.environ["MOST_THREADS"] = "1000"
for turn in range(3):
    assert calls.digest({wanted}) == first
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(1) as pool:
    assert pool.submit(calls.digest, {wanted}).result() == first
"""
    variables = {"OPENBLAS_NUM_THREADS": "1", "LD_PRELOAD": preloaded, "MOST_THREADS": str(most)}
    calls.python(program, **variables)


@pytest.mark.parametrize("most", [1, 2, 4])
def test_a_limit_of_the_system(most) -> None:
    """Of a user's processes, which threads are; the superuser's are not limited."""
    if most > 1 and os.geteuid():
        pytest.skip("other processes of this user count")
    found = calls.python(
        f"""
import resource
{CALLS}
if os.geteuid() == 0:
    os.setgroups([])
    os.setresuid(*3 * [60_000 + os.getpid() % 5000])  # a user who has no other processes
resource.setrlimit(resource.RLIMIT_NPROC, ({most}, {most}))
print(limited(), all(calls.digest(8) == first for turn in range(3)))
""",
        OPENBLAS_NUM_THREADS="1",
    )
    if found.startswith("False"):
        pytest.skip("this system does not limit the threads of a user")
    assert found == "True True\n"


@pytest.mark.parametrize("megabytes", [4, 20])
def test_a_limit_of_the_address_space(megabytes) -> None:
    """Stacks of threads, of 8 MB where nothing else is said, do not fit into what is left."""
    found = calls.python(
        f"""
import resource
from pathlib import Path
{CALLS}
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, 2 * (taken + {megabytes} * 2**20,))
print(all(calls.digest(8) == first for turn in range(2)))
""",
        OPENBLAS_NUM_THREADS="1",
    )
    assert found == "True\n"


@pytest.mark.parametrize("arguments", [("--threads", "8"), ("--threads", "8", "--per-class")])
def test_the_command_line_reads_in_order(preloaded, tmp_path, arguments) -> None:
    import numpy as np

    x, y = tmp_path / "x.npy", tmp_path / "y.npy"
    np.save(x, np.zeros((300_000, 8), np.float32))
    np.save(y, np.arange(300_000) % 8)
    command = [sys.executable, "-m", "fastce", "evaluate", x, y, "--json", *arguments]
    variables = {"OPENBLAS_NUM_THREADS": "1", "LD_PRELOAD": preloaded}
    for most in ("0", "1", "3"):
        found = subprocess.run(
            command, capture_output=True, text=True, check=False,
            env=os.environ | variables | {"MOST_THREADS": most},
        )  # fmt: skip
        assert (found.returncode, found.stderr) == (0, ""), most
        assert '"accuracy": 0.125' in found.stdout
