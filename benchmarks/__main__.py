"""`make bench`: how long starts, rollouts and resets take, and what a cluster costs.

Starts alternate with those of `kwokctl create cluster` on the same binaries, because only ratios within one run
mean something on a shared machine. Results go to `benchmarks/results.json`; README's table is made from it.
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
from pathlib import Path
from typing import Any

import click
import psutil

from k8s101.cluster import cgroups, selfcheck
from k8s101.cluster import cluster as clusters
from k8s101.cluster import reset as resetting
from k8s101.cluster.binaries import ensure
from k8s101.cluster.settings import ROOT

from .peer import Kwokctl

STATE = Path("/var/lib/k8s101-bench")
RESULTS = ROOT / "benchmarks/results.json"
NAMESPACE = "k8s101-bench"
IDLE_SECONDS = 30
TARGETS = {
    "up": "≤ 6 s, no slower than kwokctl",
    "reset": "≤ 3 s",
    "down": "≤ 2 s",
    "deployment 0 → 6": "≤ 2 s",
    "rolling update of 6": "≤ 4 s",
    "memory": "≤ 1.4 GB",
    "idle processor": "≤ 15 % of a core",
}


def timed(action: Callable[[], object]) -> float:
    """Return how long something takes, in seconds."""
    began = time.monotonic()
    action()
    return time.monotonic() - began


def quiet_up() -> clusters.Cluster:
    """Start a cluster without printing."""
    return clusters.up(lambda line: None)


def rollout(cluster: clusters.Cluster, replicas: int, version: str) -> None:
    """Apply the story app and wait until all copies of this version are ready."""
    labels = {"app": "hello"}
    container = {
        "name": "hello",
        "image": f"docker.io/kubernetes101/hello:{version}",
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


def measure(rounds: int) -> dict[str, Any]:
    """Measure everything and return the figures."""
    figures: dict[str, list[float]] = {}
    os.environ["K8S101_STATE"] = str(STATE)
    clusters.down()
    quiet_up()
    clusters.down()
    with tempfile.TemporaryDirectory(prefix="k8s101-bench-") as directory:
        peer = Kwokctl(Path(directory), ensure)
        for number in range(rounds):
            click.echo(f"round {number + 1} of {rounds}", err=True)
            figures.setdefault("kwokctl create cluster", []).append(peer.create())
            peer.delete()
            figures.setdefault("up", []).append(timed(quiet_up))
            cluster = clusters.find()
            assert cluster is not None, "up has just made it"
            resetting.record_once(cluster)
            selfcheck.run(cluster)
            cluster.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
            rollout(cluster, 0, "1.0.0")
            figures.setdefault("deployment 0 → 6", []).append(timed(lambda c=cluster: rollout(c, 6, "1.0.0")))
            figures.setdefault("rolling update of 6", []).append(timed(lambda c=cluster: rollout(c, 6, "1.0.1")))
            figures.setdefault("reset", []).append(timed(lambda c=cluster: resetting.reset(c, lambda line: None)))
            if number == rounds - 1:
                pids = cgroups.processes(json.loads(cluster.settings.cgroups_file.read_text()))
                figures["memory"] = [memory_mb(pids)]
                figures["idle processor"] = [processor_share(pids)]
            figures.setdefault("down", []).append(timed(clusters.down))
    ratios = [ours / theirs for ours, theirs in zip(figures["up"], figures["kwokctl create cluster"], strict=True)]
    return {
        "date": dt.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}",
        "rounds": rounds,
        "targets": TARGETS,
        "figures": {
            name: {"median": round(statistics.median(values), 2), "all": [round(v, 2) for v in values]}
            for name, values in figures.items()
        },
        "up / kwokctl": round(statistics.median(ratios), 2),
    }


@click.command()
@click.option("--rounds", default=5, show_default=True, help="How often everything is measured.")
def main(rounds: int) -> None:
    """Measure and write benchmarks/results.json."""
    try:
        results = measure(rounds)
    finally:
        clusters.down()
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    for name, figure in results["figures"].items():
        click.echo(f"{name:24}{figure['median']:8}   {TARGETS.get(name, '')}")
    click.echo(f"up / kwokctl: {results['up / kwokctl']}")


if __name__ == "__main__":
    main()
