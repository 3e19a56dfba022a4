"""The runner of `make test`: what it runs, when it ends early, what it prints last."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from k8s101.cluster.values.settings import ROOT
from tests.waiting import eventually
from tools import results, testing
from tools.place import state_dir
from tools.results import Counts, Outcome
from tools.second import Second
from tools.stage import BESIDE, FIRST, NODES, Command, Stage
from tools.stages import LONG, STAGES

GOOD = Command(("json.tool", "--help"))
BAD = Command(("no.such.module",))


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(testing, "ARTIFACTS", tmp_path)
    monkeypatch.setenv("K8S101_STATE", str(tmp_path / "state"))
    return tmp_path


def test_lanes_run_and_commands_count(artifacts: Path) -> None:
    found = testing.Run(
        [
            Stage("one", "", FIRST, 60, (GOOD,), vital=True),
            Stage("two", "", NODES, 60, (GOOD, BAD), width=2),
            Stage("builds", "", BESIDE, 60, (Command(GOOD.arguments, "made"),), niceness=19),
            Stage("three", "", NODES, 60, (Command(GOOD.arguments, after=("made",)),)),
        ],
        able=True,
    ).all()
    assert [(outcome.name, outcome.counts) for outcome in found] == [
        ("one", Counts(1)),
        ("two", Counts(1, 1)),
        ("builds", Counts(1)),
        ("three", Counts(1)),
    ]
    assert set(found[2].parts) == {"made"}
    assert [failure.splitlines()[0] for failure in found[1].counts.failures] == ["two-1"]
    assert "No module named 'no'" in found[1].counts.failures[0]
    assert "No module named 'no'" in (artifacts / "two-1.log").read_text()


def test_a_failed_vital_stage_ends_the_run(artifacts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = testing.Run(
        [
            Stage("prepare", "", FIRST, 60, (BAD,), vital=True),
            Stage("up", "", FIRST, 60, (GOOD,)),
            Stage("unit", "", BESIDE, 60, (GOOD,)),
        ],
        able=True,
    ).all()
    assert [outcome.name for outcome in found] == ["prepare"]
    assert "prepare failed: nothing after it could be right" in capsys.readouterr().out


class Beside(Second):
    """A second cluster that is told by the environment alone.

    Args:
        why_not: why it does not start, empty if it does.
    """

    def __init__(self, why_not: str) -> None:
        super().__init__()
        self.events: list[str] = []
        self._why_not = why_not

    def open(self) -> str:
        self.events.append("open")
        self.running = not self._why_not
        return self._why_not

    def close(self) -> None:
        if self.running:
            self.events.append("close")
        self.running = False

    def inside(self, arguments: Sequence[str]) -> list[str]:
        return list(arguments)


@pytest.mark.parametrize("why_not", ["", "no room"])
def test_what_must_be_alone_runs_on_both_clusters(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], why_not: str
) -> None:
    second = Beside(why_not)
    monkeypatch.setattr(testing, "Second", lambda: second)
    commands = tuple(Command(("platform",), name, alone=True) for name in "abc")
    found = testing.Run(
        [
            Stage("one", "", NODES, 60, commands, width=3, spread=True),
            Stage("two", "", NODES, 60, commands, width=3, spread=True),
            Stage("three", "", NODES, 60, (GOOD,)),
        ],
        able=True,
    ).all()
    assert [outcome.counts for outcome in found] == [Counts(3), Counts(3), Counts(1)]
    assert second.events == (["open", "open"] if why_not else ["open", "close"])
    assert ("one has one cluster, for a second one does not start: no room" in capsys.readouterr().out) == bool(why_not)


def test_why_there_is_no_second_cluster_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    second = Second("k8s101-test-none")
    monkeypatch.setenv("PATH", "")
    assert "No such file or directory: 'ip'" in second.open()
    assert not second.running
    second.close()


def test_commands_are_led_into_the_network_of_the_second_cluster() -> None:
    second = Second()
    assert second.inside(("a", "b")) == ["nsenter", "--net=/run/netns/k8s101-test-second", "--", "a", "b"]
    environment = second.environment()
    assert environment["K8S101_STATE"] == str(second.state) != str(state_dir())
    assert second.state.name == "k8s101-test-second"


INTERRUPTED = """
import signal, sys
from pathlib import Path
from tools import testing
from tools.stage import BESIDE, Command, Stage
signal.signal(signal.SIGTERM, signal.default_int_handler)
signal.signal(signal.SIGINT, signal.default_int_handler)
testing.ARTIFACTS = Path(sys.argv[1])
test = Command(("pytest", "-q", "-p", "no:cacheprovider", sys.argv[1] + "/test_it.py"))
testing.Run([Stage("one", "", BESIDE, 60, (test, test), niceness=5)], able=True).all()
"""

TAKEN_DOWN = """
import pytest
from pathlib import Path

@pytest.fixture
def made():
    Path(__file__).with_name("up").touch()
    yield
    Path(__file__).with_name("down").touch()

def test_it(made):
    import threading
    threading.Event().wait()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_ended_run_lets_its_tests_clean_up(artifacts: Path, number: signal.Signals) -> None:
    (artifacts / "test_it.py").write_text(TAKEN_DOWN)
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED, artifacts], stderr=subprocess.PIPE) as run:
        try:
            eventually("the test runs", (artifacts / "up").exists, 120)
            children = psutil.Process(run.pid).children(recursive=True)
        finally:
            # also when it does not: leaving the block waits for its end
            run.send_signal(number)
        run.communicate(timeout=60)
    assert (artifacts / "down").exists()
    assert not psutil.wait_procs(children, timeout=1)[1]


@pytest.mark.parametrize(("able", "skipped"), [(True, "theirs"), (False, "ours")])
def test_what_a_user_cannot_have_is_skipped_with_a_reason(artifacts: Path, able: bool, skipped: str) -> None:
    chosen = [Stage("ours", "", NODES, 60, (GOOD,), root=True), Stage("theirs", "", NODES, 60, (GOOD,), root=False)]
    found = {outcome.name: outcome for outcome in testing.Run(chosen, able=able).all()}
    assert found.pop(skipped).counts == Counts(skipped=1)
    assert all(outcome.counts == Counts(1) and not outcome.reason for outcome in found.values())


def test_the_counts_are_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = [
        Outcome("unit", Counts(5, 0, 2), 100, 90),
        Outcome("checks", Counts(7, 1, failures=("checks-06: test_it",)), 50, 60, {"00": 20, "06": 30}),
        Outcome("cluster", Counts(skipped=1), reason="no root"),
    ]
    assert results.summary(outcomes, 120) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "12 passed, 1 failed, 3 skipped"
    assert "failed: checks-06: test_it" in lines[-3:]
    assert "OVER BUDGET" in lines[1] and "OVER BUDGET" not in lines[2]
    assert lines[3].split() == ["06", "30", "s", "00", "20", "s"]
    assert "skipped: no root" in lines[4]


def test_every_test_that_needs_the_cluster_is_in_a_stage() -> None:
    """The stage of checks runs files by name, the stage of unit tests leaves the marked tests out."""
    marked = {path.name for path in (ROOT / "tests").rglob("*.py") if "mark.cluster" in path.read_text()}
    # tests of the cluster are one stage, marked or not
    marked -= {Path(__file__).name} | {path.name for path in (ROOT / "tests/cluster").iterdir()}
    commands = [command for stage in STAGES if stage.name in ("checks", "cells") for command in stage.commands]
    assert marked == {Path(word).name for command in commands for word in command.arguments if word.endswith(".py")}


def test_what_looks_at_the_machines_own_network_runs_in_it() -> None:
    """The pool gives the first command to the first cluster, which is not in a network of its own."""
    (stage,) = [stage for stage in STAGES if stage.name == "cluster"]
    first, second = (
        {Path(word).name for word in command.arguments if word.endswith(".py")} for command in stage.commands
    )
    files = {path.name: path.read_text() for path in (ROOT / "tests/cluster").glob("test_*.py")}
    assert first | second == files.keys() - {f"test_{name}.py" for name in LONG} and not first & second
    assert {name for name, text in files.items() if "escapes" in text} <= first
    assert all(command.alone for command in stage.commands)


def test_what_takes_long_to_build_is_built_and_tested_by_test_all_only() -> None:
    with_long = [stage for stage in STAGES for command in stage.commands if set(LONG) & set(command.arguments)]
    assert {stage.name for stage in with_long} == {"long builds"} and with_long[0].extra
    tested = {Path(word).name for command in with_long[0].commands for word in command.arguments}
    assert {f"test_{name}.py" for name in LONG} <= tested


def test_what_is_waited_for_is_built() -> None:
    (builds,) = [stage for stage in STAGES if stage.name == "builds"]
    made = {command.name for command in builds.commands}
    waited = {build for stage in STAGES for command in stage.commands for build in command.after}
    assert {"loadbalancer", "guest"} <= waited <= made


def test_a_module_waits_for_every_addon_that_one_command_enables() -> None:
    (strict,) = [stage for stage in STAGES if stage.name == "strict"]
    after = {command.name: set(command.after) for command in strict.commands}
    assert {"metrics", "prometheus", "logs"} <= after["19"]
