"""How far apart the starts are that the schedule of a CronJob names."""

from __future__ import annotations

import re
from itertools import pairwise

ONE_DAY = 24 * 60
"""In minutes."""


def distance(schedule: str) -> int | None:
    """Return the minutes from one start to the next; None if they are not always the same.

    Args:
        schedule: five fields, or a word (kubernetes.io/docs/concepts/workloads/controllers/cron-jobs).
    """
    words = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *"}
    if every := re.fullmatch(r"@every (\d+)m", schedule):
        return int(every[1])
    fields = words.get(schedule, schedule).split()
    if len(fields) != 5 or any(field not in ("*", "?", "*/1") for field in fields[2:]):
        return None
    starts = sorted(60 * hour + minute for hour in _field(fields[1], 24) for minute in _field(fields[0], 60))
    gaps = {later - sooner for sooner, later in pairwise([*starts, starts[0] + ONE_DAY])}
    return gaps.pop() if len(gaps) == 1 else None


def _field(text: str, size: int) -> set[int]:
    """Return the numbers that a field of a schedule stands for."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = (f"0-{size - 1}" if span in ("*", "?") else span).partition("-")
        end = int(last) if dash else size - 1 if step else int(first)
        found |= set(range(int(first), end + 1, int(step or 1)))
    return found
