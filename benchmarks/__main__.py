"""`make bench`: how long starts, rollouts and resets take, and what a cluster costs, on each kind of cluster.

Starts and ends alternate with those of `kwokctl create cluster` on the same binaries, because only ratios within
one run mean something on a shared machine. Results go to `benchmarks/results.json`; README's table is made from it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import psutil

from k8s101.cluster.facade import cluster as clusters
from k8s101.cluster.facade import reset as resetting
from k8s101.cluster.facade import selfcheck
from k8s101.cluster.host import host
from k8s101.cluster.programs.binaries import ensure
from k8s101.cluster.values.settings import ROOT

from .first import FirstNode
from .peer import Kwokctl
from .small import small_machine

STATE = Path("/var/lib/k8s101-bench")
RESULTS = ROOT / "benchmarks/results.json"
NAMESPACE = "k8s101-bench"
IDLE_SECONDS = 30
SECONDS, MEGABYTES, SHARE = "s", "MB", "% of a core"


@dataclass(frozen=True)
class Target:
    """What is aimed at.

    Args:
        most: the highest good value.
        unit: of the value.
        peer: the peer's counterpart in the same round, if it has one.
    """

    most: float
    unit: str = SECONDS
    peer: str = ""


@dataclass(frozen=True)
class Kind:
    """One kind of cluster and what is measured on it.

    Args:
        name: what it is called in the results.
        backend: name of the backend.
        nodes: how many it starts with.
        copies: of the app, where containers run.
        targets: by what is measured.
        small: whether it has one processor and two gigabytes, as on Binder.
    """

    name: str
    backend: str
    nodes: int
    copies: int
    targets: dict[str, Target] = field(default_factory=dict)
    small: bool = False


FIRST_NODE = "first node usable"
CREATE, DELETE, PEER_MEMORY = "kwokctl create cluster", "kwokctl delete cluster", "kwokctl memory"
ON_GUEST = {
    FIRST_NODE: Target(12),
    "up": Target(20, peer=CREATE),
    "first Pod": Target(3),
    "deployment 0 → 3": Target(10),
    "rolling update of 3": Target(10),
    "down": Target(2, peer=DELETE),
    "memory": Target(1400, MEGABYTES, PEER_MEMORY),
    "idle processor": Target(10, SHARE),
}
KINDS = (
    Kind(
        "nodes",
        "nodes",
        3,
        6,
        {
            "up": Target(5, peer=CREATE),
            "deployment 0 → 6": Target(2),
            "rolling update of 6": Target(4),
            "reset": Target(3),
            "down": Target(2, peer=DELETE),
            "memory": Target(1400, MEGABYTES, PEER_MEMORY),
            "idle processor": Target(15, SHARE),
        },
    ),
    Kind("guest", "guest", 3, 3, ON_GUEST),
    Kind("guest, one processor, 2 GB", "guest", 3, 3, ON_GUEST, small=True),
    Kind(
        "simulated",
        "simulated",
        3,
        0,
        {
            "up": Target(4, peer=CREATE),
            "down": Target(2, peer=DELETE),
            "memory": Target(700, MEGABYTES, PEER_MEMORY),
        },
    ),
)


def timed(action: Callable[[], object]) -> float:
    """Return how long something takes, in seconds."""
    began = time.monotonic()
    action()
    return time.monotonic() - began


def rollout(cluster: clusters.Cluster, replicas: int, version: str) -> None:
    """Apply the story app and wait until all copies of this version are ready."""
    labels = {"app": "hello"}
    container = {
        "name": "hello",
        "image": f"k8s101.test/hello:{version}",
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8000}, "periodSeconds": 1},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    cluster.api.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "hello", "namespace": NAMESPACE},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
        }
    )
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/hello"

    def complete() -> bool:
        found = cluster.api.get(path)
        status = found.get("status", {})
        current = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        counts = {status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")}
        return current and counts == {replicas}

    cluster.api.wait("rollout complete", complete, 60)


def memory_mb(pids: set[int]) -> float:
    """Return the memory of processes in MB, shared pages counted once (PSS)."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024 / 1e6


def processor_share(pids: set[int]) -> float:
    """Return how much of one core processes use while nothing is asked of them, in percent."""

    def used() -> float:
        times = [psutil.Process(pid).cpu_times() for pid in pids if psutil.pid_exists(pid)]
        return sum(t.user + t.system for t in times)

    before, began = used(), time.monotonic()
    while time.monotonic() - began < IDLE_SECONDS:
        time.sleep(1)
    return 100 * (used() - before) / (time.monotonic() - began)


def processes(cluster: clusters.Cluster) -> set[int]:
    """Return every process of a running cluster, those in its nodes too."""
    supervisor = host.process(cluster.settings)
    assert supervisor is not None, "it has just been started"
    return {supervisor.pid, *(child.pid for child in supervisor.children(recursive=True))}


class Round:
    """Everything about one kind of cluster, measured once.

    Args:
        kind: the kind.
        costs: whether memory and idle processor time are measured, too.
    """

    def __init__(self, kind: Kind, *, costs: bool) -> None:
        self.figures: dict[str, float] = {}
        os.environ["K8S101_STATE"] = f"{STATE}-{kind.backend}"
        clusters.down()
        with small_machine() if kind.small else nullcontext():
            try:
                self._measure(kind, costs=costs)
            finally:
                clusters.down()

    def _timed(self, name: str, action: Callable[[], object]) -> None:
        self.figures[name] = timed(action)

    def _measure(self, kind: Kind, *, costs: bool) -> None:
        began, first = time.monotonic(), FirstNode(daemon=True)
        if FIRST_NODE in kind.targets:
            first.start()
        self._timed("up", lambda: clusters.up(lambda line: None, backend=kind.backend, node_count=kind.nodes))
        if FIRST_NODE in kind.targets:
            first.join()
            assert first.seen, "all nodes are ready"
            self.figures[FIRST_NODE] = first.seen - began
        cluster = clusters.find()
        assert cluster is not None, "up has just made it"
        resetting.record_once(cluster)
        selfcheck.run(cluster)
        if kind.copies:
            self._run_app(cluster, kind.copies)
        if "reset" in kind.targets:
            self._timed("reset", lambda: resetting.reset(cluster, lambda line: None))
        if costs:
            pids = processes(cluster)
            self.figures["memory"] = memory_mb(pids)
            self.figures["idle processor"] = processor_share(pids)
        self._timed("down", clusters.down)

    def _run_app(self, cluster: clusters.Cluster, copies: int) -> None:
        cluster.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        rollout(cluster, 0, "1.0.0")
        self._timed("first Pod", lambda: rollout(cluster, 1, "1.0.0"))
        rollout(cluster, 0, "1.0.0")
        self._timed(f"deployment 0 → {copies}", lambda: rollout(cluster, copies, "1.0.0"))
        self._timed(f"rolling update of {copies}", lambda: rollout(cluster, copies, "1.0.1"))


def measure(rounds: int, kinds: tuple[Kind, ...]) -> dict[str, Any]:
    """Measure everything and return the figures, each with its ratio to the peer's in the same round."""
    found: dict[str, dict[str, list[float]]] = {kind.name: {} for kind in kinds}
    peers: dict[str, list[float]] = {CREATE: [], DELETE: [], PEER_MEMORY: []}
    with tempfile.TemporaryDirectory(prefix="k8s101-bench-") as directory:
        peer = Kwokctl(Path(directory), ensure)
        for number in range(rounds):
            click.echo(f"round {number + 1} of {rounds}", err=True)
            peers[CREATE].append(peer.create())
            peers[PEER_MEMORY].append(memory_mb(peer.processes()))
            peers[DELETE].append(timed(peer.delete))
            for kind in kinds:
                for name, value in Round(kind, costs=number == rounds - 1).figures.items():
                    found[kind.name].setdefault(name, []).append(value)
    return {
        "date": dt.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}",
        "rounds": rounds,
        "peer": {name: summary(values) for name, values in peers.items()},
        "figures": {
            kind.name: {
                name: summary(found[kind.name][name])
                | asdict(target)
                | {"ratio": ratio(found[kind.name][name], peers.get(target.peer, []))}
                for name, target in kind.targets.items()
            }
            for kind in kinds
        },
    }


def summary(values: list[float]) -> dict[str, Any]:
    """Return the median and all values."""
    return {"median": round(statistics.median(values), 2), "all": [round(value, 2) for value in values]}


def ratio(ours: list[float], theirs: list[float]) -> float | None:
    """Return the median of the ratios round by round, from the last round backwards."""
    pairs = list(zip(reversed(ours), reversed(theirs), strict=False))
    return round(statistics.median(one / other for one, other in pairs), 2) if pairs else None


@click.command()
@click.option("--rounds", default=5, show_default=True, help="How often everything is measured.")
@click.option("--only", multiple=True, type=click.Choice([kind.name for kind in KINDS]), help="Only this kind.")
def main(rounds: int, only: tuple[str, ...]) -> None:
    """Measure and write benchmarks/results.json."""
    results = measure(rounds, tuple(kind for kind in KINDS if not only or kind.name in only))
    if not only:
        RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    for kind, figures in results["figures"].items():
        for name, row in figures.items():
            against = f"   {row['ratio']} × {row['peer']}" if row["ratio"] else ""
            click.echo(f"{kind:28}{name:24}{row['median']:8} {row['unit']:12} ≤ {row['most']:g}{against}")


if __name__ == "__main__":
    main()
