"""This module does pieces of a join in threads: NumPy and Arrow release the interpreter's lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the results of `work` for `items`, in their order, a few being worked on at a time.

    Args:
        work: What is done with each; it may not change what the others read.
        items: What is taken one after the other, in this thread, as results are.
    """
    import pyarrow as pa

    threads = max(1, pa.cpu_count())
    waiting = iter(items)
    first = list(islice(waiting, 2))
    if len(first) < 2 or threads == 1:
        yield from map(work, chain(first, waiting))
        return
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="join") as pool:
        for item in chain(first, waiting):
            pending.append(pool.submit(work, item))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
