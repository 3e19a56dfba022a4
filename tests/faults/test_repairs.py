"""Clusters that were damaged, frozen, killed or started twice: a start repairs them, or says why it cannot."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from k8s101.cluster.node import router
from k8s101.cluster.values.settings import Settings
from tests.machine import Machine, assert_problem
from tests.waiting import eventually

FROZEN = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def supervisor(machine: Machine) -> psutil.Process:
    return psutil.Process(int((machine.state / "supervisord.pid").read_text()))


def parts(machine: Machine) -> dict[str, dict[str, object]]:
    found = json.loads(machine.k8s101("status", "--json").stdout)["parts"]
    return {part["name"]: part for part in found}


def test_two_starts_at_once_make_one_cluster(machine: Machine) -> None:
    starts = [machine.start_k8s101("up", "--no-check") for _ in range(2)]
    ends = [(start.communicate(timeout=240), start.returncode) for start in starts]
    assert [code for _, code in ends] == [0, 0], ends
    own = f"{machine.state}/supervisord.conf"
    supervisors = {pid for pid in machine.processes() if own in psutil.Process(pid).cmdline()}
    # nodes are forks of it
    assert sum(psutil.Process(pid).ppid() not in supervisors for pid in supervisors) == 1
    assert machine.nodes_are_ready()


def test_a_cluster_survives_a_restart_of_the_machine(machine: Machine) -> None:
    machine.up()
    assert machine.kubectl("create", "configmap", "kept").returncode == 0
    # only files survive a restart
    machine.kill_all()
    eventually("the link is gone", lambda: machine.run("ip", "link", "show", router.HOST_LINK).returncode, 10)
    machine.run("ip", "route", "flush", "type", "unreachable")
    for group in sorted(machine.cgroups(), key=len, reverse=True):
        Path(group).rmdir()
    # the number of the supervisor now belongs to somebody else
    (machine.state / "supervisord.pid").write_text(str(os.getpid()))
    assert machine.k8s101("status").returncode == 1
    machine.up()
    assert machine.kubectl("get", "configmap", "kept").returncode == 0
    assert machine.nodes_are_ready()


def test_nothing_of_a_killed_supervisor_lives_on(machine: Machine) -> None:
    machine.up()
    assert len(machine.processes()) > 15
    supervisor(machine).kill()
    eventually("all ended", lambda: not machine.processes(), 20)


def test_a_start_wakes_what_somebody_froze(running: Machine) -> None:
    found = parts(running)
    for name in FROZEN:
        os.kill(int(str(found[name]["pid"])), signal.SIGSTOP)
    (first,) = psutil.Process(int(str(found["worker-1"]["pid"]))).children()
    first.suspend()
    assert {name for name, part in parts(running).items() if part["state"] == "PAUSED"} == {*FROZEN, "worker-1"}
    running.up()
    assert {part["state"] for part in parts(running).values()} == {"RUNNING"}
    assert running.nodes_are_ready()


def test_a_frozen_supervisor_is_woken(running: Machine) -> None:
    supervisor(running).suspend()
    assert_problem(running.k8s101("stop", "kube-scheduler"), "does not answer", "k8s101 up")
    running.up()
    assert running.k8s101("status").returncode == 0


def killed_supervisor(machine: Machine) -> None:
    supervisor(machine).kill()


def lost_link(machine: Machine) -> None:
    assert machine.run("ip", "link", "delete", router.HOST_LINK).returncode == 0


def lost_files(machine: Machine) -> None:
    supervisor(machine).kill()
    Settings.load(machine.state).control_socket.unlink()
    for name in ("kubeconfig", "supervisord.conf", "cgroups.json", "pki/kube-scheduler.kubeconfig"):
        (machine.state / name).unlink()


def lost_namespaces(machine: Machine) -> None:
    for line in ("kube-system", "default"):
        machine.kubectl("delete", "pods", "--all", f"--namespace={line}", "--wait=false")
    machine.kubectl("delete", "node", "worker-2", "--wait=false")


@pytest.mark.parametrize("fault", [killed_supervisor, lost_link, lost_files])
def test_a_start_repairs(running: Machine, fault: Callable[[Machine], None]) -> None:
    fault(running)
    result = running.k8s101("up")
    assert result.returncode == 0, result.stderr
    assert "self-check: 3 nodes Ready" in result.stdout


def test_a_reset_restores_what_was_deleted(running: Machine) -> None:
    running.k8s101("up")
    running.kubectl("create", "namespace", "litter")
    for what in ("deployment/coredns", "service/kube-dns"):
        assert running.kubectl("delete", what, "--namespace=kube-system").returncode == 0
    running.kubectl("delete", "node", "worker-2", "--wait=false")
    running.kubectl("taint", "node", "worker-1", "mine=yes:NoSchedule")
    running.kubectl("label", "node", "worker-1", "disk=fast")
    assert running.k8s101("stop", "kube-scheduler", "worker-3").returncode == 0
    result = running.k8s101("reset")
    assert result.returncode == 0, result.stderr
    assert running.kubectl("get", "namespace", "litter").returncode == 1
    assert "mine" not in running.kubectl("describe", "nodes").stdout
    assert not running.kubectl("get", "nodes", "--selector=disk", "--output=name").stdout
    result = running.k8s101("up")
    assert "self-check: 3 nodes Ready" in result.stdout, result.stderr
