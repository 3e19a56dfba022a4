"""containerd and the CNI plugins that it calls: configuration version 3 of containerd 2.4.

Paths are those of the node's own mount namespace (see `node/node.py`): the places where administrators look
for them on a machine that kubeadm set up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from k8s101.cluster.images.layers import SANDBOX_IMAGE
from k8s101.cluster.linux.capabilities import CAP_SYS_RESOURCE, has_capability
from k8s101.cluster.supervisor import after
from k8s101.cluster.supervisor.process import Process
from k8s101.cluster.values.settings import Settings

SOCKET = "/run/containerd/containerd.sock"
IMPORTER = "images"
"""The process of a node that gives containerd the images of archives and then ends."""

ARCHIVES = "/run/k8s101/archives"
"""Where a node sees the archives of images that its cluster was given."""

LOADED = "/run/k8s101/archives-loaded"
"""The file by which a node's kubelet sees that the images are there, so that no Pod comes before its image."""

IMPORT_SCRIPT = "/etc/k8s101/load-images"
TOOLS = ("containerd", "containerd-shim-runc-v2", "ctr", "runc", "host-local", "loopback", "portmap", "ptp")


def configuration(tools: dict[str, str]) -> str:
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
  # all devices would be more than a node's cgroup has
  privileged_without_host_devices = true

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


def process(tools: Mapping[str, str], environment: Mapping[str, str]) -> Process:
    """Return containerd.

    Args:
        tools: the path of each binary as the node sees it.
        environment: variables of a node's processes.
    """
    return Process("containerd", (tools["containerd"],), environment, priority=10)


def import_script(tools: dict[str, str]) -> str:
    """Return the shell script that gives containerd what it does not have of the archives, one image each.

    Args:
        tools: the path of each binary as the node sees it.
    """
    return f"""\
status=0
images() {{ {tools["ctr"]} --address {SOCKET} --namespace k8s.io images "$@"; }}
known() {{ [ -n "$(images list --quiet "name==\\"$1\\",labels.\\"io.cri-containerd.image\\"==managed")" ]; }}
for archive in {ARCHIVES}/*.tar; do
    [ -e "$archive" ] || continue
    name=$(tar --occurrence=1 -xOf "$archive" manifest.json | sed 's/.*"RepoTags":\\["\\([^"]*\\).*/\\1/')
    mark="/var/lib/containerd/k8s101-${{archive##*/}}"
    if [ -e "$mark" ] && known "$name"; then continue; fi
    images import --local "$archive" || {{ status=1; continue; }}
    # the runtime interface learns of an image by an event, and misses those that come while it starts
    tries=0
    until known "$name"; do
        tries=$((tries + 1))
        if [ $tries -gt 100 ]; then echo "$name is not registered for the kubelet"; status=1; break; fi
        images label "$name" "k8s101/try=$tries" > /dev/null
        sleep 0.1
    done
    : > "$mark"
done
: > {LOADED}
exit $status
"""


def importer(environment: Mapping[str, str]) -> Process:
    """Return the process that runs `import_script`, at every start of a node and whenever it is asked to."""
    waiting = after.command((SOCKET,), ("/bin/sh", IMPORT_SCRIPT))
    return Process(IMPORTER, waiting, environment, autorestart=False, priority=15)
