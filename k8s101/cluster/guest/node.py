"""The files of a node in the guest: its identity comes from the machine, the rest is made for the guest."""

from __future__ import annotations

import shutil
from pathlib import Path

from k8s101.cluster.linux.mounts import bind
from k8s101.cluster.node.files import write_configuration
from k8s101.cluster.values.settings import Settings

HOST = Path("/run/host")
"""The cluster's state directory on the machine."""

STATE = Path("/run/guest")
"""The guest's own state directory, on its disk (see `guest/store.py`)."""


def prepare(settings: Settings, name: str) -> None:
    """Write what a node needs before it starts.

    Args:
        settings: the cluster's settings, as the guest has them.
        name: name of the node, whose identity the machine has issued.
    """
    identity, logs = (Path("nodes", name, part) for part in ("etc/kubernetes", "var/log"))
    shutil.copytree(HOST / identity, STATE / identity, dirs_exist_ok=True)
    _share(logs)
    _share(settings.archives.relative_to(STATE))
    write_configuration(settings, name, int(name.removeprefix("worker-")))


def _share(place: Path) -> None:
    """Keep a directory on the machine: logs, where `k8s101 logs` looks for them, and archives of images.

    Args:
        place: the directory, below the state directory.
    """
    for state in (HOST, STATE):
        (state / place).mkdir(parents=True, exist_ok=True)
    if not (STATE / place).is_mount():
        bind(HOST / place, STATE / place)
