"""KWOK, which answers for simulated nodes: it renews their leases and reports their Pods as running.

Flags follow `kwok --help` of version 0.8 (https://kwok.sigs.k8s.io/docs/).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..process import Program
from ..settings import KUBERNETES_VERSION, LOOPBACK, ROOT, Settings

LABEL = {"type": "kwok"}
"""By this label KWOK knows its nodes; other tools use the same one."""

USER = "kwok"
LEASE_SECONDS = 40
KUBECONFIG = "pki/kwok.kubeconfig"

NODE_RESOURCES = {"cpu": "1", "memory": "1Gi", "pods": "110"}
"""As a real node of the workshop; lessons about scheduling fill it."""


def program(settings: Settings, binary: Path) -> Program:
    """Return KWOK for the nodes that bear our label."""
    pki, port = settings.pki, settings.ports.kubelet
    selector = ",".join(f"{key}={value}" for key, value in LABEL.items())
    return Program(
        "kwok",
        (
            str(binary),
            f"--config={ROOT / 'manifests/simulated/stages.yaml'}",
            f"--kubeconfig={settings.state / KUBECONFIG}",
            "--manage-all-nodes=false",
            f"--manage-nodes-with-label-selector={selector}",
            # what the API server connects to stays on this machine
            f"--node-ip={LOOPBACK}",
            f"--node-port={port}",
            f"--server-address={LOOPBACK}:{port}",
            f"--tls-cert-file={pki / 'kwok.crt'}",
            f"--tls-private-key-file={pki / 'kwok.key'}",
            f"--node-lease-duration-seconds={LEASE_SECONDS}",
            f"--cidr={settings.ranges.pods}",
        ),
        priority=30,
    )


def simulated(node: dict[str, Any]) -> dict[str, Any]:
    """Return a node's object with what a kubelet would add and KWOK does not: labels, resources, versions."""
    name, labels = node["metadata"]["name"], node["metadata"]["labels"]
    usual = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    addresses = [{"type": "InternalIP", "address": str(LOOPBACK)}, {"type": "Hostname", "address": name}]
    return node | {
        "metadata": {"name": name, "labels": labels | usual | LABEL, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "status": {
            "capacity": NODE_RESOURCES,
            "allocatable": NODE_RESOURCES,
            "addresses": addresses,
            "nodeInfo": {"kubeletVersion": KUBERNETES_VERSION, "kubeProxyVersion": KUBERNETES_VERSION},
        },
    }
