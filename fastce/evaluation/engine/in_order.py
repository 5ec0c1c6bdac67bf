"""Work on several threads, its results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future
    from queue import SimpleQueue
    from threading import Thread

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, at_a_time: int
) -> Iterator[Result]:
    """``map(function, items)`` on up to so many threads, with few results waiting at a time.

    The function is called once for each item. Where the system lets fewer threads be started, those
    do the work, and where it lets none, the calling thread.
    """
    from queue import SimpleQueue

    tasks: SimpleQueue[tuple[list[Item], Future[list[Result]]] | None] = SimpleQueue()
    workers = _start(lambda: _work(function, tasks), threads) if threads > 1 else []
    if not workers:
        yield from map(function, items)
        return
    from concurrent.futures import Future

    left = iter(items)
    waiting: deque[Future[list[Result]]] = deque()
    try:
        while several := list(islice(left, at_a_time)):
            waiting.append(Future())
            tasks.put((several, waiting[-1]))
            if len(waiting) > 2 * threads:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        for _ in workers:
            tasks.put(None)
        for worker in workers:
            worker.join()


def _start(work: Callable[[], None], threads: int) -> list[Thread]:
    """Start so many threads, or as many as the system lets be started."""
    from threading import Thread

    workers = []
    for _ in range(threads):
        worker = Thread(target=work)
        try:
            worker.start()
        except RuntimeError:
            break
        workers.append(worker)
    return workers


def _work(
    function: Callable[[Item], Result],
    tasks: SimpleQueue[tuple[list[Item], Future[list[Result]]] | None],
) -> None:
    """Do tasks until there is none."""
    while (task := tasks.get()) is not None:
        several, future = task
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result([function(item) for item in several])
        except BaseException as error:  # for whoever waits for the result
            future.set_exception(error)
