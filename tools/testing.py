"""`make test`: every stage, one summary, the number of tests at the end.

Stages run in lanes side by side, because tests mostly wait: one lane has the cluster of real nodes, the other, with
lower priority, builds what later stages need and tests what needs no cluster or makes its own. Stages whose commands
do not need each other share a second cluster of real nodes for as long as they last. Pytest counts its tests; every
other command counts as one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import click
import psutil

from k8s101.cluster.backends import nodes
from k8s101.cluster.facade import cluster as clusters
from k8s101.cluster.node import router
from k8s101.cluster.values.settings import ROOT
from k8s101.errors import Problem
from k8s101.notebook import pool
from k8s101.notebook.runs import end_children
from tools.place import state_dir
from tools.results import Counts, Outcome, count, summary, total
from tools.second import Second
from tools.stage import BESIDE, FIRST, NODES, Command, Stage
from tools.stages import STAGES

ARTIFACTS = ROOT / "artifacts"
PATIENCE_SECONDS = 60


class Run:
    """One run of stages.

    Args:
        stages: what to run, in order.
        able: whether this user can have real nodes.
    """

    def __init__(self, stages: Sequence[Stage], able: bool) -> None:
        self._stages, self._able = stages, able
        self._outcomes: list[Outcome] = []
        self._second = Second()
        self._speaking = threading.Lock()
        self._given_up = threading.Event()
        named = [command.name for stage in stages if stage.name == "builds" for command in stage.commands]
        self._made = {name: threading.Event() for name in named}

    def all(self) -> list[Outcome]:
        """Run the stages.

        Returns:
            What each came to, in the order of the stages; those after a failed vital one are missing.
        """
        lanes = ThreadPoolExecutor(2)
        try:
            if lanes.submit(self._lane, FIRST).result():
                for lane in [lanes.submit(self._lane, name) for name in (NODES, BESIDE)]:
                    lane.result()
        except BaseException:
            self._give_up()
            raise
        finally:
            lanes.shutdown()
            self._second.close()
        order = [stage.name for stage in self._stages]
        return sorted(self._outcomes, key=lambda outcome: order.index(outcome.name))

    def _give_up(self) -> None:
        """End what runs; tests get time to take down the clusters that they have made."""
        self._given_up.set()
        children = psutil.Process().children()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.send_signal(signal.SIGINT)
        psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
        end_children()

    def _lane(self, lane: str) -> bool:
        """Run a lane's stages; tell whether the others may go on."""
        for stage in self._stages:
            if stage.lane != lane or self._given_up.is_set():
                continue
            outcome = self._stage(stage)
            self._outcomes.append(outcome)
            if stage.vital and outcome.counts.failed:
                self._say(f"\n{stage.name} failed: nothing after it could be right, so the run ends here", red=True)
                return False
        return True

    def _stage(self, stage: Stage) -> Outcome:
        if reason := stage.reason_to_skip(self._able):
            return Outcome(stage.name, Counts(skipped=1), reason=reason)
        direct = stage.lane != BESIDE and stage.width == 1
        if direct:
            self._say(f"\n=== {stage.name}")
        began = time.monotonic()
        if stage.lane == NODES:
            self._open_or_close_second(stage)
        parts: dict[str, float] = {}

        def work(number: int, cluster: int) -> Counts:
            started = time.monotonic()
            counts = self._command(stage, number, direct, second=cluster == 1)
            if name := stage.commands[number].name:
                parts[name] = time.monotonic() - started
            return counts

        tasks = [
            pool.Task(f"{stage.name} {command.name}", partial(work, number), command.alone)
            for number, command in enumerate(stage.commands)
        ]
        clusters = 2 if stage.lane == NODES and self._second.running else 1
        counts = total(pool.run(tasks, lambda _: None, width=stage.width, clusters=clusters))
        return Outcome(stage.name, counts, time.monotonic() - began, stage.budget, parts)

    def _open_or_close_second(self, stage: Stage) -> None:
        if not stage.spread:
            self._second.close()
        elif not self._second.running and not self._given_up.is_set() and (reason := self._second.open()):
            self._say(f"\n{stage.name} has one cluster, for a second one does not start: {reason}")

    def _command(self, stage: Stage, number: int, direct: bool, second: bool) -> Counts:
        """Run one command; what runs beside others is printed as a whole when it has ended."""
        command = stage.commands[number]
        for build in command.after:
            if build in self._made:
                self._made[build].wait()
        which = command.name or (str(number) if number else "")
        name = "-".join(word for word in (stage.name, which) if word).replace(" ", "-")
        report = ARTIFACTS / f"{name}.xml" if command.arguments[0] == "pytest" else None
        if report:
            report.unlink(missing_ok=True)
        arguments = [*command_line(command), *([f"--junitxml={report}"] if report else [])]
        began = time.monotonic()
        log = None if direct else ARTIFACTS / f"{name}.log"
        if log is None:
            good = self._run(stage, arguments, None, second)
        else:
            with log.open("wb") as file:
                good = self._run(stage, arguments, file.fileno(), second)
            heading = f"\n=== {name} ({time.monotonic() - began:.0f} s)\n"
            self._say(heading + log.read_text(errors="replace").rstrip())
        if command.name in self._made:
            self._made[command.name].set()
        return count(name, good, report, log)

    def _run(self, stage: Stage, arguments: Sequence[str], output: int | None, second: bool) -> bool:
        environment = dict(os.environ)
        if second:
            arguments, environment = self._second.inside(arguments), self._second.environment()
        if stage.lane == BESIDE:
            environment["K8S101_STATE"] += "-beside"
        if self._given_up.is_set():
            return False
        process = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=stage.niceness > 0,
        )
        if stage.niceness:
            stand_back(process.pid, stage.niceness)
        return process.wait() == 0

    def _say(self, text: str, *, red: bool = False) -> None:
        with self._speaking:
            click.secho(text, fg="red" if red else None)
            sys.stdout.flush()


def command_line(command: Command) -> list[str]:
    """Return a command as the system takes it."""
    module, *arguments = command.arguments
    program = Path(sys.executable).with_name(module)
    return [str(program), *arguments] if module == "lint-imports" else [sys.executable, "-m", module, *arguments]


def stand_back(pid: int, niceness: int) -> None:
    """Let a process, which leads a session, wait for others: for processors and for disks.

    Args:
        pid: the process; those that it starts do the same.
        niceness: 1 to 19, as of nice(1).
    """
    with contextlib.suppress(OSError, psutil.Error):
        process = psutil.Process(pid)
        process.nice(niceness)
        process.ionice(psutil.IOPRIO_CLASS_IDLE)
        # Linux compares sessions first, processes within them second
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))


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
    os.environ["K8S101_STATE"] = str(state_dir())
    os.environ.pop("KUBECONFIG", None)
    able = nodes.possible()
    wanted = [s for s in STAGES if (s.name in names if names else everything or not s.extra)]
    # what users without rights need is a stage of its own only for them
    stages = [s for s in wanted if s.root is not False or not able]
    if able and any(s.root for s in stages):
        _refuse_second()
    ARTIFACTS.mkdir(exist_ok=True)
    began = time.monotonic()
    try:
        outcomes = Run(stages, able).all()
    finally:
        if not names and clusters.find():
            clusters.down()
    return summary(outcomes, time.monotonic() - began)


def _refuse_second() -> None:
    if any(link["ifname"] == router.HOST_LINK for link in router.query("link", "show")) and not clusters.find():
        raise Problem(
            "a cluster is running on this machine", where=router.HOST_LINK, then="k8s101 down, then make test"
        )


@click.command()
@click.option("--only", multiple=True, type=click.Choice([s.name for s in STAGES]), help="Run only this stage.")
@click.option("--all", "everything", is_flag=True, help="Also run what takes long.")
def main(only: tuple[str, ...], everything: bool) -> None:
    """Run the tests of this repository."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        sys.exit(run(only, everything=everything))
    except Problem as problem:
        click.secho(f"error: {problem}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
