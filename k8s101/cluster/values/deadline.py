"""Waiting for something that will be so in a moment, but not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(ask: Callable[[], T], seconds: float, *, every: float = 0.1, errors: tuple[type[Exception], ...] = ()) -> T:
    """Ask again and again until the answer is true, and return it, or the last answer when the deadline has passed.

    Args:
        ask: the question.
        seconds: deadline.
        every: pause between two questions, in seconds.
        errors: exceptions that count as no; the last one is raised where the deadline passes with it.
    """
    # tenacity loads asyncio, which each node's first process would have to
    deadline = time.monotonic() + seconds
    while True:
        try:
            if (answer := ask()) or time.monotonic() >= deadline:
                return answer
        except errors:
            if time.monotonic() >= deadline:
                raise
        time.sleep(every)
