"""An examination of machine, tools and cluster, for people who ask why it does not work."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from k8s101.cluster.backends import kinds, nodes
from k8s101.cluster.facade import cluster as clusters
from k8s101.cluster.facade import place
from k8s101.cluster.linux import cgroups
from k8s101.cluster.values.settings import cache_dir
from k8s101.errors import Problem

MEMORY_GIB = 3
LITTLE_MEMORY_GIB = 1.5
"""For a control plane without real nodes."""

DISK_GIB = 6


@dataclass(frozen=True)
class Finding:
    """One examined thing.

    Args:
        good: whether it is as it should be.
        what: the thing and what was found.
        then: what to do where it is not.
    """

    good: bool
    what: str
    then: str = ""


def examine() -> list[Finding]:
    """Examine everything that a start needs and, where there is a cluster, its parts."""
    known = clusters.find()
    backend = known.settings.backend if known else kinds.most_real()
    # who uses a cluster that was started through sudo can start none
    machine = [_nodes(), _cgroups()] if backend == "nodes" and os.getuid() == 0 else [_kind(backend)]
    ranges = [_ranges()] if backend == "nodes" else []
    return [_platform(), _memory(backend), _disk(), *machine, *ranges, *_cluster()]


def _platform() -> Finding:
    found = f"{platform.system()} {platform.machine()}, kernel {platform.release()}"
    return Finding(
        platform.system() == "Linux",
        found,
        "use WSL2 on Windows, a Linux virtual machine or dev container on macOS",
    )


def _memory(backend: str) -> Finding:
    total = psutil.virtual_memory().total / 2**30
    wanted = MEMORY_GIB if backend == "nodes" else LITTLE_MEMORY_GIB
    return Finding(total >= wanted, f"{total:.1f} GiB of memory", f"give the machine {wanted} GiB")


def _kind(backend: str) -> Finding:
    """Say what kind of cluster there is, and why not a fuller one."""
    try:
        nodes.check()
    except Problem as problem:
        if backend != "nodes":
            return Finding(True, f"kind of cluster: {backend} ({problem.found}: {problem.then})")
    return Finding(True, f"kind of cluster: {backend}")


def _disk() -> Finding:
    place = next(p for p in (cache_dir(), *cache_dir().parents) if p.exists())
    free = shutil.disk_usage(place).free / 2**30
    return Finding(free >= DISK_GIB, f"{free:.0f} GiB free at {place}", f"free {DISK_GIB} GiB, or set K8S101_CACHE")


def _asked(question: Callable[[], object], good: str) -> Finding:
    try:
        answer = question()
    except Problem as problem:
        return Finding(False, problem.found, problem.then)
    return Finding(True, good.format(answer))


def _nodes() -> Finding:
    return _asked(nodes.check, "real nodes: root, capabilities and programs are there")


def _cgroups() -> Finding:
    kind = "version 2" if cgroups.is_v2() else "version 1"
    writable = os.access(cgroups.MOUNT, os.W_OK) and bool(cgroups.own_paths())
    return Finding(writable, f"cgroups {kind}", "mount /sys/fs/cgroup writable, or use a virtual machine")


def _ranges() -> Finding:
    if cluster := clusters.find():
        ranges = cluster.settings.ranges
        return Finding(True, f"address ranges {ranges.nodes}, {ranges.pods}, {ranges.services} are the cluster's")
    return _asked(lambda: nodes.choose_ranges().nodes, "free address ranges, nodes in {}")


def _cluster() -> list[Finding]:
    cluster = clusters.find()
    if cluster is None:
        return [Finding(True, f"no cluster yet in {place.state_dir()}")]
    if not Path(cluster.settings.kubeconfig).exists() or not cluster.running():
        return [Finding(False, "the cluster is not running", "k8s101 up")]
    if not cluster.ours:
        return [_asked(lambda: cluster.backend.connect(cluster.settings), "the confirmed cluster answers")]
    if not os.access(cluster.settings.control_socket, os.W_OK):
        return [Finding(False, "the cluster belongs to another user", "ask its owner, or use sudo")]
    return [
        Finding(part.state == "RUNNING", f"{part.name} is {part.state.lower()}", f"k8s101 logs {part.name}")
        for part in cluster.parts()
    ]
