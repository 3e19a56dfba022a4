"""kube-controller-manager.

Flags follow the reference of Kubernetes 1.37 (https://kubernetes.io/docs/reference/command-line-tools-reference/).
"""

from __future__ import annotations

from pathlib import Path

from k8s101.cluster.components.serving import authentication
from k8s101.cluster.supervisor.process import Process
from k8s101.cluster.values.settings import Settings


def process(settings: Settings, binary: Path) -> Process:
    """Return kube-controller-manager."""
    pki, kubeconfig = settings.pki, settings.pki / "kube-controller-manager.kubeconfig"
    return Process(
        "kube-controller-manager",
        (
            str(binary),
            *authentication(kubeconfig, settings.ports.controller_manager),
            f"--root-ca-file={pki / 'ca.crt'}",
            f"--cluster-signing-cert-file={pki / 'ca.crt'}",
            f"--cluster-signing-key-file={pki / 'ca.key'}",
            f"--service-account-private-key-file={pki / 'sa.key'}",
            "--use-service-account-credentials=true",
            # nodes bring their Pod range along (see backends/nodes.py), so that routes are known at once
            "--allocate-node-cidrs=false",
            f"--service-cluster-ip-range={settings.ranges.services}",
            # the default rate of 20 a second makes it spend five seconds on its own tokens
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            # the default of 15 s is long in a lesson; metrics-server measures every ten
            "--horizontal-pod-autoscaler-sync-period=5s",
            "--node-monitor-period=2s",
            f"--node-monitor-grace-period={120 if settings.has_many_nodes else 16}s",
        ),
        autostart=False,
        priority=30,
    )
