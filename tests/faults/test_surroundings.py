"""Machines that lack something or have something in the way: an error in three parts, or a start that copes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from k8s101.cluster.programs.binaries import ensure
from tests import machine as machines
from tests.machine import K8S101, UP_SECONDS, Machine, assert_problem
from tests.production import trap
from tests.waiting import eventually


@pytest.mark.parametrize("capability", ["net_admin", "sys_admin"])
def test_a_root_without_rights_is_told_which(machine: Machine, capability: str) -> None:
    less = ("setpriv", f"--bounding-set=-{capability}", f"--inh-caps=-{capability}", "--")
    result = machine.run(*less, *K8S101, "up", "--backend", "nodes")
    assert_problem(result, f"CAP_{capability.upper()}", "--privileged")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("x" * 90, "too long"),
        ("with:colon", "unusual characters"),
        ("taken", "something else in the place"),
        ("file", "something else in the place"),
    ],
)
def test_a_place_that_cannot_hold_a_cluster(machine: Machine, place: str, words: str) -> None:
    (machine.directory / "taken").mkdir()
    (machine.directory / "taken/precious").touch()
    (machine.directory / "file").touch()
    where = str(machine.directory / place)
    assert_problem(machine.k8s101("up", env={"K8S101_STATE": where}), words, where)
    assert (machine.directory / "taken/precious").exists()
    assert (machine.directory / "file").is_file()


@contextmanager
def small_disk(place: Path, mebibytes: int) -> Iterator[None]:
    place.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(place)), check=True)
    try:
        yield
    finally:
        subprocess.run(("umount", "--lazy", str(place)), check=True)


def test_a_full_disk(machine: Machine) -> None:
    disk = machine.directory / "disk"
    with small_disk(disk, 100):
        state = disk / "state"
        result = machine.k8s101("up", env={"K8S101_STATE": str(state)})
        assert_problem(result, "MiB are free", "free some space")
        assert machine.k8s101("down", env={"K8S101_STATE": str(state)}).returncode == 0
        assert not state.exists()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"state": 1}', "\0\0\0"])
def test_damaged_settings(machine: Machine, damage: str) -> None:
    machine.state.mkdir()
    (machine.state / "settings.json").write_text(damage)
    for command in ("up", "status", "down", "reset", "logs etcd", "doctor"):
        assert_problem(machine.k8s101(*command.split()), "settings are damaged", "rm -r")
    # as it says
    shutil.rmtree(machine.state)


@pytest.mark.parametrize("command", ["reset", "stop", "stop etcd", "start etcd", "logs etcd"])
def test_commands_without_a_cluster(machine: Machine, command: str) -> None:
    assert_problem(machine.k8s101(*command.split()), "there is no cluster", "k8s101 up")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("stop nothing", "nothing is called 'nothing'"),
        ("start worker-8", "nothing is called 'worker-8'"),
        ("logs nothing", "no log of 'nothing'"),
        ("logs ../../etc/passwd", "no log of"),
        ("up --backend simulated", "a cluster of the kind nodes is here already"),
    ],
)
def test_wrong_input(running: Machine, command: str, words: str) -> None:
    assert_problem(running.k8s101(*command.split()), words)


def test_a_second_cluster_is_refused(running: Machine) -> None:
    other = running.directory / "other"
    result = running.k8s101("up", env={"K8S101_STATE": str(other)})
    assert_problem(result, "a cluster of real nodes runs on this machine already", str(running.state))
    assert not other.exists()


def test_a_second_cluster_in_a_network_of_its_own_touches_nothing(running: Machine) -> None:
    """As in two containers that share their machine's cgroups."""
    other = running.directory / "other"
    command = " ".join(K8S101)
    both = f"ip link set lo up && {command} up && {command} down"
    environment = {"K8S101_STATE": str(other)}
    result = running.run("unshare", "--net", "sh", "-c", both, env=environment, timeout=UP_SECONDS)
    assert "self-check: 3 nodes Ready" in result.stdout, result.stdout + result.stderr
    assert result.returncode == 0, result.stderr
    assert not other.exists()
    assert running.nodes_are_ready()
    assert "self-check: 3 nodes Ready" in running.k8s101("up").stdout


@pytest.fixture
def production(running: Machine) -> Iterator[Path]:
    """Somebody's production cluster, to which every usual place of a kubeconfig leads; the file has its requests."""
    with trap(running) as requests:
        yield requests


LESSON = """
from k8s101 import connect
from k8s101.lesson.cells.bash import run
api = connect("start-here")
run("kubectl apply -f hello.yaml")
run("kubectl rollout status deployment/hello --timeout=60s")
run("kubectl delete deployment hello")
run(f"kubectl delete namespace {api.namespace} --wait=false")
run("kubectl get nodes")
"""


def test_somebodys_production_cluster_sees_no_request(running: Machine, production: Path) -> None:
    surroundings = {
        "KUBECONFIG": str(running.home / ".kube/config"),
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": "1",
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "HTTP_PROXY": "http://127.0.0.1:1",
    }
    for command in ("up", "status", "reset", "stop", "start", "doctor"):
        result = running.k8s101(*command.split(), env=surroundings)
        assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    result = running.run(sys.executable, "-c", LESSON, env=surroundings, timeout=180)
    assert result.returncode == 0, result.stderr
    assert "worker-3" in result.stdout
    assert production.read_text() == ""
    # the trap works: a command that reads these places is caught
    running.run(ensure(["kubectl"])["kubectl"], "get", "pods", env={"KUBECONFIG": surroundings["KUBECONFIG"]})
    assert "/api" in production.read_text()


def test_the_control_socket_is_the_invoking_users(directory: Path) -> None:
    """What sudo does: root starts the cluster, and its files for people belong to the person who typed it."""
    person = 1000
    with machines.machine(directory) as machine:
        directory.chmod(0o755)
        environment = {"SUDO_UID": str(person), "SUDO_GID": str(person), "SUDO_USER": "person"}
        result = machine.k8s101("up", env=environment)
        assert result.returncode == 0, result.stderr
        for name in ("kubeconfig", "control.sock"):
            facts = (machine.state / name).stat()
            assert (facts.st_uid, facts.st_mode & 0o777) == (person, 0o600)
        as_person = ("setpriv", f"--reuid={person}", f"--regid={person}", "--clear-groups", "--bounding-set=-all", "--")
        result = machine.run(*as_person, *K8S101, "stop", "kube-scheduler")
        assert result.returncode == 0, result.stderr
        result = machine.run(*as_person, *K8S101, "status")
        assert "kube-scheduler            stopped" in result.stdout, result.stdout + result.stderr
        result = machine.run(*as_person, *K8S101, "start", "kube-scheduler")
        assert result.returncode == 0, result.stderr
        assert_problem(machine.run(*as_person, *K8S101, "down"), "")
        eventually("all of it runs", lambda: machine.k8s101("status").returncode == 0, 30)
        assert os.access(machine.state, os.X_OK)
