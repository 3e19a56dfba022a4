"""When schedules of CronJobs start their runs."""

from __future__ import annotations

import pytest

from k8s101.lesson.api.schedule import spelt, starts

OFFICE = starts("*/10 8-17 * * 1-5")


@pytest.mark.parametrize(
    "schedule",
    [
        "*/10 8-17 * * MON-FRI",
        "0,10,20,30,40,50 8-17 ? * 1,2,3,4,5",
        "0-59/10 8-12,13-17 * * mon-fri",
        "0/10 8-17 * */1 1-5",
    ],
)
def test_the_same_schedule_may_be_written_in_several_ways(schedule: str) -> None:
    assert starts(schedule) == OFFICE


@pytest.mark.parametrize(
    ("schedule", "count", "first"),
    [
        ("* * * * *", 7 * 1440, "Sunday at 00:00"),
        ("30 2 * * *", 7, "Sunday at 02:30"),
        ("@hourly", 7 * 24, "Sunday at 00:00"),
        ("@weekly", 1, "Sunday at 00:00"),
        ("5 9 * * 7", 1, "Sunday at 09:05"),
        ("*/7 12 * * 2", 9, "Tuesday at 12:00"),
    ],
)
def test_the_starts_of_a_week_are_found(schedule: str, count: int, first: str) -> None:
    found = starts(schedule)
    assert found is not None
    assert (len(found), spelt(min(found))) == (count, first)


@pytest.mark.parametrize("schedule", ["0 3 1 * *", "0 3 * 12 *", "* * * *", "@every 5m", "every minute of an hour"])
def test_what_depends_on_the_date_or_is_no_schedule_has_no_starts(schedule: str) -> None:
    assert starts(schedule) is None
