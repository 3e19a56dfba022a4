"""etcd, the store of all cluster data.

Flags: https://etcd.io/docs/v3.6/op-guide/configuration/
"""

from __future__ import annotations

from pathlib import Path

from k8s101.cluster.supervisor.process import WATCHED_SECONDS, Process
from k8s101.cluster.values.settings import LOOPBACK, Settings


def url(settings: Settings) -> str:
    """Return where etcd answers its clients."""
    return f"https://{LOOPBACK}:{settings.ports.etcd}"


def process(settings: Settings, binary: Path) -> Process:
    """Return etcd, the store of all cluster data, reachable with client certificates only."""
    pki, client = settings.pki, url(settings)
    peer = f"https://{LOOPBACK}:{settings.ports.etcd_peer}"
    return Process(
        "etcd",
        (
            str(binary),
            "--name=k8s101",
            f"--data-dir={settings.state / 'etcd'}",
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
            "--logger=zap",
            "--log-level=warn",
        ),
        priority=10,
        stop_seconds=WATCHED_SECONDS,
    )
