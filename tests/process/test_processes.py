"""Forks, child processes and subinterpreters: every one works, and computes the same bits."""

import multiprocessing
import os
import re
import warnings

import calls
import pytest

import fastce

fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

# What programs of these tests begin with: the parent uses threads, then forks.
FORKING = """
import os, threading
import calls

first = calls.digest(2)

def same():
    return all(calls.digest(n) == first for n in (None, 1, 2))

def child(work):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


@fork
def test_children_grandchildren_and_their_parent() -> None:
    calls.python(
        FORKING
        + """
assert child(same) == 0
assert child(lambda: same() and child(same) == 0) == 0, "grandchild"
assert child(lambda: child(same) == 0) == 0, "grandchild of a child that made no call"
assert calls.digest(2) == first, "parent"
"""
    )


@fork
def test_a_fork_in_a_thread_while_others_are_inside_kernels() -> None:
    calls.python(
        FORKING
        + """
done, failed = threading.Event(), []

def call():
    while not done.is_set():
        if calls.digest(2) != first:
            failed.append("a thread of the parent")

def forks():
    for turn in range(5):
        if child(same):
            failed.append(f"child {turn}")

callers = [threading.Thread(target=call) for _ in range(2)]
forker = threading.Thread(target=forks)
for thread in (*callers, forker):
    thread.start()
forker.join()
done.set()
for thread in callers:
    thread.join()
assert not failed, failed
"""
    )


@fork
@pytest.mark.skipif(
    "libomp" in fastce.show_config("dict")["openmp_runtime"],  # not GNU's, with which CI runs it
    reason="LLVM's OpenMP crashes at the end of such a child's thread, in any program",
)
def test_a_child_whose_only_thread_ends() -> None:
    """The thread that forked goes on in the child and returns: nothing is left to wait for."""
    calls.python(
        FORKING
        + """
reading, writing = os.pipe()
pids = []

def work():
    calls.digest(2)
    pid = os.fork()
    if pid:
        pids.append(pid)
    else:
        os.write(writing, b"same" if same() else b"different")

thread = threading.Thread(target=work)
thread.start()
thread.join()
assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == 0
assert os.read(reading, 99) == b"same"
""",
        timeout=60,
    )


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_multiprocessing(method) -> None:
    here = calls.digest(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # forking beside threads is the point
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map_async(calls.digest, [None, 1, 2]).get(timeout=180) == [here] * 3
    assert calls.digest(2) == here


INTERPRETER = """
import os, sys
{first}
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
program = '''
import sys, warnings
warnings.simplefilter("ignore")  # NumPy says that it does not support this
sys.path[:] = PATH
try:
    {attempt}
except Exception as error:
    outcome = type(error).__name__ + ": " + " ".join(str(error).split())
print(outcome, flush=True)
'''.replace("PATH", repr(sys.path))
run = getattr(interpreters, "exec", None) or interpreters.run_string
for turn in range(2):
    interpreter = interpreters.create()
    run(interpreter, program)
    interpreters.destroy(interpreter)
{last}
"""


# The last is what NumPy 2.2 has to say when a second interpreter imports it.
REFUSED = "ImportError: .*(interpreter|more than once per process)|RuntimeError: CPU dispatcher"


@pytest.mark.parametrize("first", [False, True], ids=["at first", "after the main interpreter"])
def test_a_subinterpreter_works_or_says_why_not(first) -> None:
    """Which of the two depends on Python and NumPy, which may load into one interpreter alone."""
    try:
        attempt = "import hashlib, signal, subprocess, numpy; outcome = 0"
        alone = calls.python(INTERPRETER.format(first="", last="", attempt=attempt)).splitlines()
    except AssertionError as error:  # Python 3.12
        pytest.skip(f"NumPy alone does not survive a second interpreter: {error}")
    call = "import calls; print(calls.digest(2), flush=True)" if first else ""
    attempt = "import calls; outcome = calls.digest(2)"
    outcomes = calls.python(INTERPRETER.format(first=call, last=call, attempt=attempt)).splitlines()
    assert len(outcomes) == (4 if first else 2)
    for outcome in outcomes[1:3] if first else outcomes:
        if outcome not in alone:  # what NumPy raises there by itself, as does 1.26 with Python 3.10
            assert outcome == calls.digest() or re.match(REFUSED, outcome), outcome
    if first:
        assert outcomes[0] == outcomes[3] == calls.digest()
