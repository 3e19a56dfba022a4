"""kwokctl as a peer: the same binaries, simulated nodes, in a network namespace of its own.

It listens on all interfaces, so no interface of that namespace leads anywhere.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

NETWORK = "k8s101-peer"
TOOLS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok", "kwokctl")


def environment(directory: Path, paths: Mapping[str, Path]) -> dict[str, str]:
    """Return the variables with which kwokctl takes our programs and downloads none.

    Args:
        directory: where it keeps its clusters.
        paths: the path of each of TOOLS.
    """
    return {
        "KWOK_WORKDIR": str(directory),
        "KWOK_RUNTIME": "binary",
        "KWOK_ETCD_BINARY": str(paths["etcd"]),
        "KWOK_KUBE_APISERVER_BINARY": str(paths["kube-apiserver"]),
        "KWOK_KUBE_CONTROLLER_MANAGER_BINARY": str(paths["kube-controller-manager"]),
        "KWOK_KUBE_SCHEDULER_BINARY": str(paths["kube-scheduler"]),
        "KWOK_KUBECTL_BINARY": str(paths["kubectl"]),
        "KWOK_CONTROLLER_BINARY": str(paths["kwok"]),
    }


def isolate(run: Callable[[Sequence[str]], object]) -> None:
    """Give a network namespace its loopback, and a default route that kube-apiserver takes an address from.

    Args:
        run: runs `ip` with arguments in that namespace.
    """
    for line in (
        "link set lo up",
        "link add nowhere type veth peer name beyond",
        "link set beyond up",
        "link set nowhere up",
        "address add 198.51.100.2/24 dev nowhere",
        "route add default via 198.51.100.1",
    ):
        run(line.split())


class Kwokctl:
    """One cluster made by kwokctl.

    Args:
        home: directory for everything it writes.
        ensure: returns the paths of binaries.
    """

    def __init__(self, home: Path, ensure: Callable[[Iterable[str]], dict[str, Path]]) -> None:
        paths = ensure(TOOLS)
        self._command = str(paths["kwokctl"])
        self._environment = {"HOME": str(home), "PATH": os.environ["PATH"]} | environment(home, paths)

    def create(self) -> float:
        """Create the cluster and three nodes; return how long that took, in seconds."""
        subprocess.run(["ip", "netns", "add", NETWORK], check=True)
        isolate(lambda arguments: subprocess.run(["ip", "-n", NETWORK, *arguments], check=True))
        began = time.monotonic()
        self._run("create", "cluster", "--name=peer", "--wait=60s")
        self._run("scale", "node", "--name=peer", "--replicas=3")
        return time.monotonic() - began

    def processes(self) -> set[int]:
        """Return every process of the cluster."""
        answer = subprocess.run(["ip", "netns", "pids", NETWORK], capture_output=True, text=True, check=True)
        return set(map(int, answer.stdout.split()))

    def delete(self) -> None:
        """Delete the cluster and its network namespace."""
        self._run("delete", "cluster", "--name=peer")
        subprocess.run(["ip", "netns", "del", NETWORK], check=True)

    def _run(self, *arguments: str) -> None:
        command = ["nsenter", f"--net=/run/netns/{NETWORK}", self._command, *arguments]
        result = subprocess.run(command, env=self._environment, capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(f"kwokctl {' '.join(arguments)}: {result.stderr[-500:]}")
