"""kube-scheduler.

Flags follow the reference of Kubernetes 1.37 (https://kubernetes.io/docs/reference/command-line-tools-reference/).
"""

from __future__ import annotations

from pathlib import Path

from k8s101.cluster.components.serving import authentication
from k8s101.cluster.supervisor.process import Process
from k8s101.cluster.values.settings import Settings


def process(settings: Settings, binary: Path) -> Process:
    """Return kube-scheduler."""
    kubeconfig = settings.pki / "kube-scheduler.kubeconfig"
    flags = authentication(kubeconfig, settings.ports.scheduler)
    # the default rate of 50 a second makes thousands of Pods wait
    rate = ("--kube-api-qps=500", "--kube-api-burst=1000")
    return Process("kube-scheduler", (str(binary), *flags, *rate), autostart=False, priority=30)
