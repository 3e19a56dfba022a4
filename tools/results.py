"""What came of the tests: counted, compared with their budgets, printed."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click


@dataclass(frozen=True)
class Counts:
    """How many tests passed, failed and were skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def total(parts: Iterable[Counts]) -> Counts:
    """Add up counts."""
    known = list(parts)
    return Counts(sum(p.passed for p in known), sum(p.failed for p in known), sum(p.skipped for p in known))


def count(good: bool, report: Path | None = None) -> Counts:
    """Return the counts of a command: those of pytest's report, else the command is one test.

    Args:
        good: whether the command ended with 0.
        report: where pytest should have written its report.
    """
    if report is None or not report.exists():
        return Counts(passed=int(good), failed=int(not good))
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None, "pytest writes one suite"
    tests, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    # pytest fails without a failing test when it could not collect or was interrupted
    return Counts(tests - failed - skipped, failed or int(not good), skipped)


@dataclass(frozen=True)
class Outcome:
    """What a stage came to.

    Args:
        name: the stage.
        counts: of its tests.
        seconds: how long it took.
        budget: how long it may take, in seconds.
        parts: seconds of each command of a stage that has one for each module.
        reason: why it was skipped, empty if it ran.
    """

    name: str
    counts: Counts
    seconds: float = 0
    budget: int = 0
    parts: dict[str, float] = field(default_factory=dict)
    reason: str = ""

    def lines(self) -> Iterator[str]:
        """Return the stage's lines of the summary."""
        if self.reason:
            yield f"{self.name:14}      –          skipped: {self.reason}"
            return
        over = "  OVER BUDGET" if self.seconds > self.budget else ""
        yield f"{self.name:14}{self.seconds:6.0f} s of {self.budget:4} s  {self.counts}{over}"
        if self.parts:
            longest = sorted(self.parts.items(), key=lambda part: -part[1])
            yield " " * 14 + "  ".join(f"{name} {seconds:.0f} s" for name, seconds in longest)


def summary(outcomes: Sequence[Outcome], seconds: float) -> int:
    """Print where the time went and, as the last line, the counts.

    Args:
        outcomes: of all stages.
        seconds: how long all took together; stages ran side by side.

    Returns:
        The exit code: 0 when nothing failed, else 1.
    """
    click.echo()
    for outcome in outcomes:
        for line in outcome.lines():
            click.secho(line, fg="red" if outcome.counts.failed else None)
    click.echo(f"{'in all':14}{seconds:6.0f} s")
    whole = total(outcome.counts for outcome in outcomes)
    click.echo(str(whole))
    return int(whole.failed > 0)
