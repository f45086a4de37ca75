"""Loading the items of a data set in a given order, ahead of their use, by any number of workers.

What comes out depends neither on the number of workers nor on timing: items come in the order asked
for, and nothing is loaded before the epoch that uses it has begun (hooks may change the data
between epochs).
"""

import collections
import concurrent.futures
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from repro_keras._src import order
from repro_keras._src.errors import DataError

_AHEAD_OF_ONE = 2  # with a single worker: an item that is used, and one that is loaded meanwhile


def one_by_one(load: Callable[[int], Any], indices: Iterable[int]) -> Iterator[Any]:
    """Loads each item when it is asked for, in the thread that asks."""
    return map(load, indices)


def by_threads(
    load: Callable[[int], Any], indices: Iterable[int], workers: int, ahead: int
) -> Iterator[Any]:
    """Loads items ahead in threads.

    Args:
        load: makes an item of its index.
        indices: the order in which items come; a finite one.
        workers: the number of threads.
        ahead: how many items at most are loaded, or being loaded, and not used yet.
    """
    pool = concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="repro_keras")
    return _in_order(pool, load, indices, ahead if workers > 1 else min(ahead, _AHEAD_OF_ONE))


def by_processes(
    load: Callable[[int], Any], indices: Iterable[int], workers: int, ahead: int
) -> Iterator[Any]:
    """Loads items ahead in processes of their own, which see the data set as it is now.

    Args:
        load: makes an item of its index; has to be picklable where processes are not forked.
        indices: the order in which items come; a finite one.
        workers: the number of processes.
        ahead: how many items at most are loaded, or being loaded, and not used yet.

    Raises:
        DataError: where a process dies.
    """
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, initializer=_begin_worker, initargs=(load,)
    )
    try:
        yield from _in_order(pool, _load_in_worker, indices, ahead)
    except concurrent.futures.process.BrokenProcessPool:
        raise DataError(
            "A worker process of the PyDataset died (out of memory, or killed), and its items with "
            "it. Use fewer workers, or use_multiprocessing=False."
        ) from None


def epochs(indices: Iterable[int], steps: int | None) -> Iterator[Iterable[int]]:
    """Cuts the indices of a pass where an epoch of `steps` items ends."""
    if steps is None:
        yield indices
        return
    rest = iter(indices)
    while part := list(itertools.islice(rest, steps)):
        yield part


def without(parts: Iterator[Iterable[int]], first: int) -> Iterator[Iterable[int]]:
    """Parts of indices without the first ones, which cost next to nothing."""
    for part in parts:
        if first:
            if isinstance(part, list) and len(part) <= first:
                first -= len(part)
                continue
            part, first = itertools.islice(part, first, None), 0
        yield part


def _in_order(pool, load, indices, ahead) -> Iterator[Any]:
    waiting: collections.deque[concurrent.futures.Future] = collections.deque()
    try:
        for index in indices:
            waiting.append(pool.submit(load, index))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            item = waiting.popleft().result()
            if not waiting:  # before the last one is used: nobody may come back after it
                pool.shutdown()
            yield item
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


_load: Callable[[int], Any] | None = None  # in a worker process: how it makes items


def _begin_worker(load: Callable[[int], Any]) -> None:
    global _load
    _load = load


def _load_in_worker(index: int):
    assert _load is not None
    return _load(index)


class SeededItems:
    """Makes items of their indices; what one draws from global generators depends on it alone.

    Args:
        dataset: what has the items.
        fit: whose data they are.
        pass_: which pass over the data it is.
    """

    def __init__(self, dataset, fit: order.Fit, pass_: int):
        self._dataset = dataset
        self._fit = fit
        self._pass = pass_

    def __call__(self, index: int):
        with order.seeded_globally(self._fit.item_seed(self._pass, index)):
            return self._dataset[index]
