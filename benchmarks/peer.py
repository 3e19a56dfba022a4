"""kwokctl as a peer: the same binaries, simulated nodes, in a network namespace of its own.

It listens on all interfaces, so the namespace has nothing but loopback.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

NETWORK = "k8s101-peer"
TOOLS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok", "kwokctl")


class Kwokctl:
    """One cluster made by kwokctl.

    Args:
        home: directory for everything it writes.
        ensure: returns the paths of binaries.
    """

    def __init__(self, home: Path, ensure: Callable[[Iterable[str]], dict[str, Path]]) -> None:
        paths = {name: str(path) for name, path in ensure(TOOLS).items()}
        self._command = paths["kwokctl"]
        self._environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "KWOK_WORKDIR": str(home),
            "KWOK_RUNTIME": "binary",
            "KWOK_ETCD_BINARY": paths["etcd"],
            "KWOK_KUBE_APISERVER_BINARY": paths["kube-apiserver"],
            "KWOK_KUBE_CONTROLLER_MANAGER_BINARY": paths["kube-controller-manager"],
            "KWOK_KUBE_SCHEDULER_BINARY": paths["kube-scheduler"],
            "KWOK_KUBECTL_BINARY": paths["kubectl"],
            "KWOK_CONTROLLER_BINARY": paths["kwok"],
        }

    def create(self) -> float:
        """Create the cluster and three nodes; return how long that took, in seconds."""
        subprocess.run(["ip", "netns", "add", NETWORK], check=True)
        subprocess.run(["ip", "-n", NETWORK, "link", "set", "lo", "up"], check=True)
        began = time.monotonic()
        self._run("create", "cluster", "--name=peer", "--wait=60s")
        self._run("scale", "node", "--name=peer", "--replicas=3")
        return time.monotonic() - began

    def delete(self) -> None:
        """Delete the cluster and its network namespace."""
        self._run("delete", "cluster", "--name=peer")
        subprocess.run(["ip", "netns", "del", NETWORK], check=True)

    def _run(self, *arguments: str) -> None:
        command = ["nsenter", f"--net=/run/netns/{NETWORK}", self._command, *arguments]
        result = subprocess.run(command, env=self._environment, capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(f"kwokctl {' '.join(arguments)}: {result.stderr[-500:]}")
