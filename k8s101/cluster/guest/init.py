"""Inside the guest: process 1 of a user-mode Linux whose root is the machine's own files, read-only.

    python -m k8s101.cluster.guest.init boot STATE     the guest of a cluster: router, supervisor, nodes
    python -m k8s101.cluster.guest.init store ARCHIVE CONTAINERD CTR     a guest that only unpacks images

The guest's own network namespace is the router between its nodes, as in `router.py`; the nodes themselves
are those of `node.py`.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import resource
import socket
import subprocess
import sys
import xmlrpc.client
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from k8s101.cluster.components import cable, konnectivity
from k8s101.cluster.guest import control, node
from k8s101.cluster.guest.node import HOST, STATE
from k8s101.cluster.images.layers import SANDBOX_IMAGE
from k8s101.cluster.linux import cgroups
from k8s101.cluster.linux.mounts import call, mount
from k8s101.cluster.node.files import node_processes
from k8s101.cluster.node.node import FORKS
from k8s101.cluster.node.router import ip, set_network_setting
from k8s101.cluster.supervisor import forking, rpc
from k8s101.cluster.supervisor.process import OPEN_FILES, supervisor_config
from k8s101.cluster.values.deadline import until
from k8s101.cluster.values.settings import Settings

IMAGES = Path("/run/images")
"""Where the images are, unpacked, which `fill_store` wrote onto their disk."""

DISK, IMAGES_DISK = "/dev/ubda", "/dev/ubdb"
DISK_OPTIONS = "noatime,nobarrier"
"""The disk is a file: what reached it survives the guest, and the machine's own disk need not be waited for."""

WRITE_BACK = {"dirty_writeback_centisecs": 100, "dirty_expire_centisecs": 100}
"""So that the machine sees logs, and the disk what Pods wrote, a second later; a guest may be killed."""

NETWORK_DEVICE = "vec0"
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KUBELET_PORT, TURN_SECONDS, START_SECONDS = 10250, 30, 120
TURNS = (1000, 300, 100)
"""Weights of the first nodes while they start."""

TIMER_SLACK_NS = 5_000_000
"""How much later than asked for processes in the guest may wake up, together then: a timer costs much here."""

PR_SET_TIMERSLACK = 29  # linux/prctl.h
POWER_OFF = 0x4321FEDC  # linux/reboot.h


def mount_made(kind: str, place: str | Path, options: str = "", source: str | None = None) -> None:
    """Mount a file system on a directory that is made if need be."""
    Path(place).mkdir(parents=True, exist_ok=True)
    mount(kind, place, options, source)


def mount_basics() -> None:
    """Mount what every program expects of a machine, and version 2 cgroups."""
    os.environ |= {"PATH": SEARCH, "HOME": "/run", "TMPDIR": "/run"}
    mount_made("proc", "/proc")
    mount_made("sysfs", "/sys")
    mount_made("tmpfs", "/run", "mode=755")
    mount_made("devpts", "/dev/pts")
    mount_made("tmpfs", "/dev/shm", "mode=1777")
    mount_made("cgroup2", cgroups.MOUNT)
    # process 1 begins with few, and all others inherit its limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))


def boot(state: Path) -> None:
    """Prepare the guest of a cluster and become its supervisor.

    Args:
        state: the cluster's state directory, on the machine.
    """
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS)
    mount_basics()
    mount_made("hostfs", HOST, str(state))
    mount_made("ext4", STATE, DISK_OPTIONS, DISK)
    mount_made("ext4", IMAGES, "ro", IMAGES_DISK)
    for name, value in WRITE_BACK.items():
        Path("/proc/sys/vm", name).write_text(str(value))
    settings = dataclasses.replace(Settings.load(HOST), state=STATE)
    settings.save()
    plan = json.loads((HOST / cable.DIRECTORY / "guest.json").read_text())
    template = next((IMAGES / "image-store").glob("[0-9a-f]*"))
    (STATE / "nodes.json").write_text(
        json.dumps({"tools": plan["tools"], "images": str(template), "cache": plan["cache"]})
    )
    _network(settings)
    base = cgroups.delegate("k8s101")
    settings.cgroups_file.write_text(json.dumps(base))
    cgroups.enter(cgroups.SUPERVISOR, base)
    # a busy node must not keep the supervisor from starting the others
    cgroups.weigh(cgroups.SUPERVISOR, base, cgroups.MOST_WEIGHT)
    configuration = STATE / "supervisord.conf"
    configuration.write_text(_supervisor(settings, Path(plan["tools"]["konnectivity-agent"])))
    os.chdir("/")
    if os.fork() == 0:
        _start_in_turn(settings, base)
        os._exit(0)
    # in this process, which has loaded most of what the supervisor and its nodes need
    forking.become("--nodaemon", "--configuration", str(configuration), programs=FORKS)


def _start_in_turn(settings: Settings, base: dict[str, str]) -> None:
    """Start the nodes, the first with most of the processor: it is of use while the last is not there yet."""
    turns = dict(zip(settings.nodes, TURNS, strict=False))
    try:
        for name in settings.nodes:
            node.prepare(settings, name)
            _start(settings, name)
            _weigh(name, base, turns.get(name, 1))
            if name == settings.nodes[0]:
                _start(settings, control.AGENT)
        for number, name in enumerate(settings.nodes, start=1):
            until(partial(_answers, (str(settings.ranges.node(number)), KUBELET_PORT)), TURN_SECONDS)
            _weigh(name, base, cgroups.USUAL_WEIGHT)
    finally:
        for name in settings.nodes:
            _weigh(name, base, cgroups.USUAL_WEIGHT, seconds=0)


def _weigh(name: str, base: dict[str, str], weight: int, seconds: float = TURN_SECONDS) -> None:
    """Give a node its share, once it has a cgroup; one that died needs none."""
    with contextlib.suppress(OSError):
        until(partial(cgroups.weigh, name, base, weight), seconds, errors=(OSError,))


def _start(settings: Settings, name: str) -> None:
    """Ask the supervisor, once it is there, to start a process."""

    def asked() -> bool:
        # it runs where somebody else has asked before
        with contextlib.suppress(xmlrpc.client.Fault):
            rpc.client(settings.control_socket).k8s101.start(name)
        return True

    # the supervisor may be slow to answer on a busy machine (TimeoutError is an OSError)
    until(asked, START_SECONDS, every=0.02, errors=(OSError,))


def _answers(address: tuple[str, int]) -> bool:
    with socket.socket() as line:
        line.settimeout(1)
        return not line.connect_ex(address)


def _network(settings: Settings) -> None:
    """Set up the router; what leads out of it, cable decides."""
    ranges = settings.ranges
    ip(
        "link set lo up",
        f"addr add {ranges.router}/32 dev lo",
        f"link set {NETWORK_DEVICE} up",
        f"route add {ranges.host} dev {NETWORK_DEVICE} scope link src {ranges.router}",
        f"route add {cable.gateway(settings)} dev {NETWORK_DEVICE} scope link src {ranges.router}",
    )
    set_network_setting("ip_forward", "1")
    # cable finds the nodes at this machine's Ethernet address
    set_network_setting(f"conf/{NETWORK_DEVICE}/proxy_arp", "1")
    rules = f"""
    table ip k8s101 {{
        chain input {{
            type filter hook input priority filter
            tcp dport {cable.CONTROL_PORT} iifname != "{NETWORK_DEVICE}" drop
        }}
        chain postrouting {{
            type nat hook postrouting priority srcnat
            oifname "{NETWORK_DEVICE}" ip saddr {ranges.pods} snat to {ranges.router}
        }}
    }}
    """
    subprocess.run(("nft", "-f", "-"), input=rules, text=True, check=True)


def _supervisor(settings: Settings, agent: Path) -> str:
    """Return the configuration of the guest's supervisor, whose control interface is that of a cluster."""
    # `_start_in_turn` starts them
    nodes = [dataclasses.replace(process, autostart=False) for process in node_processes(settings)]
    text = supervisor_config(
        [*nodes, dataclasses.replace(konnectivity.agent(settings, agent, HOST / "pki"), autostart=False)],
        directory=STATE,
        logs=HOST / settings.guest_logs.relative_to(STATE),
        socket_path=settings.control_socket,
        owner=(0, 0),
        interface={
            "name": "k8s101",
            "factory": control.INSIDE,
            "state": str(STATE),
            "etcdctl": "/nonexistent",
        },
    )
    return f"{text}[inet_http_server]\nport = {settings.ranges.router}:{cable.CONTROL_PORT}\n"


def fill_store(archive: Path, containerd: Path, ctr: Path) -> None:
    """Unpack images onto the disk of a guest that does nothing else."""
    # the guest of a cluster does without
    from k8s101.cluster.guest import store
    from k8s101.cluster.images import stores

    mount_basics()
    mount_made("ext4", STATE, DISK_OPTIONS, DISK)
    os.environ["K8S101_CACHE"] = str(STATE)
    stores.ensure_template(archive, containerd=containerd, ctr=ctr, sandbox=SANDBOX_IMAGE)
    call("umount2", bytes(STATE), 0)
    print(store.DONE, flush=True)
    power_off()


def power_off() -> None:
    """End the guest."""
    os.sync()
    ctypes.CDLL(None).reboot(POWER_OFF)


def main(purpose: str, *arguments: str) -> int:
    """Do what the command line says."""
    if purpose == "boot":
        boot(Path(unquote(arguments[0])))
        return 0
    archive, containerd, ctr = map(Path, arguments)
    fill_store(archive, containerd, ctr)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
