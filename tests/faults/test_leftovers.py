"""What commands leave behind: nothing, however they end."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from k8s101.cluster.node import router
from tests.machine import Machine
from tests.waiting import eventually

INTERRUPTED = 130
SYSCTLS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward")


def traces(machine: Machine) -> dict[str, Any]:
    """Everything that a cluster makes outside its state directory and the cache."""

    def told(*command: str) -> str:
        return machine.run(*command).stdout

    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        "processes": {" ".join(psutil.Process(pid).cmdline()) for pid in machine.processes()},
        "cgroups": machine.cgroups(),
        "mounts": [line for line in mounts if str(machine.state) in line],
        "interfaces": sorted(link["ifname"] for link in json.loads(told("ip", "-json", "link"))),
        "addresses": told("ip", "-oneline", "address"),
        "routes": told("ip", "route", "show", "table", "all"),
        "rules": told("ip", "rule"),
        "packet filter": told("nft", "list", "ruleset"),
        "namespaces": told("ip", "netns"),
        "settings": {key: Path("/proc/sys", key).read_text() for key in SYSCTLS},
        "files": sorted(map(str, [*machine.home.rglob("*"), *machine.temporary.rglob("*")])),
        "state": machine.state.exists() or Path(f"{machine.state}.lock").exists(),
    }


@pytest.fixture
def clean(machine: Machine) -> dict[str, Any]:
    """What there is before a cluster is made."""
    return traces(machine)


def test_down_leaves_nothing(machine: Machine, clean: dict[str, Any]) -> None:
    result = machine.k8s101("up")
    assert result.returncode == 0, result.stderr
    assert "self-check: 3 nodes Ready" in result.stdout
    assert traces(machine) != clean
    assert machine.k8s101("down").returncode == 0
    assert traces(machine) == clean
    assert "there is no cluster" in machine.k8s101("down").stdout


def test_stop_keeps_the_state_and_nothing_else(machine: Machine, clean: dict[str, Any]) -> None:
    machine.up()
    assert machine.k8s101("stop").returncode == 0
    after = traces(machine)
    assert after.pop("state")
    routes, rules = after.pop("routes"), after.pop("rules")
    assert "unreachable" in routes, "nothing for the cluster's addresses may leave while it is stopped"
    assert f"{router.FIRST_RULE}:" in rules, "nor may a VPN's rule let it"
    assert after == {key: value for key, value in clean.items() if key not in ("state", "routes", "rules")}
    assert machine.k8s101("status").returncode == 1
    assert machine.k8s101("down").returncode == 0
    assert traces(machine) == clean


MOMENTS: dict[str, Callable[[Machine], bool]] = {
    "before anything runs": lambda machine: True,
    "as soon as there are settings": lambda machine: (machine.state / "settings.json").exists(),
    "when the supervisor runs": lambda machine: (machine.state / "supervisord.pid").exists(),
    "when a node runs": lambda machine: any((machine.state / "nodes").glob("worker-*/own/supervisor.sock")),
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupted_start_can_be_undone(
    machine: Machine, clean: dict[str, Any], moment: str, number: signal.Signals
) -> None:
    with machine.start_k8s101("up", "--no-check") as start:
        eventually(moment, lambda: MOMENTS[moment](machine) or start.poll() is not None, 60)
        os.killpg(start.pid, number)
        _, errors = start.communicate(timeout=30)
    if number != signal.SIGKILL and MOMENTS[moment] is not MOMENTS["before anything runs"]:
        assert start.returncode == INTERRUPTED, errors
        assert "Traceback" not in errors
        assert "the same command goes on from there, k8s101 down cleans up" in errors
    assert machine.k8s101("down").returncode == 0
    after = traces(machine)
    # a command that was killed cannot take its lock file along
    if number == signal.SIGKILL:
        after["state"] = machine.state.exists()
    assert after == clean


def test_an_interrupted_start_goes_on(machine: Machine) -> None:
    with machine.start_k8s101("up", "--no-check") as start:
        eventually("the supervisor runs", lambda: MOMENTS["when the supervisor runs"](machine), 60)
        os.killpg(start.pid, signal.SIGINT)
        start.communicate(timeout=30)
    result = machine.k8s101("up")
    assert result.returncode == 0, result.stderr
    assert "self-check: 3 nodes Ready" in result.stdout
