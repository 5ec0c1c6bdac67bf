"""How many threads a call gets, and that it gives the same bits whatever surrounds it."""

import os
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import calls
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import fastce
from fastce import _kernels
from fastce._dispatch import threads as _threads

THREADS_AND_DIGEST = """
import fastce
import calls
print(fastce.show_config(mode="dict")["threads"], calls.digest(), calls.digest(2))
"""
OPENMP = bool(_kernels.active.openmp())


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def test_sixteen_threads_at_once() -> None:
    first = calls.digest(1)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(calls.digest, [None, 1, 2, 3] * 8))
    assert set(found) == {first}


def test_threads_that_call_while_another_changes_limits() -> None:
    first, done = calls.digest(1), threading.Event()

    def change() -> None:
        while not done.is_set():
            for limit in (1, 2, 5):
                with threadpool_limits(limit, "openmp"):
                    calls.digest()

    with ThreadPoolExecutor(4) as pool:
        changing = [pool.submit(change) for _ in range(2)]
        try:
            found = {pool.submit(calls.digest).result() for _ in range(10)}
            found |= {calls.digest() for _ in range(5)}
        finally:
            done.set()
    assert found == {first}
    assert [task.result() for task in changing] == [None, None]


@pytest.mark.parametrize(
    ("name", "value", "most"),
    [
        ("OMP_NUM_THREADS", "1", 1),
        ("OMP_NUM_THREADS", "2", 2),
        ("OMP_NUM_THREADS", "3", 3),
        ("OMP_NUM_THREADS", "garbage", None),
        ("OMP_THREAD_LIMIT", "1", 1),
        ("OMP_DYNAMIC", "true", None),
        ("OMP_MAX_ACTIVE_LEVELS", "0", None),
    ],
)
def test_openmp_variables(name, value, most) -> None:
    # With GNU's runtime, with which CI runs it, nothing is left out.
    if value == "garbage" and "libomp" in fastce.show_config("dict")["openmp_runtime"]:
        pytest.skip("LLVM's OpenMP 19 takes memory at random for a number that it cannot read")
    threads, *found = calls.python(THREADS_AND_DIGEST, **{name: value}).split()
    assert set(found) == {calls.digest(1)}
    assert 1 <= int(threads) <= processors()
    if OPENMP and most is not None:
        assert int(threads) == min(most, _threads.max_threads())


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_affinity_of_one_processor() -> None:
    bind = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    for program in (bind + THREADS_AND_DIGEST, "import calls; calls.digest(2)\n" + bind):
        program = program if program.startswith(bind) else program + THREADS_AND_DIGEST
        threads, *found = calls.python(program).split()
        assert threads == "1"
        assert set(found) == {calls.digest(1)}


def long_call(out: np.ndarray | None = None, rows: int = 100_000) -> object:
    """Spend some tenths of a second in one kernel call, on little memory."""
    x = np.broadcast_to(np.linspace(-3, 3, 1000), (rows, 1000))
    if out is None:
        return fastce.logsumexp(x, num_threads=1)
    return fastce.logsumexp(x, out=out, num_threads=1)


def test_the_lock_of_python_is_released() -> None:
    """A Python thread counts on while a kernel runs in another."""
    times: list[float] = []

    def work() -> None:
        times.append(time.perf_counter())
        long_call()
        times.append(time.perf_counter())

    long_call(rows=1000)
    thread = threading.Thread(target=work)
    thread.start()
    ticks = []
    while thread.is_alive():
        ticks.append(time.perf_counter())
    begin, end = times
    middle = [t for t in ticks if begin + 0.1 * (end - begin) < t < end - 0.1 * (end - begin)]
    assert len(middle) > 1000


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers on this system")
def test_an_interrupt_is_delivered_after_the_call() -> None:
    """The output is complete, and the next call works."""
    true, out = long_call(), np.full(100_000, np.nan)

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    began = time.perf_counter()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(KeyboardInterrupt):
            long_call(out)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.perf_counter() - began > 0.02
    np.testing.assert_array_equal(out, true)
    np.testing.assert_array_equal(long_call(), true)


def control_group() -> tuple[Path, str, str] | None:
    """Return a folder in which a group can be made, and the files of its quota and period."""
    try:
        groups = Path("/proc/self/cgroup").read_text()
    except OSError:
        return None
    for pattern, root, quota, period in (
        (r"^\d+:(?:\w+,)*cpu(?:,\w+)*:(.*)$", "/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "50000"),
        (r"^0::(.*)$", "/sys/fs/cgroup", "cpu.max", "50000 100000"),
    ):
        for path in re.findall(pattern, groups, re.MULTILINE):
            folder = Path(root) / path.lstrip("/")
            if os.access(folder, os.W_OK) and (quota == "cpu.max" or (folder / quota).exists()):
                return folder, quota, period
    return None


@pytest.mark.skipif(control_group() is None, reason="no control group can be made here")
def test_a_real_quota() -> None:
    """Half a processor, given to the group above that of the process."""
    folder, file, value = control_group() or (Path(), "", "")
    outer = folder / f"fastce-test-{os.getpid()}"
    inner = outer / "inner"
    try:
        inner.mkdir(parents=True)
        if file == "cpu.max" and not (outer / file).exists():
            (folder / "cgroup.subtree_control").write_text("+cpu")
        (outer / file).write_text(value)
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    else:
        join = f"import os; open({str(inner / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
        threads, *found = calls.python(join + THREADS_AND_DIGEST).split()
        assert threads == "1"
        assert set(found) == {calls.digest(1)}
    finally:
        for made in (inner, outer):
            with suppress(OSError):
                made.rmdir()
