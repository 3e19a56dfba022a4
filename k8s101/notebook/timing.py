"""How long cells take, for presenters; a number that is stored changes only when it has become wrong."""

from __future__ import annotations

import time
from typing import Any

from nbformat import NotebookNode

SECONDS = "seconds"
"""The key in a cell's metadata."""

FACTOR = 2
FEW_SECONDS, MANY_SECONDS = 2, 5
"""Differences that a loaded machine makes: so much is no change, so much always is one."""


def steady(stored: Any, measured: float) -> int:
    """Return the seconds to store.

    Args:
        stored: what is stored so far, None for nothing.
        measured: what this run took, in seconds.
    """
    now = round(measured)
    if not isinstance(stored, int):
        return now
    difference = abs(now - stored)
    much = max(now, stored) > FACTOR * min(now, stored)
    return now if difference > MANY_SECONDS or (difference > FEW_SECONDS and much) else stored


class Stopwatch:
    """Writes into each cell of a run how long it took; its methods are hooks of nbclient."""

    def __init__(self) -> None:
        self._began = 0.0

    def start(self, cell: NotebookNode, cell_index: int) -> None:
        """A cell begins."""
        self._began = time.monotonic()

    def stop(self, cell: NotebookNode, cell_index: int, execute_reply: object) -> None:
        """A cell has ended."""
        cell.metadata[SECONDS] = steady(cell.metadata.get(SECONDS), time.monotonic() - self._began)
