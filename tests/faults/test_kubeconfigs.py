"""Kubeconfigs as people have them: used as kubectl does, or the field is named before anything is written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s101.cluster.values.settings import Settings
from k8s101.lesson.cells import files
from tests.machine import Machine, Result, assert_problem

BETWEEN = """
import socket, sys, threading
target = sys.argv[1]

def pump(one, other):
    while data := one.recv(65536):
        other.sendall(data)
    other.shutdown(socket.SHUT_WR)

def serve(line):
    address = target
    if target == "proxy":
        head = b""
        while not head.endswith(b"\\r\\n\\r\\n"):
            head += line.recv(1)
        address = head.split()[1].decode()
        line.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
        print(address, file=sys.stderr, flush=True)
    host, _, port = address.rpartition(":")
    other = socket.create_connection((host, int(port)))
    threading.Thread(target=pump, args=(other, line), daemon=True).start()
    pump(line, other)

with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""

LESSON = """
from k8s101 import connect
from k8s101.lesson.cells.bash import run
api = connect("start-here")
run("kubectl apply -f hello.yaml")
run("kubectl rollout status deployment/hello --timeout=60s")
run("kubectl get pods")
"""


@contextmanager
def between(machine: Machine, target: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Run what passes connections on to a target, or as a proxy to wherever it is asked; yield its port."""
    with machine.start(sys.executable, "-c", BETWEEN, target) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process
        finally:
            process.kill()


def written(machine: Machine, name: str, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> Path:
    """Write a kubeconfig of the cluster with something changed in its cluster and its user."""
    config = yaml.safe_load((machine.state / "kubeconfig").read_text())
    change(config["clusters"][0]["cluster"], config["users"][0]["user"])
    path = machine.directory / name
    path.write_text(yaml.safe_dump(config))
    return path


class Adopted:
    """A cluster of somebody's, as the workshop uses it.

    Args:
        machine: where the cluster runs.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.state = machine.directory / "adopted"
        self._environment = {"K8S101_STATE": str(self.state), files.WORK: str(machine.directory / "work")}

    def up(self, kubeconfig: object) -> Result:
        """Take it into use."""
        return self._machine.k8s101("up", "--yes", "--no-check", f"--kubeconfig={kubeconfig}", env=self._environment)

    def assert_serves(self, kubeconfig: object) -> None:
        """Check that a lesson runs in it, and take it out of use."""
        result = self.up(kubeconfig)
        assert result.returncode == 0, result.stderr
        result = self._machine.run(sys.executable, "-c", LESSON, env=self._environment, timeout=180)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "hello-" in result.stdout
        result = self._machine.k8s101("down", env=self._environment)
        assert result.returncode == 0, result.stderr
        assert not self.state.exists()

    def assert_refused(self, kubeconfig: object, *words: str) -> None:
        """Check that it is refused, and nothing written."""
        assert_problem(self.up(kubeconfig), *words)
        assert not self.state.exists()


@pytest.fixture
def adopted(running: Machine) -> Adopted:
    return Adopted(running)


def test_a_kubeconfig_with_tls_server_name(running: Machine, adopted: Adopted) -> None:
    with between(running, f"{Settings.load(running.state).ranges.router}:6443") as (port, _):

        def change(cluster: dict[str, Any], user: dict[str, Any]) -> None:
            cluster["server"] = f"https://127.0.0.1:{port}"
            cluster["tls-server-name"] = "kubernetes.default.svc"

        adopted.assert_serves(written(running, "named", change))


def test_a_kubeconfig_with_proxy_url(running: Machine, adopted: Adopted) -> None:
    with between(running, "proxy") as (port, process):

        def change(cluster: dict[str, Any], user: dict[str, Any]) -> None:
            cluster["proxy-url"] = f"http://127.0.0.1:{port}"

        adopted.assert_serves(written(running, "proxied", change))
        process.kill()
        assert process.stderr is not None
        assert process.stderr.read().count(f"{Settings.load(running.state).ranges.router}:6443") > 2


def test_several_files_in_kubeconfig(running: Machine, adopted: Adopted) -> None:
    whole = yaml.safe_load((running.state / "kubeconfig").read_text())
    names = []
    for key in ("current-context", "contexts", "clusters", "users"):
        path = running.directory / key
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", key: whole[key]}))
        names.append(str(path))
    wrong = yaml.safe_load((running.state / "kubeconfig").read_text())
    wrong["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (running.directory / "wrong").write_text(yaml.safe_dump(wrong))
    adopted.assert_serves(":".join([str(running.directory / "absent"), *names, str(running.directory / "wrong")]))


@pytest.mark.parametrize("field", ["as", "auth-provider", "username"])
def test_a_kubeconfig_whose_user_has_the_field(running: Machine, adopted: Adopted, field: str) -> None:
    path = written(running, field, lambda cluster, user: user.update({field: {"name": "x"}}))
    adopted.assert_refused(path, f"the field {field} of user")


def test_a_kubeconfig_with_a_socks_proxy(running: Machine, adopted: Adopted) -> None:
    path = written(running, "socks", lambda cluster, user: cluster.update({"proxy-url": "socks5://127.0.0.1:1080"}))
    adopted.assert_refused(path, "the field proxy-url", "socks5://127.0.0.1:1080")


def account(machine: Machine, name: str, *binding: str) -> Path:
    """Make a user of the cluster with some rights; return a kubeconfig."""
    machine.kubectl("create", "namespace", name)
    machine.kubectl("create", "serviceaccount", "user", f"--namespace={name}")
    machine.kubectl("create", *binding, f"--serviceaccount={name}:user")
    token = machine.kubectl("create", "token", "user", f"--namespace={name}").stdout.strip()

    def change(cluster: dict[str, Any], user: dict[str, Any]) -> None:
        user.clear()
        user["token"] = token

    return written(machine, name, change)


def test_rights_in_one_namespace_only(running: Machine, adopted: Adopted) -> None:
    path = account(running, "alone", "rolebinding", "alone", "--clusterrole=admin", "--namespace=alone")
    adopted.assert_refused(path, 'cannot list resource "nodes"', "use a context whose user may list nodes")
    running.kubectl("delete", "namespace", "alone", "--wait=false")


def test_rights_to_read_only(running: Machine, adopted: Adopted) -> None:
    running.kubectl("create", "clusterrole", "reads", "--verb=get,list,watch", "--resource=*.*")
    path = account(running, "reader", "clusterrolebinding", "reads", "--clusterrole=reads")
    adopted.assert_refused(path, "this user may not create namespaces; nothing was changed", "kubectl auth can-i")
    running.kubectl("delete", "namespace", "reader", "--wait=false")
    running.kubectl("delete", "clusterrole,clusterrolebinding", "reads")


def test_a_program_for_credentials_that_is_not_there(running: Machine, adopted: Adopted) -> None:
    def change(cluster: dict[str, Any], user: dict[str, Any]) -> None:
        user.clear()
        user["exec"] = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "nowhere-auth",
            "interactiveMode": "Never",
        }

    adopted.assert_refused(written(running, "exec", change), "nowhere-auth, which fetches the credentials")
