"""The `nodes` backend: control plane and three real workers in namespaces of this machine."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from k8s101.cluster.access import identity
from k8s101.cluster.access.api import Api
from k8s101.cluster.backends import objects
from k8s101.cluster.backends.base import FULL, Capabilities, Finding, Supplies, Traits
from k8s101.cluster.host import host
from k8s101.cluster.images import building
from k8s101.cluster.images.layers import SANDBOX_IMAGE
from k8s101.cluster.images.stores import ensure_template
from k8s101.cluster.linux import cgroups, limits, packet_filter
from k8s101.cluster.linux.capabilities import has_capability
from k8s101.cluster.linux.mounts import is_overlay
from k8s101.cluster.node import ranges, router
from k8s101.cluster.node.files import TOOLS as NODE_TOOLS
from k8s101.cluster.node.files import node_processes, write_node_files, write_plan
from k8s101.cluster.programs.binaries import ensure
from k8s101.cluster.supervisor.process import Process
from k8s101.cluster.values.progress import Report
from k8s101.cluster.values.settings import MOST_NODES, Settings, cache_dir, invoking_user
from k8s101.errors import Problem

TRAITS = Traits(FULL, needs_root=True, memory_gib=3)

verify = identity.verify

TOOLS = (*host.CONTROL_PLANE_TOOLS, *NODE_TOOLS)

INOTIFY_INSTANCES = 45
"""A cluster with three nodes takes 38."""


# linux/capability.h
CAPABILITIES = {"CAP_SYS_ADMIN": 21, "CAP_NET_ADMIN": 12}

COMMANDS = {
    "ip": "iproute2",
    "nft": "nftables",
    "mount": "mount",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
"""Programs of the machine that nodes need, and their Debian packages."""


def possible() -> bool:
    """Tell whether this process has the rights that real nodes need."""
    return os.getuid() == 0 and not _lacking()


def _lacking() -> list[str]:
    return [name for name, number in CAPABILITIES.items() if not has_capability(number)]


def check() -> None:
    """Check what real nodes need of the machine.

    Raises:
        Problem: something is missing.
    """
    if os.getuid() != 0:
        raise Problem("real nodes need root", where=f"running as uid {os.getuid()}", then="sudo -E k8s101 up")
    if missing := _lacking():
        raise Problem(
            f"this root lacks {' and '.join(missing)}",
            where="/proc/self/status",
            then="start the container with --privileged, or use a virtual machine",
        )
    search = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    if packages := sorted({package for name, package in COMMANDS.items() if not shutil.which(name, path=search)}):
        raise Problem(
            f"missing programs: {', '.join(packages)}", where="PATH", then=f"apt-get install {' '.join(packages)}"
        )
    packet_filter.check(search, here=True)
    cgroups.check_controllers()
    cgroups.check_writable()
    limits.check_watches()
    if not Path("/dev/kmsg").exists():
        raise Problem(
            "/dev/kmsg is missing, which the kubelet reads",
            where="/dev",
            then="start the container with --device /dev/kmsg or --privileged",
        )
    # a cluster that runs has its own already
    if not _runs(router.owner()) and not _can_watch_files(INOTIFY_INSTANCES):
        raise Problem(
            f"fewer than {INOTIFY_INSTANCES} file watchers are left, which kubelets and container runtimes need",
            where="/proc/sys/fs/inotify/max_user_instances",
            then="sysctl -w fs.inotify.max_user_instances=512",
        )


def examine(settings: Settings | None) -> list[Finding]:
    """Say what real nodes find on this machine; who uses a cluster that was started through sudo can start none."""
    if os.getuid() != 0:
        return [Finding(True, "kind of cluster: nodes"), *([_examine_way(settings)] if settings else [])]
    kind = "version 2" if cgroups.is_v2() else "version 1"
    return [
        Finding.asked(check, "real nodes: root, capabilities and programs are there"),
        Finding.asked(cgroups.check_writable, f"cgroups {kind}"),
        _examine_ranges(settings),
        _examine_way(settings),
    ]


def why_not(kind: str) -> Finding:
    """Say that a cluster is of this kind, and why this user does not get real nodes of the machine."""
    try:
        check()
    except Problem as problem:
        return Finding(True, f"kind of cluster: {kind} ({problem.found}: {problem.then})")
    return Finding(True, f"kind of cluster: {kind}")


def _examine_ranges(settings: Settings | None) -> Finding:
    if settings is None:
        return Finding.asked(lambda: ranges.choose().nodes, "free address ranges, nodes in {}")
    own = settings.ranges
    return Finding(True, f"address ranges {own.nodes}, {own.pods}, {own.services} are the cluster's")


def _examine_way(settings: Settings | None) -> Finding:
    """Say whether packets for the cluster get there, whatever a VPN has changed."""
    before = router.rules_before_main()
    if settings is not None and running(settings):
        return Finding.asked(
            lambda: router.check_way(settings), "this machine's packets for the cluster reach it" + _besides(before)
        )
    return Finding(
        True, f"rules that come before the machine's routes: {', '.join(before) or 'none'}" + _besides(before)
    )


def _besides(before: list[str]) -> str:
    return "; the cluster's own rules come before those of a VPN" if before else ""


def _can_watch_files(instances: int) -> bool:
    """Tell whether so many inotify instances can be had now; their number is limited per user."""
    libc = ctypes.CDLL(None)
    descriptors: list[int] = []
    try:
        while len(descriptors) < instances and (descriptor := libc.inotify_init1(os.O_CLOEXEC)) >= 0:
            descriptors.append(descriptor)
        return len(descriptors) == instances
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def create(state: Path, node_count: int) -> Settings:
    """Lay out a cluster in address ranges that this machine does not use.

    Raises:
        Problem: too many nodes, no free ranges, or another cluster.
    """
    _refuse_second(state)
    if node_count > MOST_NODES:
        raise Problem(
            f"{node_count} real nodes are too many for one machine",
            where=f"at most {MOST_NODES}",
            then=f"k8s101 up --backend simulated --nodes {node_count}",
        )
    user = invoking_user()
    return Settings(state, "nodes", ranges.choose(), node_count, (user.uid, user.gid), own_network=True)


def _refuse_second(state: Path) -> None:
    """Refuse to start beside another cluster of real nodes: its interface and its cgroups have fixed names."""
    owner = router.owner()
    if owner != state and _runs(owner):
        raise Problem(
            "a cluster of real nodes runs on this machine already",
            where=str(owner),
            then=f"use it: export K8S101_STATE={owner}; or end it: K8S101_STATE={owner} k8s101 down",
        )


def _runs(owner: Path | None) -> bool:
    return owner is not None and host.process(Settings(owner)) is not None


def prepare(report: Report) -> Supplies:
    """Find or make programs and images."""
    return Supplies(ensure(TOOLS, report), building.ensure_images(report))


def configure(settings: Settings, tools: dict[str, Path], archive: Path) -> None:
    """Write all files of the control plane and of the first nodes; existing identities are kept."""
    # Linux stacks two overlays; a node shows its images through one, and each of its containers is another
    place = settings.state / "image-store" if is_overlay(cache_dir()) else None
    containerd, ctr = tools["containerd"], tools["ctr"]
    template = ensure_template(archive, containerd=containerd, ctr=ctr, sandbox=SANDBOX_IMAGE, place=place)
    for directory in (settings.logs, settings.state / "nodes"):
        directory.mkdir(parents=True, exist_ok=True)
        os.chown(directory, 0, settings.owner[1])
        # the owner reads logs; what is made in here gets the same group
        directory.chmod(0o2750)
    host.write_control_plane(settings)
    write_plan(settings, tools=tools, images=template)
    for index, name in enumerate(settings.nodes, start=1):
        write_node_files(settings, name, index)
    host.write_config(settings, processes(settings, tools), tools["etcdctl"])


def processes(settings: Settings, tools: Mapping[str, Path]) -> list[Process]:
    """Return the control plane and the nodes."""
    return [*host.control_plane_programs(settings, tools), *node_processes(settings)]


def dns_answers(settings: Settings) -> bool:
    """Tell whether the cluster's DNS accepts connections at its Service address."""
    try:
        with socket.create_connection((str(settings.ranges.dns), 53), timeout=0.5):
            return True
    except OSError:
        return False


def start(settings: Settings, parts: Supplies) -> None:
    """Start the host supervisor, and with it all components, in a network namespace of its own.

    Raises:
        Problem: it ended at once.
    """
    assert parts.images is not None, "prepare makes the images"
    _refuse_second(settings.state)
    stop(settings)
    configure(settings, parts.tools, parts.images)
    command = [sys.executable, "-m", "k8s101.cluster.node.together", str(host.configuration_file(settings))]
    command = ["unshare", "--net", "--", *command]
    if cgroups.is_v2() and cgroups.under_systemd():
        unit = ["systemd-run", "--quiet", "--collect", "--unit=k8s101", "--property=Delegate=yes"]
        command = [*unit, *command, "--nodaemon"]
    host.launch(settings, command)


def connect(settings: Settings) -> None:
    """Give this machine its link to the cluster."""
    supervisor = host.process(settings)
    assert supervisor is not None, "the supervisor was just seen running"
    router.connect_host(settings, supervisor.pid)


def populate(settings: Settings, api: Api) -> None:
    """Write nodes, access rules, DNS and identity."""
    objects.populate(settings, api)


def waits(settings: Settings) -> dict[str, Callable[[], bool]]:
    """Return the wait for the cluster's DNS."""
    return {"cluster DNS ready": lambda: dns_answers(settings)}


def stop(settings: Settings) -> None:
    """End every process of the cluster and the host's link; the state directory stays.

    Raises:
        Problem: a process did not end, which only a process stuck in the kernel does.
    """
    base = _cgroups(settings)
    if (supervisor := host.process(settings)) is not None:
        # its children, and each node's process 1, end with it (parent-death signal)
        supervisor.kill()
    for pid in cgroups.processes(base) - {os.getpid()}:
        _kill(pid)
    host.refuse_survivors(_processes(base))
    host.end(settings)
    if router.owner() == settings.state:
        router.disconnect_host()
    cgroups.remove(base)


def _kill(pid: int) -> None:
    """Kill a process that may have ended already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _processes(base: dict[str, str]) -> list[psutil.Process]:
    found = []
    for pid in cgroups.processes(base) - {os.getpid()}:
        try:
            found.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    return found


def _cgroups(settings: Settings) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(settings.cgroups_file.read_text())
        return found
    except FileNotFoundError:
        return {}


def running(settings: Settings) -> bool:
    """Tell whether the host supervisor runs."""
    return host.process(settings) is not None


def capabilities(settings: Settings) -> Capabilities:
    """Return what notebooks may rely on: everything."""
    return TRAITS.usual


def forget(settings: Settings, report: Callable[[str], None]) -> None:
    """End the cluster; what it made outside its state directory goes with it."""
    stop(settings)
    router.forget_routes(settings)
