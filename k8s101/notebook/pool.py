"""Several runs at the same time, except for those that must be alone on their cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

Result = TypeVar("Result")

AT_ONCE = 3
"""Notebooks mostly wait: three of them keep two processors busy."""


@dataclass(frozen=True)
class Task(Generic[Result]):
    """One piece of work.

    Args:
        name: what it is called in messages.
        work: does it on the cluster with this number, counted from 0, and returns what came of it.
        alone: whether nothing may run beside it on its cluster.
    """

    name: str
    work: Callable[[int], Result]
    alone: bool = False


def run(
    tasks: Sequence[Task[Result]],
    told: Callable[[Result], object],
    *,
    width: int = AT_ONCE,
    clusters: int = 1,
    end: Callable[[], object] = lambda: None,
) -> list[Result]:
    """Do all work: on the first cluster what may stand side by side, then one by one what must be alone.

    Other clusters begin with what must be alone. On each there is room for so many side by side that one is left
    for every other cluster.

    Args:
        tasks: the work.
        told: is given each result as soon as it is there.
        width: how much is done at the same time, on all clusters together.
        clusters: how many there are.
        end: ends work under way, when it is given up: Ctrl-C, or an error in a task.

    Returns:
        The results, in the order of the tasks.
    """
    clusters = min(clusters, width)
    room = width - (clusters - 1)
    waiting = list(range(len(tasks)))
    places: dict[Future[Result], tuple[int, int]] = {}
    found: dict[int, Result] = {}

    def alone(index: int) -> bool:
        return tasks[index].alone and room > 1

    def fitting(cluster: int) -> int | None:
        """Return which task a cluster begins next, or None if none can stand beside those that it has."""
        here = [index for index, where in places.values() if where == cluster]
        if len(here) == room or any(map(alone, here)):
            return None
        # one at a time keeps the order
        wanted = sorted(waiting, key=lambda index: alone(index) == (cluster == 0))
        return next((index for index in wanted if not (here and alone(index))), None)

    pool = ThreadPoolExecutor(width)
    try:
        while waiting or places:
            for cluster in range(clusters):
                while len(places) < width and (index := fitting(cluster)) is not None:
                    waiting.remove(index)
                    places[pool.submit(tasks[index].work, cluster)] = (index, cluster)
            done, _ = wait(places, return_when=FIRST_COMPLETED)
            for future in done:
                index, _ = places.pop(future)
                found[index] = future.result()
                told(found[index])
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        end()
        raise
    pool.shutdown()
    return [found[index] for index in range(len(tasks))]
