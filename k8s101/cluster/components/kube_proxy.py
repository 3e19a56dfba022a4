"""kube-proxy: `KubeProxyConfiguration` v1alpha1 of Kubernetes 1.37, and how it is started."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from k8s101.cluster.supervisor import after
from k8s101.cluster.supervisor.process import Process
from k8s101.cluster.values.settings import Settings

KUBELET, KUBELET_SECONDS = "/var/lib/kubelet/pod-resources/kubelet.sock", 30
"""A socket that the kubelet makes when it has started, and how long it is waited for."""


def configuration(settings: Settings, node: str) -> str:
    """Return kube-proxy's configuration for a node of this name."""
    return yaml.safe_dump(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clientConnection": {"kubeconfig": "/etc/kubernetes/kube-proxy.conf"},
            "clusterCIDR": str(settings.ranges.pods),
            "hostnameOverride": node,
            "healthzBindAddress": "127.0.0.1:10256",
            "nftables": {"minSyncPeriod": "0.1s", "syncPeriod": "30s"},
            # these limits belong to the whole machine
            "conntrack": dict.fromkeys(("maxPerCore", "min"), 0)
            | dict.fromkeys(("tcpEstablishedTimeout", "tcpCloseWaitTimeout"), "0s"),
        },
        sort_keys=False,
    )


def process(tools: Mapping[str, str], environment: Mapping[str, str]) -> Process:
    """Return kube-proxy.

    Args:
        tools: the path of each binary as the node sees it.
        environment: variables of a node's processes.
    """
    command = (tools["kube-proxy"], "--config=/var/lib/kube-proxy/config.yaml")
    # the kubelet has the processor first; where it stays away, Services work nevertheless
    waiting = after.command((KUBELET,), command, most_seconds=KUBELET_SECONDS)
    return Process("kube-proxy", waiting, environment, priority=20)
