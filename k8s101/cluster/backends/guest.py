"""The `guest` backend: real nodes without privileges, inside one user-mode Linux; the control plane outside."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from k8s101.cluster.access import identity
from k8s101.cluster.access.api import Api
from k8s101.cluster.access.pki import Authority
from k8s101.cluster.backends import local, nodes, objects
from k8s101.cluster.backends.base import Capabilities, Finding, Supplies, Traits
from k8s101.cluster.components import cable, konnectivity
from k8s101.cluster.guest import confinement, control, store, uml
from k8s101.cluster.host import host
from k8s101.cluster.images import building
from k8s101.cluster.linux import packet_filter
from k8s101.cluster.node.files import TOOLS as NODE_TOOLS
from k8s101.cluster.node.files import programs_dir, write_identity
from k8s101.cluster.programs import kernel
from k8s101.cluster.programs.binaries import ensure
from k8s101.cluster.supervisor.process import Process
from k8s101.cluster.values.progress import Report
from k8s101.cluster.values.settings import CANDIDATE_RANGES, MOST_NODES, Settings, invoking_user
from k8s101.errors import Problem

TOOLS = (*host.CONTROL_PLANE_TOOLS, *NODE_TOOLS, *konnectivity.TOOLS, "cable")
MEMORY_MIB = 1088
LONGEST_SOCKET = 107
"""Length of a Unix socket's path in bytes (unix(7))."""

COMMANDS = {
    "ip": "iproute2",
    "nft": "nftables",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}
"""Programs of the machine that the guest needs, and their Debian packages."""

TRAITS = Traits(
    Capabilities(containers=True, host_network=False, control_plane_faults=True, node_faults=True),
    patience=3,
    nodes_in="guest",
    next_best="simulated",
)

verify = identity.verify


def possible() -> bool:
    """Tell whether this machine is of the kind on which user-mode Linux runs."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def check() -> None:
    """Check what a guest needs of the machine.

    Raises:
        Problem: programs are missing.
    """
    search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    if packages := sorted({package for name, package in COMMANDS.items() if not shutil.which(name, path=search)}):
        raise Problem(
            f"missing programs: {', '.join(packages)}", where=search, then=f"apt-get install {' '.join(packages)}"
        )
    packet_filter.check(search, here=False)


def examine(settings: Settings | None) -> list[Finding]:
    """Say why it is not real nodes of the machine itself, and what keeps Pods from the machine."""
    gap = confinement.gap()
    kept = gap or f"{confinement.keeper()} and seccomp keep privileged Pods from your files"
    return [
        nodes.why_not("guest"),
        Finding(not gap, kept, "use a kernel from 6.2 on with Landlock, or allow user namespaces, or trust your Pods"),
    ]


def prepare(report: Report) -> Supplies:
    """Find or make programs, kernel, images and the disk that holds them.

    Raises:
        Problem: one could not be made, or the kernel cannot run here.
    """
    program = kernel.ensure_kernel(report)
    uml.check_starts(program)
    tools = ensure(TOOLS, report)
    disk = store.ensure_store(program, building.ensure_images(report), tools, report)
    return Supplies(tools | {kernel.NAME: program}, disk)


def create(state: Path, node_count: int) -> Settings:
    """Lay out a cluster on free ports of loopback; its address ranges exist in the guest only.

    Raises:
        Problem: too many nodes, or a path that is too long for sockets.
    """
    if node_count > MOST_NODES:
        raise Problem(
            f"{node_count} real nodes are too many for one guest",
            where=f"at most {MOST_NODES}",
            then=f"k8s101 up --backend simulated --nodes {node_count}",
        )
    if len(bytes(state / cable.DIRECTORY / cable.SERVICE_SOCKET)) > LONGEST_SOCKET:
        raise Problem(
            "the path of the state directory is too long for sockets",
            where=str(state),
            then="set K8S101_STATE to a shorter one",
        )
    user = invoking_user()
    return Settings(state, "guest", CANDIDATE_RANGES[0], node_count, (user.uid, user.gid), local.free_ports())


def running(settings: Settings) -> bool:
    """Tell whether the host supervisor runs."""
    return host.process(settings) is not None


def start(settings: Settings, parts: Supplies) -> None:
    """Write all files and start the control plane and the guest."""
    assert parts.images is not None, "prepare makes the disk of images"
    stop(settings)
    identities = [settings.node_dir(name).relative_to(settings.state) / "etc/kubernetes" for name in settings.nodes]
    kubeconfigs = [str(place / name) for place in identities for name in ("kubelet.conf", "kube-proxy.conf")]
    settings = local.renew_ports(settings, (*local.KUBECONFIGS, *kubeconfigs))
    directory = settings.state / cable.DIRECTORY
    for place in (settings.logs, settings.guest_logs):
        place.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    _write_identities(settings)
    konnectivity.write_files(settings)
    _write_guest(settings, parts.tools, parts.images)
    local.start(settings, processes(settings, parts.tools), parts.tools["etcdctl"], control.OUTSIDE)


def processes(settings: Settings, tools: Mapping[str, Path]) -> list[Process]:
    """Return the control plane, konnectivity's server and the guest."""
    flags = (f"--advertise-address={settings.ranges.host}", *konnectivity.flags(settings))
    return [
        *host.control_plane_programs(settings, tools, *flags),
        konnectivity.server(settings, tools["konnectivity-server"]),
        Process("guest", (sys.executable, "-m", "k8s101.cluster.guest.launch", str(settings.state)), priority=5),
    ]


def _write_identities(settings: Settings) -> None:
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    addresses = [settings.api_address, settings.ranges.host, settings.ranges.services[1]]
    settings.pki.mkdir(exist_ok=True)
    # nodes and Pods reach the API server at other addresses than this machine does
    Authority(settings.pki, "ca").issue_files(
        settings.pki, "apiserver", "kube-apiserver", hosts=[*names, *map(str, addresses)], server=True
    )
    host.write_control_plane(settings)
    for index, name in enumerate(settings.nodes, start=1):
        write_identity(settings, name, index, cable.api_server(settings))


def _write_guest(settings: Settings, tools: dict[str, Path], images: Path) -> None:
    """Write what the guest reads of this machine, and its disk if there is none yet."""
    directory = settings.state / cable.DIRECTORY
    plan = {
        "tools": {name: str(tools[name]) for name in (*NODE_TOOLS, "konnectivity-agent", "cable")},
        "kernel": str(tools[kernel.NAME]),
        "memory": MEMORY_MIB,
        "cache": str(programs_dir()),
        "readable": [str(programs_dir()), *map(str, tools.values()), str(images)],
    }
    (directory / "guest.json").write_text(json.dumps(plan))
    (directory / "images.img").unlink(missing_ok=True)
    (directory / "images.img").symlink_to(images)
    if not (disk := directory / "disk.img").exists():
        store.make_disk(disk)
    confinement.prepare(settings)


def connect(settings: Settings) -> None:
    """Loopback is always connected."""


def populate(settings: Settings, api: Api) -> None:
    """Write nodes, access rules, DNS and identity."""
    objects.populate(settings, api)


def waits(settings: Settings) -> dict[str, Callable[[], bool]]:
    """Return the wait for the cluster's DNS."""
    api = Api(settings.kubeconfig)

    def dns_ready() -> bool:
        found = api.get("/apis/apps/v1/namespaces/kube-system/deployments/coredns")
        return bool(found.get("status", {}).get("readyReplicas"))

    return {"cluster DNS ready": dns_ready}


def capabilities(settings: Settings) -> Capabilities:
    """Return what notebooks may rely on."""
    return TRAITS.usual


def forward(settings: Settings, address: str, port: int) -> int:
    """Return a port of loopback that leads to a port of a node, such as a NodePort."""
    remote = f"{address}:{port}"
    for known, target in cable.exposed(settings).items():
        if target == remote:
            return int(known.rpartition(":")[2])
    number = port if local.is_free(port) else local.free_ports().api
    cable.expose(settings, f"127.0.0.1:{number}", remote)
    return number


def stop(settings: Settings) -> None:
    """End every process of the cluster; the state directory stays."""
    host.end(settings)


def forget(settings: Settings, report: Callable[[str], None]) -> None:
    """End the cluster; all it made is in its state directory."""
    stop(settings)
