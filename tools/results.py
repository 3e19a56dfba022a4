"""What came of the tests: counted, compared with their budgets, printed."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

SAID_LINES = 40
"""How much of a failure the summary repeats."""


@dataclass(frozen=True)
class Counts:
    """How many tests passed, failed and were skipped.

    Args:
        failures: what failed, and the end of what it said.
    """

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def total(parts: Iterable[Counts]) -> Counts:
    """Add up counts."""
    known = list(parts)
    return Counts(
        sum(part.passed for part in known),
        sum(part.failed for part in known),
        sum(part.skipped for part in known),
        tuple(failure for part in known for failure in part.failures),
    )


def count(name: str, good: bool, report: Path | None = None, log: Path | None = None) -> Counts:
    """Return the counts of a command: those of pytest's report, else the command is one test.

    Args:
        name: the command, as a failure is told.
        good: whether the command ended with 0.
        report: where pytest should have written its report.
        log: what the command printed, if it was kept.
    """
    if report is None or not report.exists():
        said = log.read_text(errors="replace").splitlines()[-SAID_LINES:] if log else []
        return Counts(passed=1) if good else Counts(failed=1, failures=("\n    ".join([name, *said]),))
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None, "pytest writes one suite"
    tests, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    # pytest fails without a failing test when it could not collect or was interrupted
    failures = tuple(_failures(name, suite)) or (() if good else (f"{name}: pytest did not end well",))
    return Counts(tests - failed - skipped, failed or int(not good), skipped, failures)


def _failures(name: str, suite: ElementTree.Element) -> Iterator[str]:
    for case in suite.iter("testcase"):
        for fault in (*case.iter("failure"), *case.iter("error")):
            said = fault.get("message", "").splitlines()[:SAID_LINES]
            yield "\n    ".join([f"{name}: {case.get('classname')}::{case.get('name')}", *said])


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
    whole = total(outcome.counts for outcome in outcomes)
    for failure in whole.failures:
        click.secho(f"\nfailed: {failure}", fg="red")
    click.echo(f"{'in all':14}{seconds:6.0f} s")
    click.echo(str(whole))
    return int(whole.failed > 0)
