"""Work on several threads, its results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, at_a_time: int
) -> Iterator[Result]:
    """``map(function, items)`` on several threads, with few results waiting at a time.

    Where the system lets no more threads be started, the calling thread does the work.
    """
    if threads == 1:
        yield from map(function, items)
        return
    from concurrent.futures import Future, ThreadPoolExecutor

    def map_several(several: list[Item]) -> list[Result]:
        return [function(item) for item in several]

    left = iter(items)
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[list[Result]]] = deque()
    try:
        while several := list(islice(left, at_a_time)):
            try:
                waiting.append(pool.submit(map_several, several))
            except RuntimeError:
                left = chain(several, left)
                break
            if len(waiting) > 2 * threads:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
        yield from map(function, left)
    finally:
        pool.shutdown(cancel_futures=True)
