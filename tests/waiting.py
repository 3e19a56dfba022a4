"""Waiting for a condition with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

POLL_SECONDS = 0.05


def eventually(what: str, question: Callable[[], Answer], seconds: float = 30) -> Answer:
    """Ask until the answer is true, and return it.

    Args:
        what: the condition in words, for the failure.
        question: asked again and again; an assertion that fails in it, a LookupError or an OSError counts as no.
        seconds: deadline.

    Raises:
        AssertionError: the deadline passed; the last answer is named.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            if answer := question():
                return answer
            last = repr(answer)
        except (AssertionError, LookupError, OSError) as error:
            last = str(error)
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:.0f} s; last: {last}")
        time.sleep(POLL_SECONDS)
