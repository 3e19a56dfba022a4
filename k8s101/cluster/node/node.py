"""Becoming a node: fresh namespaces, private mounts, one link to the router, then process 1.

`python -m k8s101.cluster.node.node NAME` is run by the host supervisor in the router's network namespace. It
stays as the parent of the node's process 1: when either dies, the kernel ends the other and every process
of the node, with its mounts and its network.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from ipaddress import IPv4Network
from pathlib import Path

from k8s101.cluster.images.layers import mount_layers
from k8s101.cluster.linux import cgroups, seccomp
from k8s101.cluster.linux.mounts import bind, call, mount
from k8s101.cluster.node import root
from k8s101.cluster.node.files import SOCKET
from k8s101.cluster.node.router import NODE_LINK, forward_packets, ip, query
from k8s101.cluster.supervisor import after, forking
from k8s101.cluster.values.settings import Settings

_LIBC = ctypes.CDLL(None, use_errno=True)

# linux/sched.h
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = (
    0x00020000,
    0x02000000,
    0x04000000,
    0x08000000,
    0x20000000,
    0x40000000,
)
PR_SET_PDEATHSIG = 1  # linux/prctl.h

WAKE_SECONDS = 5

KERNEL_SETTINGS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}
"""What the kubelet would write for the whole machine (pkg/util/sysctl in kubernetes/kubernetes)."""


def _join_network(settings: Settings, name: str, index: int) -> None:
    """Move to a new network namespace with one link to the router."""
    ranges = settings.ranges
    address, router = ranges.node(index), ranges.router
    link, inner = f"{NODE_LINK}-{index}", f"eth0-{index}"
    outside = os.open("/proc/self/ns/net", os.O_RDONLY)
    if any(known["ifname"] == link for known in query("link", "show")):
        ip(f"link del {link}")
    ip(
        f"link add {link} type veth peer name {inner}",
        f"link set {link} up",
        f"route add {address} dev {link} scope link src {router}",
        f"route add {ranges.pods_of(index)} via {address} dev {link}",
        # Services answer at the first node that lives: the kernel drops these routes with the link
        *(f"route add {net} via {address} dev {link} metric {index}" for net in ranges.virtual),
    )
    call("unshare", CLONE_NEWNET)
    enter_router = ("nsenter", f"--net=/proc/self/fd/{outside}")
    move = (*enter_router, "ip", "link", "set", inner, "netns", str(os.getpid()))
    subprocess.run(move, check=True, pass_fds=(outside,))
    os.close(outside)
    ip(
        "link set lo up",
        f"link set {inner} name eth0",
        f"addr add {address}/32 dev eth0",
        "link set eth0 up",
        f"route add {router} dev eth0 scope link",
        f"route add {ranges.nodes} via {router} dev eth0",
        f"route add {ranges.pods} via {router} dev eth0",
        # looked up before kube-proxy rewrites the address
        f"route add {ranges.services} dev eth0 scope link src {address}",
    )
    forward_packets()
    _refuse_unknown(ranges.virtual)


def _refuse_unknown(networks: tuple[IPv4Network, ...]) -> None:
    """Refuse what kube-proxy left unchanged: it would drop it, and whoever asks would wait for nothing."""
    virtual = f"{{ {', '.join(map(str, networks))} }}"
    rules = f"ip daddr {virtual} meta l4proto tcp reject with tcp reset; ip daddr {virtual} reject"
    hooks = ("forward", "output")
    chains = "".join(f"chain {hook} {{ type filter hook {hook} priority filter - 1; {rules}; }}\n" for hook in hooks)
    subprocess.run(("nft", "-f", "-"), input=f"table ip k8s101 {{\n{chains}}}\n", text=True, check=True)


def _cover_kernel_settings() -> None:
    """Show the kubelet the kernel settings it wants, without changing the machine's."""
    for key, value in KERNEL_SETTINGS.items():
        target = Path("/proc/sys", key)
        if target.exists():
            _cover(target, f"{value}\n")
    if "cpu MHz" not in (known := Path("/proc/cpuinfo").read_text()):
        # user-mode Linux does not tell the clock rate, without which the kubelet ends
        _cover(Path("/proc/cpuinfo"), f"{known.rstrip()}\ncpu MHz\t\t: 1000.000\n\n")


def _cover(target: Path, text: str) -> None:
    cover = Path("/run/k8s101", str(target.relative_to("/proc")).replace("/", "."))
    cover.write_text(text)
    bind(cover, target)


def _process_one(name: str) -> None:
    """Finish the node from inside its process namespace and become its supervisor."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    call("umount2", b"/proc", root.MNT_DETACH)
    mount("proc", "/proc")
    _cover_kernel_settings()
    os.chdir("/")
    os.environ["TMPDIR"] = "/run"
    seccomp.confine_node()
    # not as a program of its own: that would load Python again
    forking.become("--nodaemon", "--configuration", "/etc/k8s101/supervisord.conf", programs=after.FORKS)


def _wake(address: Path) -> None:
    """Call the node's supervisor once: it starts its programs at the first call or after a second."""
    deadline = time.monotonic() + WAKE_SECONDS
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        while time.monotonic() < deadline:
            try:
                line.connect(str(address))
                return
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.01)


def main(state: Path, name: str) -> int:
    """Run a node until it dies.

    Args:
        state: the cluster's state directory.
        name: name of the node.

    Returns:
        The exit status of the node's process 1.
    """
    settings = Settings.load(state)
    plan = json.loads((settings.node_dir(name) / "node.json").read_text())
    base: dict[str, str] = json.loads(settings.cgroups_file.read_text())
    (settings.node_dir(name) / SOCKET).unlink(missing_ok=True)
    # what a node writes is read by containers of other users
    os.umask(0o022)
    cgroups.clear(name, base)
    cgroups.enter(name, base)
    call("unshare", CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP)
    cgroups.step_aside(name, base)
    _LIBC.sethostname(name.encode(), len(name))
    _join_network(settings, name, plan["index"])
    root.enter(settings.node_dir(name), plan["binds"], [Path(place) for place in plan["shown"]], base)
    mount_layers(Path("/run/k8s101/images"), Path("/var/lib/containerd"))
    call("unshare", CLONE_NEWPID)
    child = os.fork()
    if child == 0:
        _process_one(name)
    _wake(Path("/run/k8s101/node/supervisor.sock"))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


FORKS = {"k8s101.cluster.node.node": lambda state, name: main(Path(state), name)}
"""How a supervisor that has loaded this module starts a node (see `supervisor/forking`)."""


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
