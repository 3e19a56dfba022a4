"""etcd, the store of all cluster data.

Flags: https://etcd.io/docs/v3.6/op-guide/configuration/
"""

from __future__ import annotations

from pathlib import Path

from k8s101.cluster.supervisor.process import WATCHED_SECONDS, Process
from k8s101.cluster.values.settings import LOOPBACK, Settings

REGISTRY = "/registry/"
"""What the keys of all objects begin with."""

PLAN = "bootstrap.txn"
"""The file in the state directory that says what a new etcd is to hold (see `host/bootstrap.py`)."""


def url(settings: Settings) -> str:
    """Return where etcd answers its clients."""
    return f"https://{LOOPBACK}:{settings.ports.etcd}"


def data(settings: Settings) -> Path:
    """Return the directory of its data, which it makes at its first start."""
    return settings.state / "etcd"


def process(settings: Settings, binary: Path) -> Process:
    """Return etcd, the store of all cluster data, reachable with client certificates only."""
    pki, client = settings.pki, url(settings)
    peer = f"https://{LOOPBACK}:{settings.ports.etcd_peer}"
    return Process(
        "etcd",
        (
            str(binary),
            "--name=k8s101",
            f"--data-dir={data(settings)}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=k8s101={peer}",
            f"--cert-file={pki / 'etcd.crt'}",
            f"--key-file={pki / 'etcd.key'}",
            f"--trusted-ca-file={pki / 'etcd-ca.crt'}",
            "--client-cert-auth",
            f"--peer-cert-file={pki / 'etcd.crt'}",
            f"--peer-key-file={pki / 'etcd.key'}",
            f"--peer-trusted-ca-file={pki / 'etcd-ca.crt'}",
            "--peer-client-cert-auth",
            # a workshop's data may be lost with the machine's power; waiting for the disk may not
            "--unsafe-no-fsync",
            # a new cluster gets what is in every cluster at once (see host/bootstrap.py)
            "--max-txn-ops=1024",
            "--logger=zap",
            "--log-level=warn",
        ),
        priority=10,
        stop_seconds=WATCHED_SECONDS,
    )
