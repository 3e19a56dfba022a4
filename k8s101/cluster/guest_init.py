"""Inside the guest: process 1 of a user-mode Linux whose root is the machine's own files, read-only.

    python -m k8s101.cluster.guest_init boot STATE     the guest of a cluster: router, supervisor, nodes
    python -m k8s101.cluster.guest_init node NAME      one of its nodes, run by its supervisor

The guest's own network namespace is the router between its nodes, as in `router.py`; the nodes themselves
are those of `node.py`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from . import cgroups, node
from .backends.node_files import write_configuration
from .components import gvproxy, konnectivity
from .process import SUPERVISORD, Program, supervisor_config
from .router import ip, set_network_setting
from .settings import Settings

HOST = Path("/run/host")
"""The cluster's state directory on the machine."""

STATE = Path("/run/guest")
"""The guest's own state directory, on a disk of its own."""

STORE = Path("/run/store")
"""The image store that all nodes share, on a read-only disk."""

NETWORK_DEVICE = "vec0"


def mount(kind: str, place: str | Path, options: str = "", source: str = "none") -> None:
    """Mount a file system, on a directory that is made if need be."""
    Path(place).mkdir(parents=True, exist_ok=True)
    subprocess.run(("mount", "-t", kind, "-o", options or "defaults", source, str(place)), check=True)


def mount_basics() -> None:
    """Mount what every program expects of a machine, and version 2 cgroups."""
    os.environ |= {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/run"}
    mount("proc", "/proc")
    mount("sysfs", "/sys")
    mount("tmpfs", "/run", "mode=755")
    mount("devpts", "/dev/pts")
    mount("tmpfs", "/dev/shm", "mode=1777")
    mount("cgroup2", cgroups.MOUNT)


def boot(state: Path) -> None:
    """Prepare the guest of a cluster and become its supervisor.

    Args:
        state: the cluster's state directory, on the machine.
    """
    mount_basics()
    mount("hostfs", HOST, str(state))
    mount("ext4", STATE, "noatime", "/dev/ubda")
    mount("ext4", STORE, "ro,noatime", "/dev/ubdb")
    settings = dataclasses.replace(Settings.load(HOST), state=STATE)
    settings.save()
    plan = json.loads((HOST / gvproxy.DIRECTORY / "guest.json").read_text())
    template = next((STORE / "image-store").glob("[0-9a-f]*"))
    (STATE / "nodes.json").write_text(json.dumps({"tools": plan["tools"], "images": str(template)}))
    _network(settings)
    base = cgroups.delegate("k8s101")
    settings.cgroups_file.write_text(json.dumps(base))
    cgroups.enter(cgroups.SUPERVISOR, base)
    configuration = STATE / "supervisord.conf"
    configuration.write_text(_supervisor(settings, Path(plan["tools"]["konnectivity-agent"])))
    os.chdir("/")
    os.execv(SUPERVISORD[0], (*SUPERVISORD, "--nodaemon", "--configuration", str(configuration)))


def _network(settings: Settings) -> None:
    """Set up the router, with no way out but to the API server and konnectivity of the machine."""
    ranges, ports = settings.ranges, settings.ports
    ip(
        "link set lo up",
        f"addr add {ranges.router}/32 dev lo",
        f"link set {NETWORK_DEVICE} up",
        f"route add {ranges.host} dev {NETWORK_DEVICE} scope link src {ranges.router}",
        f"route add {gvproxy.gateway(settings)} dev {NETWORK_DEVICE} scope link src {ranges.router}",
    )
    set_network_setting("ip_forward", "1")
    # gvproxy finds the nodes at this machine's Ethernet address
    set_network_setting(f"conf/{NETWORK_DEVICE}/proxy_arp", "1")
    rules = f"""
    table ip k8s101 {{
        chain output {{ type filter hook output priority filter; oifname "{NETWORK_DEVICE}" jump outside; }}
        chain forward {{ type filter hook forward priority filter; oifname "{NETWORK_DEVICE}" jump outside; }}
        chain outside {{
            ct state established,related accept
            ip daddr {ranges.host} tcp dport {{ {ports.api}, {ports.konnectivity} }} accept
            drop
        }}
        chain input {{
            type filter hook input priority filter
            tcp dport {gvproxy.CONTROL_PORT} iifname != "{NETWORK_DEVICE}" drop
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
    nodes = [
        Program(
            name := f"worker-{index}",
            (sys.executable, "-m", "k8s101.cluster.guest_init", "node", name),
            autostart=name in settings.nodes,
            autorestart=False,
            stop_signal="KILL",
            priority=5,
        )
        for index in range(1, 10)
    ]
    text = supervisor_config(
        [*nodes, konnectivity.agent(settings, agent, HOST / "pki")],
        directory=STATE,
        logs=HOST / gvproxy.DIRECTORY / "log",
        socket_path=settings.control_socket,
        owner=(0, 0),
        interface={
            "name": "k8s101",
            "factory": "k8s101.cluster.control:make_rpcinterface",
            "state": str(STATE),
            "etcdctl": "/nonexistent",
        },
    )
    return f"{text}[inet_http_server]\nport = {settings.ranges.router}:{gvproxy.CONTROL_PORT}\n"


def run_node(name: str) -> int:
    """Take over the node's identity from the machine, write the rest of its files and run it until it dies."""
    settings = Settings.load(STATE)
    identity = Path("nodes", name, "etc/kubernetes")
    shutil.copytree(HOST / identity, STATE / identity, dirs_exist_ok=True)
    write_configuration(settings, name, int(name.removeprefix("worker-")))
    return node.main(STATE, name)


if __name__ == "__main__":
    if sys.argv[1] == "boot":
        boot(Path(sys.argv[2]))
    sys.exit(run_node(sys.argv[2]))
