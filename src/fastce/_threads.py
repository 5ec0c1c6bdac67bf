"""How many threads a call gets."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from fastce import _kernels
from fastce._arguments import as_integer

# Elements for which one more thread pays: waking it costs a few microseconds.
ELEMENTS_PER_THREAD = 8192

_forked = False


def _after_fork() -> None:
    """Remember that this is a forked child: GNU OpenMP hangs there if its parent used threads."""
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@lru_cache(maxsize=1)
def _quota() -> float:
    """Return the processors that the control group allows, infinity where there is no limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()[:2]
        return float("inf") if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        folder = Path("/sys/fs/cgroup/cpu")
        quota_us = int((folder / "cpu.cfs_quota_us").read_text())
        return (
            quota_us / int((folder / "cpu.cfs_period_us").read_text())
            if quota_us > 0
            else float("inf")
        )
    except (OSError, ValueError):
        return float("inf")


def max_threads() -> int:
    """Return the most threads a call takes: OpenMP's limit, affinity and quota; 1 after a fork."""
    if _forked:
        return 1
    processors = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, int(min(_kernels.active.max_threads(), processors, -(-_quota() // 1))))


def threads_for(elements: int, num_threads: int | None) -> int:
    """Return the threads for so many elements: what the caller says, or what the work deserves."""
    if num_threads is None:
        if elements < 2 * ELEMENTS_PER_THREAD:
            return 1
        return min(max_threads(), elements // ELEMENTS_PER_THREAD)
    n = as_integer(num_threads, "num_threads", "None or an integer >= 1")
    if n < 1:
        raise ValueError(f"num_threads is {n}, accepted is None or an integer >= 1")
    return 1 if _forked else min(n, 1024)
