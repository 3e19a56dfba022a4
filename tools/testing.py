"""`make test`: every stage, one summary, the number of tests at the end.

The notebooks' outputs are compared first, alone. Then the stages run in two lanes side by side, because tests
mostly wait: one has the cluster of real nodes, the other one, with lower priority, everything that needs none or
makes its own. Pytest stages count their tests; every other command counts as one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click

from k8s101.cluster.facade import cluster as clusters
from k8s101.cluster.node import router
from k8s101.cluster.values.settings import ROOT
from k8s101.errors import Problem

ARTIFACTS = ROOT / "artifacts"
STATE = Path("/var/lib/k8s101-test")
"""Tests have a cluster of their own and take it down at the end."""

FIRST, NODES, BESIDE = "first", "nodes", "beside"
"""The lanes: what comes before all else, what uses the cluster of real nodes, what runs beside it."""

NICENESS = 10
_speaking = threading.Lock()


@dataclass
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


@dataclass(frozen=True)
class Stage:
    """One stage of the tests.

    Args:
        name: as typed after `--only`.
        lane: with which others it runs in order.
        commands: arguments of `python -m`, or a program of this environment, one command after the other.
        extra: whether it belongs to `make test-all` only.
    """

    name: str
    lane: str
    commands: tuple[tuple[str, ...], ...]
    extra: bool = False


@dataclass
class Outcome:
    """What a stage came to."""

    name: str
    counts: Counts
    seconds: float


def _notebooks(*arguments: str) -> tuple[str, ...]:
    return ("k8s101.notebook", *arguments)


def _pytest(*arguments: str) -> tuple[str, ...]:
    return ("pytest", "-q", "--durations=5", *arguments)


GUEST = "tests/unprivileged/test_guest.py"

STAGES = (
    Stage(
        "check",
        FIRST,
        (
            ("ruff", "check", "."),
            ("ruff", "format", "--check", "."),
            ("mypy",),
            ("lint-imports",),
            _notebooks("check"),
            ("tools.pages", "--check"),
        ),
    ),
    # tests find programs and images made, users without rights find the guest, and lessons what they need more
    Stage(
        "prepare",
        FIRST,
        (
            ("k8s101.cluster.programs.binaries",),
            ("k8s101.cluster.programs.binaries", "metallb-controller", "kwok", "kwokctl"),
            ("k8s101.cluster.images.building",),
            ("k8s101.cluster.backends.kinds", "guest"),
        ),
    ),
    Stage("up", FIRST, (("k8s101.cli", "down"), ("k8s101.cli", "up"))),
    Stage("strict", FIRST, (_notebooks("test", "--strict"),)),
    Stage("checks", NODES, (_pytest("tests/notebooks", "-m", "cluster"),)),
    Stage("cluster", NODES, (_pytest("tests/cluster"),)),
    Stage("existing", NODES, (_pytest("tests/existing/test_ours.py"),)),
    Stage("papermill", NODES, (_notebooks("papermill", "00", "06"),)),
    Stage("copies", NODES, (_notebooks("papermill", "--copy"),), extra=True),
    Stage("browser", NODES, (_pytest("tests/browser"),), extra=True),
    Stage("down", NODES, (("k8s101.cli", "down"),)),
    # alone with what is niced: it has one processor, and lessons have deadlines
    Stage("guest", NODES, (_pytest(GUEST, "-s"),)),
    Stage("unit", BESIDE, (_pytest("tests/unit", "tests/notebooks", "-m", "not cluster"),)),
    Stage("unprivileged", BESIDE, (_pytest("tests/unprivileged", f"--ignore={GUEST}", "-s", "-m", "not slow"),)),
    Stage("third-party", BESIDE, (_pytest("tests/existing/test_third_party.py"),)),
    Stage("slow", BESIDE, (_pytest("tests/unprivileged", f"--ignore={GUEST}", "-m", "slow"),), extra=True),
    Stage("faults", BESIDE, (_pytest("tests/faults"),), extra=True),
)


def _run_command(stage: Stage, number: int, output: int | None) -> Counts:
    """Run one command; of pytest read the report."""
    module, *arguments = stage.commands[number]
    program = Path(sys.executable).with_name(module)
    command = [str(program), *arguments] if program.exists() else [sys.executable, "-m", module, *arguments]
    environment = dict(os.environ)
    if stage.lane == BESIDE:
        command = ["nice", "-n", str(NICENESS), *command]
        environment["K8S101_STATE"] = f"{STATE}-beside"
    report = ARTIFACTS / f"{stage.name}.xml"
    if module == "pytest":
        report.unlink(missing_ok=True)
        command.append(f"--junitxml={report}")
    good = subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=output).returncode == 0
    if module != "pytest" or not report.exists():
        return Counts(passed=int(good), failed=int(not good))
    return _counts(report, good)


def _counts(report: Path, good: bool) -> Counts:
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None, "pytest writes one suite"
    tests, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    # pytest fails without a failing test when it could not collect or was interrupted
    return Counts(tests - failed - skipped, failed or int(not good), skipped)


def _run_stage(stage: Stage) -> Outcome:
    """Run a stage; what runs beside others is printed as a whole when it has ended."""
    began = time.monotonic()
    numbers = range(len(stage.commands))
    if stage.lane != BESIDE:
        with _speaking:
            click.secho(f"\n=== {stage.name}", bold=True)
        counts = total(_run_command(stage, number, None) for number in numbers)
        return Outcome(stage.name, counts, time.monotonic() - began)
    log = ARTIFACTS / f"{stage.name}.log"
    with log.open("wb") as file:
        counts = total(_run_command(stage, number, file.fileno()) for number in numbers)
    with _speaking:
        click.secho(f"\n=== {stage.name} (beside the others)", bold=True)
        click.echo(log.read_text(errors="replace"))
    return Outcome(stage.name, counts, time.monotonic() - began)


def _run_lane(stages: Sequence[Stage]) -> list[Outcome]:
    return [_run_stage(stage) for stage in stages]


def run(names: Sequence[str] = (), *, everything: bool = False) -> int:
    """Run the stages and print a summary.

    Args:
        names: run only these stages; without names all.
        everything: also run the stages of `make test-all`.

    Returns:
        0 when nothing failed, else 1.

    Raises:
        Problem: somebody uses a cluster of real nodes on this machine.
    """
    os.environ["K8S101_STATE"] = str(STATE)
    os.environ.pop("KUBECONFIG", None)
    if any(link["ifname"] == router.HOST_LINK for link in router.query("link", "show")) and not clusters.find():
        raise Problem(
            "a cluster is running on this machine", where=router.HOST_LINK, then="k8s101 down, then make test"
        )
    ARTIFACTS.mkdir(exist_ok=True)
    stages = [s for s in STAGES if (s.name in names if names else everything or not s.extra)]
    lanes = {lane: [stage for stage in stages if stage.lane == lane] for lane in (FIRST, NODES, BESIDE)}
    try:
        outcomes = _run_lane(lanes[FIRST])
        with ThreadPoolExecutor(2) as pool:
            outcomes += [o for done in pool.map(_run_lane, (lanes[NODES], lanes[BESIDE])) for o in done]
    finally:
        if clusters.find() and not names:
            clusters.down()
    return _summary(outcomes)


def _summary(outcomes: Sequence[Outcome]) -> int:
    click.echo()
    for outcome in outcomes:
        colour = "red" if outcome.counts.failed else None
        click.secho(f"{outcome.name:14}{outcome.seconds:6.0f} s  {outcome.counts}", fg=colour)
    whole = total(outcome.counts for outcome in outcomes)
    click.echo(str(whole))
    return int(whole.failed > 0)


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
