"""The kubelet: `KubeletConfiguration` v1beta1 of Kubernetes 1.37, and how it is started."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import IPv4Address

import psutil
import yaml

from k8s101.cluster.components import containerd
from k8s101.cluster.supervisor import after
from k8s101.cluster.supervisor.process import Process
from k8s101.cluster.values.settings import Settings

NODE_CPU = 1
NODE_MEMORY_MIB = 1024
"""What a node offers to Pods: small enough that lessons about scheduling can fill it."""

STATIC_PODS = "/etc/kubernetes/manifests"
"""Where the kubelet finds Pods that no API server has to tell it about."""


def configuration(settings: Settings, address: IPv4Address) -> str:
    """Return the kubelet's configuration for a node with this address."""
    spare_cpu = max((os.cpu_count() or 1) - NODE_CPU, 0)
    spare_memory = max(psutil.virtual_memory().total // 2**20 - NODE_MEMORY_MIB, 0)
    return yaml.safe_dump(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": str(address),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": "/etc/kubernetes/pki/kubelet.crt",
            "tlsPrivateKeyFile": "/etc/kubernetes/pki/kubelet.key",
            "containerRuntimeEndpoint": f"unix://{containerd.SOCKET}",
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [str(settings.ranges.dns)],
            "clusterDomain": "cluster.local",
            "resolvConf": "",
            "volumePluginDir": "/var/lib/kubelet/volume-plugins",
            # where kubeadm has it, too; nothing of the cluster itself is in it
            "staticPodPath": STATIC_PODS,
            # the disk is shared with the learner's other files: its fullness is no reason to evict Pods
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {
                "memory.available": "50Mi",
                **dict.fromkeys(
                    ("nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree"), "0%"
                ),
            },
            "systemReserved": {"cpu": str(spare_cpu), "memory": f"{spare_memory}Mi"},
            # lessons watch for these, so they come sooner than by default
            "nodeStatusUpdateFrequency": "4s",
            "nodeLeaseDurationSeconds": 10,
            "syncFrequency": "10s",
            "crashLoopBackOff": {"maxContainerRestartPeriod": "10s"},
        },
        sort_keys=False,
    )


def process(node: str, address: IPv4Address, environment: Mapping[str, str]) -> Process:
    """Return the kubelet of a node.

    Args:
        node: name of the node.
        address: its address.
        environment: variables of a node's processes; `PATH` leads to the binary.
    """
    # it ends when there is no container runtime yet, and the supervisor's next try is a second away
    command = (
        "kubelet",
        "--config=/var/lib/kubelet/config.yaml",
        "--kubeconfig=/etc/kubernetes/kubelet.conf",
        f"--hostname-override={node}",
        f"--node-ip={address}",
    )
    waiting = after.command((containerd.SOCKET, containerd.LOADED), command)
    return Process("kubelet", waiting, environment, priority=20)
