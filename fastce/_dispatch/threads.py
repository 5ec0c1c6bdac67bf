"""How many threads a call gets."""

from __future__ import annotations

import math
import os
from functools import lru_cache

from fastce import _kernels
from fastce._validation.scalars import Integer, as_integer

# Elements for which one more thread pays (docs/decisions/0009-when-threads-pay.md).
ELEMENTS_PER_THREAD = 16384

_forked = False


def _before_fork() -> None:
    """End the threads that a child would wait for when the thread that it forked from ends."""
    _kernels.active.release_threads()


def _after_fork() -> None:
    """Remember that this is a forked child: GNU OpenMP hangs there if its parent used threads."""
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)


@lru_cache(maxsize=1)
def _quota() -> float:
    """Return the processors that control groups allow; read once, for files are slow."""
    from fastce._dispatch import (
        cgroup,  # its pathlib alone would take a third of the import of the package
    )

    return cgroup.quota()


def _processors() -> int:
    """Return how many processors the system lets this process use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def max_threads() -> int:
    """Return the most threads a call takes: OpenMP's limit, affinity and quota; 1 after a fork."""
    if _forked:
        return 1
    processors, limit = _processors(), _quota()
    if limit < processors:
        processors = math.ceil(limit)
    return max(1, min(_kernels.active.max_threads(), processors))


def threads_for(elements: int, num_threads: Integer | None) -> int:
    """Return the threads for so many elements: what the caller says, or what the work deserves."""
    if num_threads is None:
        if elements < 2 * ELEMENTS_PER_THREAD:
            return 1
        return min(max_threads(), elements // ELEMENTS_PER_THREAD)
    n = as_integer(num_threads, "num_threads", "None or an integer >= 1")
    if n < 1:
        raise ValueError(f"num_threads is {n}, accepted is None or an integer >= 1")
    return 1 if _forked else min(n, 1024)
