"""What the guest's processes may touch of the machine's files and network, whoever is root inside.

A privileged Pod is root in the guest, and root in the guest can mount the machine's files, change routes and
packet filters. So the limits lie outside: the machine's kernel holds the user-mode kernel and its network to
these lists, and the network, `components/cable`, leads nowhere but to two ports of loopback.
"""

from __future__ import annotations

import sys
from pathlib import Path

from k8s101.cluster.components import cable
from k8s101.cluster.guest.uml import DIRECTORY as UML
from k8s101.cluster.linux import landlock, seccomp
from k8s101.cluster.node.root import ETC, SYSTEM, USERS
from k8s101.cluster.values.settings import MOST_NODES, ROOT, Settings

DEVICES = tuple(Path("/dev", name) for name in ("null", "random", "urandom", "zero"))
KERNEL = (Path("/proc/self"), Path("/proc/cpuinfo"), Path("/proc/meminfo"))

IDENTITIES = ("settings.json", "archives", "nodes", "guest/guest.json", "pki/ca.crt")
"""What the guest reads of the state directory; and konnectivity's own files."""


def gap() -> str:
    """Return in words what this kernel cannot keep from whoever is root in the guest, nothing where it keeps all."""
    offered = landlock.version()
    if offered < 1:
        return "nothing keeps privileged Pods from your files: this kernel offers no Landlock"
    if offered < landlock.TRUNCATION_SINCE:
        return f"privileged Pods could empty your files: Landlock {offered} of this kernel does not know that right"
    return ""


def prepare(settings: Settings) -> None:
    """Make the directories into which the guest writes, before it is held to them."""
    settings.archives.mkdir(exist_ok=True)
    for place in writable(settings):
        if place.suffix != ".img":
            place.mkdir(parents=True, exist_ok=True)


def writable(settings: Settings) -> list[Path]:
    """Return what the guest changes of the machine: nothing that a process of the machine obeys."""
    guest = settings.state / "guest"
    logs = (settings.node_dir(f"worker-{number}") / "var/log" for number in range(1, MOST_NODES + 1))
    return [guest / "disk.img", guest / UML, settings.guest_logs, *logs]


def confine_kernel(settings: Settings, programs: list[Path]) -> None:
    """Hold this process, which is to become the guest's kernel, to what a guest needs.

    Args:
        settings: the cluster's settings.
        programs: directories and files of the cache, which the guest reads.
    """
    state = settings.state
    python = [Path(sys.prefix), Path(sys.base_prefix), ROOT / "k8s101"]
    etc = [Path("/etc", name) for name in (*ETC, *USERS)]
    own = [*(state / name for name in IDENTITIES), *settings.pki.glob("konnectivity-*")]
    landlock.restrict(
        landlock.Rights(
            readable=[*SYSTEM, *etc, *python, *KERNEL, *programs, *own, state / "guest/images.img"],
            writable=[*DEVICES, *writable(settings)],
        )
    )
    seccomp.confine_kernel()


def confine_network(settings: Settings, program: Path) -> None:
    """Hold this process, which is to become the guest's network, to its sockets and two ports."""
    landlock.restrict(
        landlock.Rights(
            readable=[*SYSTEM, Path("/etc/ld.so.cache"), program, Path("/proc/self")],
            writable=[*DEVICES, settings.state / "guest"],
            connects=cable.reachable(settings),
            listens=True,
            signals=True,
        )
    )
    seccomp.confine_network()
