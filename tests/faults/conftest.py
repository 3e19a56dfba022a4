"""A second machine for each test of this directory, beside whatever cluster runs on the first."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests import machine as machines
from tests.faults.table import Row, condition, lines
from tests.machine import Machine

ROWS: list[Row] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note what came of a condition."""
    report = yield
    if report.failed:
        ROWS.append(Row(condition(item.name), f"FAILED at its {report.when}", call.duration))
    elif report.when == "call" and report.passed:
        found = machines.told[-1:]
        ROWS.append(
            Row(condition(item.name), *(("told: " + found[0][0], found[0][1]) if found else ("works", call.duration)))
        )
    if report.when == "setup":
        machines.told.clear()
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if ROWS:
        terminalreporter.section("conditions")
        for line in lines(ROWS, sum(machines.LOST), machines.LEFT):
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def nothing_is_lost() -> Iterator[None]:
    """After every test, each machine's cluster has what it had."""
    yield
    for machine in machines.OPEN:
        assert not machine.lost()


@pytest.fixture(scope="session", autouse=True)
def root() -> None:
    """Only root can make a machine."""
    if os.getuid() != 0:
        pytest.skip("only root can make network namespaces and cgroups of its own")


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty directory with a path that is short enough for sockets below it."""
    made = Path(tempfile.mkdtemp(prefix="k8s101-"))
    yield made
    shutil.rmtree(made)


def taken_down(machine: Machine) -> None:
    """Take a machine's cluster down, and check that nothing is lost before and nothing left behind after it."""
    machines.LOST.append(machine.lost())
    assert machine.k8s101("down").returncode == 0
    machines.LEFT.extend(left := machine.leftovers())
    assert not left


@pytest.fixture
def machine(directory: Path) -> Iterator[Machine]:
    """A machine without a cluster."""
    with machines.machine(directory) as made:
        yield made
        taken_down(made)


@pytest.fixture(scope="module")
def running() -> Iterator[Machine]:
    """A machine with a cluster; tests leave it running and well."""
    made = Path(tempfile.mkdtemp(prefix="k8s101-"))
    with machines.machine(made) as machine:
        machine.up()
        yield machine
        taken_down(machine)
    shutil.rmtree(made)
