"""What runs on every node: container runtime, kubelet and kube-proxy, with their configuration files.

Paths are those of the node's own mount namespace (see `node.py`): the places where administrators look
for them on a machine that kubeadm set up. Field names: `KubeletConfiguration` v1beta1 and
`KubeProxyConfiguration` v1alpha1 of Kubernetes 1.37, containerd 2.4 configuration version 3.
"""

from __future__ import annotations

import json
import os
from ipaddress import IPv4Address
from pathlib import Path

import psutil
import yaml

from ..process import Program
from ..settings import Settings

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
SANDBOX_IMAGE = "registry.k8s.io/pause:3.10.2"
"""What holds the namespaces of each Pod."""

TOOLS = (
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "runc",
    "host-local",
    "loopback",
    "portmap",
    "ptp",
    "kubelet",
    "kube-proxy",
)
"""The binaries that a node runs."""


def directories(tools: dict[str, str]) -> dict[str, str]:
    """Return where the node sees each directory that holds one of its binaries.

    Args:
        tools: the path of each binary on the machine.
    """
    outside = sorted({str(Path(path).parent) for path in tools.values()})
    return {directory: f"/run/k8s101/bin/{number}" for number, directory in enumerate(outside)}


def inside(tools: dict[str, str]) -> dict[str, str]:
    """Return the path of each binary as the node sees it."""
    places = directories(tools)
    return {tool: f"{places[str(Path(path).parent)]}/{Path(path).name}" for tool, path in tools.items()}


NODE_CPU = 1
NODE_MEMORY_MIB = 1024
"""What a node offers to Pods: small enough that lessons about scheduling can fill it."""

CAP_SYS_RESOURCE = 24


def has_capability(number: int) -> bool:
    """Tell whether this process has a capability (numbers: linux/capability.h)."""
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
    return bool(int(effective, 16) >> number & 1)


def containerd_config(tools: dict[str, str]) -> str:
    """Return containerd's configuration.

    Args:
        tools: the path of each binary as the node sees it.
    """
    plugins = sorted({str(Path(tools[name]).parent) for name in ("host-local", "loopback", "portmap", "ptp")})
    # lowering an out-of-memory score below one's own needs CAP_SYS_RESOURCE
    restrict = str(not has_capability(CAP_SYS_RESOURCE)).lower()
    return f"""\
version = 3
oom_score = 0
disabled_plugins = [
  "io.containerd.nri.v1.nri",
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs",
]

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{SANDBOX_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = {restrict}
  # profiles would be loaded into the host's kernel
  disable_apparmor = true

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = "{tools["runc"]}"
  SystemdCgroup = false

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = {json.dumps(plugins)}
  conf_dir = "/etc/cni/net.d"
  # one process less for every Pod
  use_internal_loopback = true
"""


def cni_config(settings: Settings, index: int) -> str:
    """Return the CNI configuration of the node with this number: one veth a Pod, no bridge, no NAT."""
    ipam = {
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": str(settings.ranges.pods_of(index))}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return json.dumps(
        {
            "cniVersion": "1.0.0",
            "name": "k8s101",
            "plugins": [
                {"type": "ptp", "mtu": 1500, "ipam": ipam},
                {"type": "portmap", "capabilities": {"portMappings": True}, "backend": "nftables"},
            ],
        },
        indent=2,
    )


def kubelet_config(settings: Settings, address: IPv4Address) -> str:
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
            "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [str(settings.ranges.dns)],
            "clusterDomain": "cluster.local",
            "resolvConf": "",
            "volumePluginDir": "/var/lib/kubelet/volume-plugins",
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


def kube_proxy_config(settings: Settings, node: str) -> str:
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


def programs(node: str, address: IPv4Address, tools: dict[str, str]) -> list[Program]:
    """Return the three programs of a node.

    Args:
        node: name of the node.
        address: its address.
        tools: the path of each binary as the node sees it.
    """
    path = [*sorted({str(Path(tool).parent) for tool in tools.values()}), "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    environment = {"PATH": ":".join(path), "TMPDIR": "/run", "HOME": "/run"}
    # the kubelet ends when there is no container runtime yet, and the supervisor's next try is a second away
    kubelet = (
        f"until [ -S {CONTAINERD_SOCKET} ]; do sleep 0.02; done; "
        "exec kubelet --config=/var/lib/kubelet/config.yaml --kubeconfig=/etc/kubernetes/kubelet.conf "
        f"--hostname-override={node} --node-ip={address}"
    )
    kube_proxy = (tools["kube-proxy"], "--config=/var/lib/kube-proxy/config.yaml")
    return [
        Program("containerd", (tools["containerd"],), environment, priority=10),
        Program("kubelet", ("/bin/sh", "-c", kubelet), environment, priority=20),
        Program("kube-proxy", kube_proxy, environment, priority=20),
    ]
