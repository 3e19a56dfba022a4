"""`make test`: every stage in order, one summary, the number of tests at the end.

Pytest stages count their tests; every other stage counts as one test.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from .cluster import cluster as clusters
from .cluster import router
from .cluster.settings import ROOT
from .errors import Problem

ARTIFACTS = ROOT / "artifacts"
STATE = Path("/var/lib/k8s101-test")
"""Tests have a cluster of their own and take it down at the end."""


@dataclass
class Counts:
    """How many tests passed, failed and were skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


@dataclass(frozen=True)
class Stage:
    """One stage of the tests.

    Args:
        name: as typed after `--only`.
        run: runs it and returns its counts.
        extra: whether it belongs to `make test-all` only.
    """

    name: str
    run: Callable[[], Counts]
    extra: bool = False


@dataclass
class Outcome:
    """What a stage came to."""

    name: str
    counts: Counts
    seconds: float


def _command(*command: str) -> Counts:
    """Run a command as one test."""
    good = subprocess.run(command, cwd=ROOT).returncode == 0
    return Counts(passed=int(good), failed=int(not good))


def _module(*arguments: str) -> Counts:
    return _command(sys.executable, "-m", *arguments)


def _pytest(name: str, *arguments: str) -> Counts:
    """Run pytest and read its counts from the report it writes."""
    report = ARTIFACTS / f"{name}.xml"
    report.parent.mkdir(exist_ok=True)
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", "--durations=5", *arguments]
    status = subprocess.run(command, cwd=ROOT).returncode
    if not report.exists():
        return Counts(failed=1)
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None, "pytest writes one suite"
    total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    # pytest fails without a failing test when it could not collect or was interrupted
    return Counts(total - failed - skipped, failed or int(status != 0), skipped)


def _add(*parts: Counts) -> Counts:
    return Counts(sum(p.passed for p in parts), sum(p.failed for p in parts), sum(p.skipped for p in parts))


def _check() -> Counts:
    return _add(
        _module("ruff", "check", "."),
        _module("ruff", "format", "--check", "."),
        _module("mypy"),
        _module("k8s101.notebook", "check"),
        _module("k8s101.readme", "--check"),
    )


def _prepare() -> Counts:
    return _add(_module("k8s101.cluster.binaries"), _module("k8s101.cluster.images"))


def _up() -> Counts:
    clusters.down()
    return _module("k8s101.cli", "up")


def _down() -> Counts:
    return _module("k8s101.cli", "down")


STAGES = (
    Stage("check", _check),
    # the tests of programs and images find them made
    Stage("prepare", _prepare),
    Stage("unit", lambda: _pytest("unit", "tests/unit", "tests/notebooks", "-m", "not cluster")),
    Stage("up", _up),
    Stage("strict", lambda: _module("k8s101.notebook", "test", "--strict")),
    Stage("checks", lambda: _pytest("checks", "tests/notebooks", "-m", "cluster"), extra=True),
    Stage("papermill", lambda: _module("k8s101.notebook", "papermill", "--copy"), extra=True),
    Stage("cluster", lambda: _pytest("cluster", "tests/cluster"), extra=True),
    Stage("browser", lambda: _pytest("browser", "tests/browser"), extra=True),
    Stage("down", _down),
    Stage("unprivileged", lambda: _pytest("unprivileged", "tests/unprivileged"), extra=True),
)


def run(names: Sequence[str] = (), *, everything: bool = False) -> int:
    """Run the stages and print a summary.

    Args:
        names: run only these stages; without names all.
        everything: also run the stages of `make test-all`.

    Returns:
        0 when nothing failed, else 1.
    """
    os.environ["K8S101_STATE"] = str(STATE)
    os.environ.pop("KUBECONFIG", None)
    if any(link["ifname"] == router.HOST_LINK for link in router.query("link", "show")) and not clusters.find():
        raise Problem(
            "a cluster is running on this machine", where=router.HOST_LINK, then="k8s101 down, then make test"
        )
    stages = [s for s in STAGES if (s.name in names if names else everything or not s.extra)]
    outcomes = []
    try:
        for stage in stages:
            click.secho(f"\n=== {stage.name}", bold=True)
            began = time.monotonic()
            outcomes.append(Outcome(stage.name, stage.run(), time.monotonic() - began))
    finally:
        if clusters.find() and not names:
            clusters.down()
    total = _add(*(o.counts for o in outcomes))
    click.echo()
    for outcome in outcomes:
        click.secho(
            f"{outcome.name:12}{outcome.seconds:8.0f} s  {outcome.counts}", fg="red" if outcome.counts.failed else None
        )
    click.echo(str(total))
    return int(total.failed > 0)


@click.command()
@click.option("--only", multiple=True, type=click.Choice([s.name for s in STAGES]), help="Run only this stage.")
@click.option("--all", "everything", is_flag=True, help="Also run what takes long.")
def main(only: tuple[str, ...], everything: bool) -> None:
    """Run the tests of this repository."""
    try:
        sys.exit(run(only, everything=everything))
    except Problem as problem:
        click.secho(f"error: {problem}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
