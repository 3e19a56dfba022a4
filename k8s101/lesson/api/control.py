"""Take parts of the cluster away, and bring them back."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from k8s101.cluster.facade import cluster
from k8s101.cluster.values.deadline import until
from k8s101.cluster.values.parts import PartName
from k8s101.errors import Problem
from k8s101.lesson.api.names import condition
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import current
from k8s101.lesson.api.wait import poll

PROCESS_SECONDS = 20
ON_NODES = ("containerd", "kubelet", "kube-proxy")
NODE_SECONDS = 60


class Part:
    """A component or node of the cluster that can be taken away and brought back; `real` does so in silence.

    Args:
        found: the cluster.
        name: as `k8s101 status` shows it.
    """

    def __init__(self, found: cluster.Cluster, name: str) -> None:
        self.name = name
        self._cluster = found
        self.real = found.part(name)

    def start(self) -> None:
        """Start it, wait until it runs, and print one line; a node is waited for until it is ready.

        A node that the cluster did not begin with is added.
        """
        if self._added:
            self._cluster.control("add_node", self.name)
        else:
            self.real.start()
        self._wait(True)
        if self._is_node:
            poll(f"node/{self.name}", node_ready, NODE_SECONDS, "Ready")
        print(f"{self.name} {'ready' if self._is_node else 'runs'}")

    def stop(self) -> None:
        """Stop it, wait until it has ended, and print one line."""
        self.real.stop()
        self._wait(False)
        print(f"{self.name} stopped")

    def kill(self) -> None:
        """Kill it, as a crash would, and print one line; what is restarted automatically comes back."""
        self.real.kill()
        print(f"{self.name} killed")

    def remove(self) -> None:
        """Take an added node out of the cluster, alive or dead, and print one line.

        Raises:
            Problem: the cluster began with it.
        """
        if not self._added:
            raise Problem(f"{self.name} belongs to the cluster", where="this cell", then="stop() and start() it")
        api = current()
        self._cluster.control("remove_node", self.name)
        self._wait(False)
        if api.get(f"node/{self.name}"):
            api.rest.call("DELETE", api.rest.resource("node").path(None, self.name))
        print(f"{self.name} removed")

    def read_key(self, key: str) -> bytes:
        """Return what etcd holds under a key, byte by byte; nothing if there is no such key.

        Raises:
            Problem: this part is not etcd.
        """
        self._must_be("etcd")
        return bytes(self._cluster.control("read_key", key))

    def save(self, file: str) -> None:
        """Write a copy of all that etcd holds into a file that only you may read, and print one line.

        Raises:
            Problem: this part is not etcd.
        """
        self._must_be("etcd")
        made = Path(self._cluster.control("snapshot"))
        try:
            with open(file, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as copy:
                copy.write(made.read_bytes())
        finally:
            made.unlink(missing_ok=True)
        print(f"etcd saved in {file}")

    def encrypt_secrets(self, enabled: bool) -> None:
        """Let the API server encrypt the Secrets that it writes, or no longer, and print one line.

        It looks at its configuration once a minute by itself; a restart saves the wait.

        Raises:
            Problem: this part is not the API server, or it does not come back.
        """
        self._must_be("kube-apiserver")
        if self._cluster.control("encrypt_secrets", enabled):
            self.real.stop()
            self._wait(False)
            self.real.start()
            api = self._cluster.api
            api.wait("the API server is ready", lambda: api.call("GET", "/readyz", timeout=2).ok, NODE_SECONDS)
        print(f"{self.name} writes Secrets {'encrypted' if enabled else 'as they are'}")

    def _must_be(self, name: str) -> None:
        if self.name != name:
            raise Problem(f"{self.name} cannot do this", where="this cell", then=f'component("{name}")')

    @property
    def running(self) -> bool:
        """Whether its process runs; parts in the hands of others count as running."""
        return self.real.running or not self._cluster.ours

    @property
    def _is_node(self) -> bool:
        return self.name.startswith("worker-") and "/" not in self.name

    @property
    def _added(self) -> bool:
        return self._is_node and self.name not in self._cluster.settings.nodes

    def _wait(self, wanted: bool) -> None:
        if not until(lambda: self.real.running is wanted, PROCESS_SECONDS):
            state = "started" if wanted else "ended"
            raise Problem(f"{self.name} has not {state}", where="the cluster", then=f"k8s101 logs {self.name}")


def component(name: str) -> Part:
    """Return a part of the cluster: `etcd`, `kube-scheduler`, `worker-1`, `worker-1/kubelet` …

    Args:
        name: as `k8s101 status` shows it; `worker-4` and up can be added.

    Raises:
        Problem: no cluster is running, or it has no such part.
    """
    found = cluster.find()
    if found is None:
        raise Problem("no cluster is running", where="this machine", then="k8s101 up")
    known = [part.name for part in found.parts()]
    if found.ours and name not in known and not _may_come(name):
        near = next(iter(get_close_matches(name, known, 1)), "")
        then = f'did you mean component("{near}")?' if near else f"one of: {', '.join(known)}"
        raise Problem(f"the cluster has no part {name!r}", where="this cell", then=then)
    return Part(found, name)


def _may_come(name: str) -> bool:
    """Tell whether it is a node that can be added, or a component of a node that does not run."""
    part = PartName.parse(name)
    return part is not None and part.node is not None and part.component in (None, *ON_NODES)


def node_ready(item: Object | None) -> str | None:
    """Return `ready` for a node that is and takes Pods again, None for others; made for `wait.poll`."""
    # the controller takes these taints away a moment after the kubelet has reported
    keys = {taint["key"] for taint in (item or {}).get("spec", {}).get("taints", [])}
    away = keys & {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    return "ready" if condition(item or {}, "Ready").get("status") == "True" and not away else None
