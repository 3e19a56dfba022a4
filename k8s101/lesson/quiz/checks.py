"""Check a learner's own work against the live cluster, and help in steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from k8s101.errors import Problem
from k8s101.lesson.api.session import Api, current, interactive
from k8s101.lesson.quiz import progress
from k8s101.lesson.quiz.bank import Exercise, Finding, exercise
from k8s101.lesson.quiz.saying import say

_hints_given: dict[tuple[str, str], int] = {}


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Args:
        missing: what the learner has not begun yet, None if there is an attempt.
        findings: what was looked at, up to the first thing that is wrong.
    """

    missing: str | None
    findings: tuple[Finding, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything is as the task wants it."""
        return self.missing is None and all(finding.ok for finding in self.findings)

    @property
    def word(self) -> str:
        """The outcome in a word or two."""
        if self.missing is not None:
            return "not attempted"
        return "passed" if self.passed else "failed"

    def lines(self) -> Iterator[str]:
        """Yield one line for each finding, marked by shape and word."""
        if self.missing is not None:
            yield f"○ not attempted: {self.missing}"
        for finding in self.findings:
            yield f"{'✓' if finding.ok else '✗ not yet:'} {finding.text}"


def examine(api: Api, task: Exercise) -> Outcome:
    """Look at the cluster and tell what is as the task wants it.

    Args:
        api: the lesson.
        task: the exercise.
    """
    missing = task.attempted(api)
    if missing is not None:
        return Outcome(missing)
    findings: list[Finding] = []
    for finding in task.examine(api):
        findings.append(finding)
        if not finding.ok:
            break
    return Outcome(None, tuple(findings))


def check(name: str) -> None:
    """Check an exercise of this lesson and print what was found.

    Interactively a wrong answer is only told. Where nobody sits in front of it, it is an error.

    Args:
        name: the exercise's name.

    Raises:
        Problem: there is an attempt and it fails, and nobody watches; or there is no such exercise.
    """
    api = current()
    outcome = examine(api, exercise(api.slug, name))
    for line in outcome.lines():
        say(line)
    if interactive():
        progress.record(api.slug, "check", name, outcome.word)
        if not outcome.passed:
            print(f'  help: hint("{name}")')
    elif outcome.word == "failed":
        raise Problem(
            f"check {name}: {outcome.findings[-1].text}",
            where=f"namespace {api.namespace}",
            then=f'hint("{name}")',
        )


def hint(name: str) -> None:
    """Print the next of the three hints for an exercise of this lesson; after the last, the last again.

    Args:
        name: the exercise's name.

    Raises:
        Problem: there is no such exercise.
    """
    api = current()
    hints = exercise(api.slug, name).hints
    step = min(_hints_given.get((api.slug, name), 0) + 1, len(hints))
    _hints_given[api.slug, name] = step
    say(f"hint {step} of {len(hints)}: {hints[step - 1]}")
    if interactive():
        progress.record(api.slug, "hint", name, str(step))
