"""The `nodes` backend: control plane and three real workers in namespaces of this machine."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
from tenacity import Retrying, stop_after_delay, wait_fixed

from ...errors import Problem
from .. import cgroups, router
from ..components import control_plane
from ..components.node import TOOLS as NODE_TOOLS
from ..components.node import has_capability
from ..pki import create_control_plane
from ..process import Program, client, supervisor_config
from ..settings import CANDIDATE_RANGES, Ranges, Settings
from .node_files import write_node_files, write_plan

CONTROL_PLANE_TOOLS = ("etcd", "etcdctl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
TOOLS = (*CONTROL_PLANE_TOOLS, *NODE_TOOLS)

MAXIMUM_NODES = 9
STOP_SECONDS = 10
START_SECONDS = 10

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


def check() -> None:
    """Check what real nodes need of the machine.

    Raises:
        Problem: something is missing.
    """
    if os.getuid() != 0:
        raise Problem(
            "real nodes need root", where=f"running as uid {os.getuid()}", then="sudo -E k8s101 up"
        )
    if missing := [name for name, number in CAPABILITIES.items() if not has_capability(number)]:
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
    if not Path("/dev/kmsg").exists():
        raise Problem(
            "/dev/kmsg is missing, which the kubelet reads",
            where="/dev",
            then="start the container with --device /dev/kmsg or --privileged",
        )


def choose_ranges() -> Ranges:
    """Return the first set of address ranges that nothing on this machine uses.

    Raises:
        Problem: all candidates clash.
    """
    used = set()
    for route in router.query("route", "show", "table", "all"):
        if route["dst"] not in ("default",) and ":" not in route["dst"]:
            used.add(ipaddress.ip_network(route["dst"]))
    for ranges in CANDIDATE_RANGES:
        wanted = (ranges.nodes, ranges.pods, ranges.services)
        if not any(net.overlaps(other) for net in wanted for other in used):
            return ranges
    raise Problem(
        "every address range that a cluster could take is in use on this machine",
        where="ip route show table all",
        then="disconnect a VPN or remove another cluster's networks, then run k8s101 up again",
    )


def configure(settings: Settings, tools: dict[str, Path], images: Path) -> None:
    """Write all files of the control plane and of the first nodes; existing identities are kept."""
    for directory in (settings.logs, settings.state / "nodes"):
        directory.mkdir(parents=True, exist_ok=True)
        os.chown(directory, 0, settings.owner[1])
        # the owner reads logs; what is made in here gets the same group
        directory.chmod(0o2750)
    create_control_plane(settings)
    if not (settings.state / "encryption.yaml").exists():
        control_plane.write_encryption(settings, enabled=False)
    write_plan(settings, tools=tools, images=images)
    for index, name in enumerate(settings.nodes, start=1):
        write_node_files(settings, name, index)
    interface = {
        "name": "k8s101",
        "factory": "k8s101.cluster.control:make_rpcinterface",
        "state": str(settings.state),
        "etcdctl": str(tools["etcdctl"]),
    }
    text = supervisor_config(
        [*_control_plane(settings, tools), *_nodes(settings)],
        directory=settings.state,
        logs=settings.logs,
        socket_path=settings.control_socket,
        owner=settings.owner,
        interface=interface,
    )
    (settings.state / "supervisord.conf").write_text(text)


def _control_plane(settings: Settings, tools: dict[str, Path]) -> list[Program]:
    return [
        control_plane.etcd(settings, tools["etcd"]),
        control_plane.api_server(settings, tools["kube-apiserver"]),
        control_plane.controller_manager(settings, tools["kube-controller-manager"]),
        control_plane.scheduler(settings, tools["kube-scheduler"]),
    ]


def _nodes(settings: Settings) -> list[Program]:
    """Return one program a node, also for those that a lesson may add; a dead node stays dead."""
    return [
        Program(
            name := f"worker-{index}",
            (sys.executable, "-m", "k8s101.cluster.node", str(settings.state), name),
            autostart=name in settings.nodes,
            autorestart=False,
            stop_signal="KILL",
            priority=5,
        )
        for index in range(1, MAXIMUM_NODES + 1)
    ]


def supervisor_pid(settings: Settings) -> int | None:
    """Return the process of the running host supervisor, or None."""
    try:
        pid = int((settings.state / "supervisord.pid").read_text())
        command = psutil.Process(pid).cmdline()
    except (OSError, ValueError, psutil.Error):
        return None
    # the number may belong to another process by now
    return pid if str(settings.state / "supervisord.conf") in command else None


def start(settings: Settings) -> None:
    """Start the host supervisor, and with it all components, in a network namespace of its own.

    Raises:
        Problem: it ended at once.
    """
    command = [sys.executable, "-m", "k8s101.cluster.router", str(settings.state)]
    command = ["unshare", "--net", "--", *command]
    if cgroups.is_v2() and cgroups.under_systemd():
        unit = ["systemd-run", "--quiet", "--collect", "--unit=k8s101", "--property=Delegate=yes"]
        command = [*unit, *command, "--nodaemon"]
    log = settings.logs / "start.log"
    with log.open("wb") as output:
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/"}
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
    if result.returncode:
        last = "".join(log.read_text(errors="replace").splitlines(keepends=True)[-5:])
        raise Problem(f"the supervisor did not start:\n{last}", where=str(log), then="k8s101 doctor")
    for attempt in Retrying(stop=stop_after_delay(START_SECONDS), wait=wait_fixed(0.02)):
        with attempt:
            client(settings.control_socket).k8s101.status()


def stop(settings: Settings) -> None:
    """End every process of the cluster and the host's link; the state directory stays.

    Raises:
        Problem: a process did not end, which only a process stuck in the kernel does.
    """
    base = _cgroups(settings)
    if pid := supervisor_pid(settings):
        # its children, and each node's process 1, end with it (parent-death signal)
        os.kill(pid, signal.SIGKILL)
    for pid in cgroups.processes(base) - {os.getpid()}:
        _kill(pid)
    _, alive = psutil.wait_procs(_processes(base), timeout=STOP_SECONDS)
    if alive:
        raise Problem(
            f"processes that do not end: {', '.join(f'{p.pid}' for p in alive)}",
            where="/proc",
            then="k8s101 down again; if it stays, restart the machine",
        )
    for leftover in (settings.control_socket, settings.state / "supervisord.pid"):
        leftover.unlink(missing_ok=True)
    router.disconnect_host(settings)
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
        return json.loads(settings.cgroups_file.read_text())
    except FileNotFoundError:
        return {}
