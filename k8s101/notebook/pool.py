"""Several runs at the same time, except for those that must be alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
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
        work: does it, and returns what came of it.
        alone: whether nothing may run beside it.
    """

    name: str
    work: Callable[[], Result]
    alone: bool = False


def run(
    tasks: Sequence[Task[Result]],
    told: Callable[[Result], object],
    *,
    width: int = AT_ONCE,
    end: Callable[[], object] = lambda: None,
) -> list[Result]:
    """Do all work: first what may stand side by side, then one by one what must be alone.

    Args:
        tasks: the work.
        told: is given each result as soon as it is there.
        width: how much is done at the same time.
        end: ends work under way, when it is given up: Ctrl-C, or an error in a task.

    Returns:
        The results, in the order of the tasks.
    """
    found: dict[int, Result] = {}

    def keep(index: int, result: Result) -> None:
        found[index] = result
        told(result)

    together = [index for index, task in enumerate(tasks) if not task.alone or width == 1]
    pool = ThreadPoolExecutor(width)
    try:
        futures = {pool.submit(tasks[index].work): index for index in together}
        for future in as_completed(futures):
            keep(futures[future], future.result())
        for index, task in enumerate(tasks):
            if index not in together:
                keep(index, pool.submit(task.work).result())
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        end()
        raise
    pool.shutdown()
    return [found[index] for index in range(len(tasks))]
