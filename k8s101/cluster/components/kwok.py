"""KWOK, which answers for simulated nodes: it renews their leases and reports their Pods as running.

Flags follow `kwok --help` of version 0.8 (https://kwok.sigs.k8s.io/docs/).
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Any

import yaml

from k8s101.cluster.supervisor.process import Process
from k8s101.cluster.values.settings import KUBERNETES_VERSION, LOOPBACK, ROOT, Settings

LABEL = {"type": "kwok"}
"""By this label KWOK knows its nodes; other tools use the same one."""

USER = "kwok"
LEASE_SECONDS = 8
"""KWOK renews four times as often, and started anew it waits until the leases of the old one have ended."""

LEASE_SECONDS_OF_MANY = 160
KUBECONFIG = "pki/kwok.kubeconfig"
GATE = "gate.sock"

NODE_RESOURCES = {"cpu": "1", "memory": "1Gi", "pods": "110"}
"""As a real node of the workshop; lessons about scheduling fill it."""


def program(settings: Settings, binary: Path) -> Process:
    """Return KWOK for the nodes that bear our label."""
    pki, port = settings.pki, settings.ports.kubelet
    lease = LEASE_SECONDS_OF_MANY if settings.has_many_nodes else LEASE_SECONDS
    selector = ",".join(f"{key}={value}" for key, value in LABEL.items())
    return Process(
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
            f"--node-lease-duration-seconds={lease}",
            f"--cidr={settings.ranges.pods}",
        ),
        # before its role exists it would be refused and then wait two seconds
        autostart=False,
        priority=30,
    )


def gate(settings: Settings) -> Process:
    """Return the proxy that keeps what is meant for simulated Pods from leaving the machine."""
    allowed = f"{LOOPBACK}:{settings.ports.kubelet}"
    command = (sys.executable, "-m", "k8s101.cluster.components.gate", str(settings.state / GATE), allowed)
    return Process("gate", command, priority=15)


def egress(settings: Settings) -> Path:
    """Return the file that sends the API server's traffic to nodes and Pods through the gate."""
    return settings.state / "egress.yaml"


def write_egress(settings: Settings) -> None:
    """Write the file that `egress` names."""
    connection = {
        "proxyProtocol": "HTTPConnect",
        "transport": {"uds": {"udsName": str(settings.state / GATE)}},
    }
    configuration = {
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [{"name": "cluster", "connection": connection}],
    }
    egress(settings).write_text(yaml.safe_dump(configuration, sort_keys=False))


def simulated(node: dict[str, Any], port: int) -> dict[str, Any]:
    """Return a node's object with what a kubelet would add: labels, resources, versions, and that it is ready.

    Args:
        node: its object as of a real node.
        port: where KWOK answers for it.
    """
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    ready = {"type": "Ready", "status": "True", "reason": "Simulated", "message": "KWOK answers for this node"}
    name, labels = node["metadata"]["name"], node["metadata"]["labels"]
    usual = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    addresses = [{"type": "InternalIP", "address": str(LOOPBACK)}, {"type": "Hostname", "address": name}]
    return node | {
        "metadata": {"name": name, "labels": labels | usual | LABEL, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "status": {
            "capacity": NODE_RESOURCES,
            "allocatable": NODE_RESOURCES,
            "addresses": addresses,
            "conditions": [ready | {"lastHeartbeatTime": now, "lastTransitionTime": now}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            "nodeInfo": {"kubeletVersion": KUBERNETES_VERSION, "kubeProxyVersion": KUBERNETES_VERSION},
        },
    }
