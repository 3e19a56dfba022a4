"""The table of `make faults`: each condition, what came of it, after how many seconds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

WIDTH = 76


@dataclass(frozen=True)
class Row:
    """One condition.

    Args:
        condition: in words.
        outcome: `works`, or what was told.
        seconds: until it worked, or was told.
    """

    condition: str
    outcome: str
    seconds: float


def condition(name: str) -> str:
    """Return what a test is about, from its name: `test_a_full_disk[root]` is `a full disk: root`."""
    words, _, parameter = name.removeprefix("test_").partition("[")
    return words.replace("_", " ") + (f": {parameter.removesuffix(']')}" if parameter else "")


def lines(rows: Iterable[Row], lost: int, left: Iterable[str]) -> Iterator[str]:
    """Yield the lines of the table, and the sum.

    Args:
        rows: the conditions.
        lost: how many objects were lost.
        left: what was left behind.
    """
    known, left = list(rows), list(left)
    yield f"{'condition':{WIDTH}} {'seconds':>7}  outcome"
    for row in known:
        yield f"{_short(row.condition):{WIDTH}} {row.seconds:7.1f}  {_short(row.outcome)}"
    works = sum(row.outcome == "works" for row in known)
    told = sum(row.outcome.startswith("told") for row in known)
    failed = len(known) - works - told
    yield f"{len(known)} conditions: {works} work, {told} are told, {failed} fail; " + (
        f"{lost} objects lost; left behind: {', '.join(left) or 'nothing'}"
    )


def _short(text: str) -> str:
    text = re.sub(r"/tmp/\S+", "…", " ".join(text.split()))
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
