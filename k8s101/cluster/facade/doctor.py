"""An examination of machine, tools and cluster, for people who ask why it does not work."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import psutil

from k8s101.cluster.backends import kinds
from k8s101.cluster.backends.base import Finding
from k8s101.cluster.facade import cluster as clusters
from k8s101.cluster.facade import place
from k8s101.cluster.linux import limits
from k8s101.cluster.values.settings import cache_dir

DISK_GIB = 6


def examine() -> list[Finding]:
    """Examine everything that a start needs and, where there is a cluster, its parts."""
    known = clusters.find()
    backend = known.settings.backend if known else kinds.most_real()
    machine = kinds.BACKENDS[backend].examine(known.settings if known else None)
    memory = _memory(kinds.BACKENDS[backend].TRAITS.memory_gib)
    return [_platform(), memory, _disk(), *_limits(), *machine, *_cluster()]


def _platform() -> Finding:
    found = f"{platform.system()} {platform.machine()}, kernel {platform.release()}"
    return Finding(
        platform.system() == "Linux",
        found,
        "use WSL2 on Windows, a Linux virtual machine or dev container on macOS",
    )


def _memory(wanted: float) -> Finding:
    total = psutil.virtual_memory().total / 2**30
    return Finding(total >= wanted, f"{total:.1f} GiB of memory", f"give the machine {wanted} GiB")


def _disk() -> Finding:
    place = next(p for p in (cache_dir(), *cache_dir().parents) if p.exists())
    free = shutil.disk_usage(place).free / 2**30
    return Finding(free >= DISK_GIB, f"{free:.0f} GiB free at {place}", f"free {DISK_GIB} GiB, or set K8S101_CACHE")


def _limits() -> list[Finding]:
    state = place.state_dir()
    return [
        Finding.asked(limits.widen, "open files, processes and addresses suffice"),
        Finding.asked(lambda: limits.check_programs_run(cache_dir(), "K8S101_CACHE"), "programs of the cache can run"),
        Finding.asked(lambda: limits.check_programs_run(state, "K8S101_STATE"), "programs of containers can run"),
    ]


def _cluster() -> list[Finding]:
    cluster = clusters.find()
    if cluster is None:
        return [Finding(True, f"no cluster yet in {place.state_dir()}")]
    if not Path(cluster.settings.kubeconfig).exists() or not cluster.running():
        return [Finding(False, "the cluster is not running", "k8s101 up")]
    if not cluster.ours:
        return [Finding.asked(lambda: cluster.backend.connect(cluster.settings), "the confirmed cluster answers")]
    if not os.access(cluster.settings.control_socket, os.W_OK):
        return [Finding(False, "the cluster belongs to another user", "ask its owner, or use sudo")]
    return [
        Finding(part.state == "RUNNING", f"{part.name} is {part.state.lower()}", f"k8s101 logs {part.name}")
        for part in cluster.parts()
    ]
