"""A part of a running cluster: one component or one node."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from k8s101.cluster.values.deadline import until
from k8s101.cluster.values.settings import Settings
from k8s101.errors import Problem

if TYPE_CHECKING:
    from k8s101.cluster.facade.cluster import Cluster


API_SERVER = "kube-apiserver"
CLIENTS = {"kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kwok"}
"""What acts on what the API server tells."""

API_SECONDS = 60


class Part:
    """A part of the cluster that can be stopped and started.

    Args:
        cluster: the cluster.
        name: as in `PartState`.
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.name = name
        self._cluster = cluster

    def start(self) -> None:
        """Start it; with the API server its clients start anew.

        A client that was refused doubles its pauses up to a minute, and keeps them for two
        (client-go, tools/cache/reflector.go): the cluster would come back much later than its API.
        """
        self._cluster.control("start", self.name)
        if self.name == API_SERVER:
            api = self._cluster.api
            api.wait("API server answers", api.ready, API_SECONDS)
            clients = [p.name for p in self._cluster.processes() if p.pid and p.name.rpartition("/")[2] in CLIENTS]
            before = {p.name: p.pid for p in self._cluster.processes()}
            with ThreadPoolExecutor(len(clients) or 1) as pool:
                list(pool.map(self._restart, clients))
            # who is stopped between its end and its new start would be started all the same
            until(lambda: self._run_anew(clients, before), API_SECONDS)

    def _run_anew(self, names: list[str], before: dict[str, int]) -> bool:
        now = {part.name: part.pid for part in self._cluster.processes()}
        return all(now.get(name) not in (None, 0, before.get(name)) for name in names)

    def _restart(self, name: str) -> None:
        for verb in ("kill", "start"):
            self._cluster.control(verb, name)

    def stop(self) -> None:
        """Stop it in good order."""
        self._cluster.control("stop", self.name)

    def kill(self) -> None:
        """Kill it, as a crash would; what is restarted automatically comes back."""
        self._cluster.control("kill", self.name)

    def pause(self) -> None:
        """Freeze it without ending it."""
        self._cluster.control("pause", self.name)

    def resume(self) -> None:
        """Let it run on after `pause`."""
        self._cluster.control("resume", self.name)

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return any(p.name == self.name and p.state in ("RUNNING", "STARTING") for p in self._cluster.processes())


def log_file(settings: Settings, name: str) -> Path:
    """Return the log of a component (`etcd`), node (`worker-1`) or node's component (`worker-1/kubelet`).

    Raises:
        Problem: there is no such log.
    """
    node, _, component = name.partition("/")
    places = (settings.logs, settings.guest_logs)
    paths = [settings.node_dir(node) / "var/log" / f"{component}.log"] if component else []
    paths = paths or [place / f"{node}.log" for place in places]
    path = next(filter(Path.is_file, paths), paths[0])
    if not path.is_file():
        known = sorted({log.stem for place in places for log in place.glob("*.log")})
        if (settings.node_dir("worker-1") / "var/log").is_dir():
            known += ["worker-1/containerd", "worker-1/kubelet", "worker-1/kube-proxy"]
        then = f"one of: {', '.join(known)}" if known else "there are none"
        raise Problem(f"no log of {name!r}", where=str(path.parent), then=then)
    return path
