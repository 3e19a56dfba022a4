"""Waiting for something that will be so in a moment, but not for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tenacity import Retrying, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

T = TypeVar("T")


def until(ask: Callable[[], T], seconds: float, *, every: float = 0.1, errors: tuple[type[Exception], ...] = ()) -> T:
    """Ask again and again until the answer is true, and return it, or the last answer when the deadline has passed.

    Args:
        ask: the question.
        seconds: deadline.
        every: pause between two questions, in seconds.
        errors: exceptions that count as no; the last one is raised where the deadline passes with it.
    """
    retry = Retrying(
        stop=stop_after_delay(seconds),
        wait=wait_fixed(every),
        retry=retry_if_result(lambda answer: not answer) | retry_if_exception_type(errors),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    return retry(ask)
