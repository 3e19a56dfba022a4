"""The exceptions that users see, and how they read."""

from __future__ import annotations


class Problem(Exception):
    """An error in three parts: what was found, where, and what to type next.

    Args:
        found: what is wrong, one sentence without a full stop.
        where: the file, process or address where it was found.
        then: what the user types or does next.
    """

    def __init__(self, found: str, *, where: str, then: str) -> None:
        super().__init__(found)
        self.found = found
        self.where = where
        self.then = then

    def __str__(self) -> str:
        return f"{self.found}\n  where: {self.where}\n  next:  {self.then}"


class CommandFailed(Exception):
    """A command in a cell failed; what it said about that stands in the cell's output."""
