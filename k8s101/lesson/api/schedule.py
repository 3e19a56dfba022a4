"""When the schedule of a CronJob starts a run."""

from __future__ import annotations

WORDS = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0"}
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
ANY = ("*", "?", "*/1")

Start = tuple[int, int]
"""A day of the week (0 is Sunday) and a minute of that day."""


def starts(schedule: str) -> set[Start] | None:
    """Return when a schedule starts a run in any week, None if it depends on the date or can't be read.

    Args:
        schedule: five fields, or a word (kubernetes.io/docs/concepts/workloads/controllers/cron-jobs).
    """
    fields = WORDS.get(schedule, schedule).split()
    if len(fields) != 5 or any(field not in ANY for field in fields[2:4]):
        return None
    try:
        minutes, hours = _field(fields[0], 60), _field(fields[1], 24)
        days = {day % 7 for day in _field(_numbers(fields[4]), 7)}
    except ValueError:
        return None
    return {(day, 60 * hour + minute) for day in days for hour in hours for minute in minutes}


def spelt(start: Start) -> str:
    """Return a start in words, such as `Monday at 08:00`."""
    return f"{NAMES[start[0]]} at {start[1] // 60:02}:{start[1] % 60:02}"


def _numbers(days: str) -> str:
    """Return a field with numbers instead of names of days."""
    for number, name in enumerate(DAYS):
        days = days.upper().replace(name, str(number))
    return days


def _field(text: str, size: int) -> set[int]:
    """Return the numbers that a field of a schedule stands for."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = (f"0-{size - 1}" if span in ("*", "?") else span).partition("-")
        end = int(last) if dash else size - 1 if step else int(first)
        found |= set(range(int(first), end + 1, int(step or 1)))
    return found
