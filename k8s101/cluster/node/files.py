"""The files of one real node: its identity, its configuration, its supervisor."""

from __future__ import annotations

import json
import os
import shutil
import sys
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from k8s101.cluster.access.private import write_private
from k8s101.cluster.components import containerd, kube_proxy, kubelet
from k8s101.cluster.images.layers import clone_template
from k8s101.cluster.node.root import clear_way
from k8s101.cluster.supervisor.process import Process, supervisor_config
from k8s101.cluster.values.settings import MOST_NODES, Settings, cache_dir

SUPERVISOR_INTERFACE = {
    "name": "supervisor",
    "factory": "supervisor.rpcinterface:make_main_rpcinterface",
}


TOOLS = (*containerd.TOOLS, "kubelet", "kube-proxy")
"""The binaries that a node runs."""


DIRECTORIES = (
    *("etc-work", "mnt", "opt", "own", "root", "run", "srv", "tmp"),
    *("var/cache", "var/lib/kube-proxy", "var/log/pods", "var/log/containers", "var/tmp"),
    kubelet.STATIC_PODS.removeprefix("/"),
)
"""Below a node's directory; `root.py` says what they are to the node."""

IDENTITY = ("pki/ca.crt", "pki/kubelet.crt", "pki/kubelet.key", "kubelet.conf", "kube-proxy.conf")
SOCKET = "own/supervisor.sock"
"""Of the node's supervisor, in the only directory that both sides write to."""


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


def processes(node: str, address: IPv4Address, tools: dict[str, str]) -> list[Process]:
    """Return the three components of a node, and what gives it images.

    Args:
        node: name of the node.
        address: its address.
        tools: the path of each binary as the node sees it.
    """
    path = [*sorted({str(Path(tool).parent) for tool in tools.values()}), "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    environment = {"PATH": ":".join(path), "TMPDIR": "/run", "HOME": "/run"}
    return [
        containerd.process(tools, environment),
        containerd.importer(environment),
        kubelet.process(node, address, environment),
        kube_proxy.process(tools, environment),
    ]


def node_processes(settings: Settings) -> list[Process]:
    """Return one process a node, also for those that a lesson may add; a dead node stays dead."""
    return [
        Process(
            name := f"worker-{index}",
            (sys.executable, "-m", "k8s101.cluster.node.node", str(settings.state), name),
            autostart=name in settings.nodes,
            autorestart=False,
            stop_signal="KILL",
            priority=5,
        )
        for index in range(1, MOST_NODES + 1)
    ]


def programs_dir() -> Path:
    """Return the directory of all built programs, which a node sees at its own place."""
    return cache_dir() / "bin"


def write_plan(settings: Settings, *, tools: dict[str, Path], images: Path) -> None:
    """Record what all nodes share: where binaries and the template of the image store are."""
    plan = {"tools": {name: str(tools[name]) for name in TOOLS}, "images": str(images), "cache": str(programs_dir())}
    (settings.state / "nodes.json").write_text(json.dumps(plan))


def read_plan(settings: Settings) -> dict[str, Any]:
    """Return what `write_plan` recorded."""
    found: dict[str, Any] = json.loads((settings.state / "nodes.json").read_text())
    return found


def write_node_files(settings: Settings, name: str, index: int) -> None:
    """Write everything a node needs before it starts; what exists of its identity is kept.

    Args:
        settings: the cluster's settings.
        name: name of the node.
        index: its number, counted from 1; decides its address and Pod range.
    """
    write_identity(settings, name, index, settings.api_server)
    write_configuration(settings, name, index)


def write_configuration(settings: Settings, name: str, index: int) -> None:
    """Write all but the identity, as it fits the machine that this runs on.

    Args:
        settings: the cluster's settings.
        name: name of the node.
        index: its number, counted from 1.
    """
    node, address = settings.node_dir(name), settings.ranges.node(index)
    plan = read_plan(settings)
    tools, images = inside(plan["tools"]), Path("/run/k8s101/images")
    for directory in DIRECTORIES:
        clear_way(node, directory).mkdir(parents=True, exist_ok=True)
    for directory in ("tmp", "var/tmp"):
        (node / directory).chmod(0o1777)
    # a dead node's overlay leaves a work directory that the next mount may not reuse
    shutil.rmtree(node / "etc-work")
    (node / "etc-work").mkdir()
    settings.archives.mkdir(exist_ok=True)
    shared = {plan["images"]: str(images), str(settings.archives): containerd.ARCHIVES}
    binds = shared | directories(plan["tools"])
    clone_template(Path(plan["images"]), clear_way(node, "var/lib/containerd"), seen_as=images)
    files = {
        "node.json": json.dumps({"index": index, "binds": binds, "shown": [plan["cache"]]}),
        "etc/hostname": f"{name}\n",
        "etc/hosts": f"127.0.0.1 localhost\n{address} {name}\n",
        "etc/resolv.conf": "",
        "etc/containerd/config.toml": containerd.configuration(tools),
        containerd.IMPORT_SCRIPT.removeprefix("/"): containerd.import_script(tools),
        "etc/cni/net.d/10-k8s101.conflist": containerd.cni_config(settings, index),
        "var/lib/kubelet/config.yaml": kubelet.configuration(settings, address),
        "var/lib/kube-proxy/config.yaml": kube_proxy.configuration(settings, name),
        "etc/k8s101/supervisord.conf": supervisor_config(
            processes(name, address, tools),
            directory=Path("/run/k8s101/node"),
            logs=Path("/var/log"),
            socket_path=Path("/run/k8s101/node/supervisor.sock"),
            owner=(os.getuid(), os.getgid()),
            interface=SUPERVISOR_INTERFACE,
            umask="022",
        ),
    }
    for path, text in files.items():
        place = clear_way(node, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


def write_identity(settings: Settings, name: str, index: int, server: str) -> None:
    """Issue the node's own certificates: kubelet as client and as server, kube-proxy as client.

    Args:
        settings: the cluster's settings.
        name: name of the node.
        index: its number, counted from 1.
        server: URL of the API server as the node sees it.
    """
    # a guest, whose nodes have identities of the machine, need not load a library of cryptography
    from k8s101.cluster.access.pki import Authority, write_kubeconfig

    ca, kubernetes = Authority(settings.pki, "ca"), settings.node_dir(name) / "etc/kubernetes"
    for path in IDENTITY:
        clear_way(settings.node_dir(name), f"etc/kubernetes/{path}")
    write_private(kubernetes / "pki/ca.crt", ca.certificate_file.read_bytes())
    ca.issue_files(
        kubernetes / "pki",
        "kubelet",
        f"system:node:{name}",
        organization="system:nodes",
        hosts=[name, str(settings.ranges.node(index))],
        server=True,
    )
    write_kubeconfig(kubernetes / "kubelet.conf", ca, server, f"system:node:{name}", "system:nodes")
    write_kubeconfig(kubernetes / "kube-proxy.conf", ca, server, "system:kube-proxy")
