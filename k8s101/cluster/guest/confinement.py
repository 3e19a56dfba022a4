"""What the guest's processes may touch of the machine's files and network, whoever is root inside.

A privileged Pod is root in the guest, and root in the guest can mount the machine's files, change routes and
packet filters. So the limits lie outside: the machine's kernel holds the user-mode kernel and its network to
these lists, by Landlock or, where it has none or an old one, by a root in which there is nothing else; and the
network, `components/cable`, leads nowhere but to two ports of loopback.
"""

from __future__ import annotations

import sys
from pathlib import Path

from k8s101.cluster.components import cable
from k8s101.cluster.guest.uml import DIRECTORY as UML
from k8s101.cluster.linux import landlock, own_root, seccomp
from k8s101.cluster.node.root import ETC, KERNELS, SYSTEM, USERS
from k8s101.cluster.values.settings import MOST_NODES, ROOT, Settings

DEVICES = tuple(Path("/dev", name) for name in ("null", "random", "urandom", "zero"))
KERNEL = (Path("/proc/self"), Path("/proc/cpuinfo"), Path("/proc/meminfo"))

IDENTITIES = ("settings.json", "archives", "nodes", "guest/guest.json", "pki/ca.crt")
"""What the guest reads of the state directory; and konnectivity's own files."""

LANDLOCK, OWN_ROOT = "Landlock", "a root of its own"
"""What can keep the user's files."""


def keeper() -> str:
    """Return what keeps the user's files from whoever is root in the guest, nothing where nothing keeps them whole."""
    if landlock.version() >= landlock.TRUNCATION_SINCE:
        return LANDLOCK
    return OWN_ROOT if own_root.possible() else ""


def gap() -> str:
    """Return in words what the machine cannot keep from whoever is root in the guest, nothing where it keeps all."""
    if keeper():
        return ""
    refused = "and users get no root of their own here (user namespaces)"
    if (offered := landlock.version()) < 1:
        return f"nothing keeps privileged Pods from your files: this kernel offers no Landlock, {refused}"
    return f"privileged Pods could empty your files: Landlock {offered} does not know that right, {refused}"


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
    network = settings.state / cable.DIRECTORY / cable.NETWORK_SOCKET
    hold(
        landlock.Rights(
            readable=[*SYSTEM, *etc, *python, *KERNEL, *programs, *own, state / "guest/images.img", network],
            writable=[*DEVICES, *writable(settings)],
        )
    )
    seccomp.confine_kernel()


def confine_network(settings: Settings, program: Path) -> None:
    """Hold this process, which is to become the guest's network, to its sockets and two ports."""
    hold(
        landlock.Rights(
            readable=[*SYSTEM, Path("/etc/ld.so.cache"), program, Path("/proc/self")],
            writable=[*DEVICES, settings.state / "guest"],
            connects=cable.reachable(settings),
            listens=True,
            signals=True,
        )
    )
    seccomp.confine_network()


def hold(rights: landlock.Rights) -> None:
    """Hold this process to its rights with all that the machine's kernel offers.

    Args:
        rights: what is left.

    Raises:
        OSError: a root of its own was possible, but not with these files.
    """
    if keeper() == OWN_ROOT:
        own_root.enter(rights.readable, rights.writable, KERNELS)
    landlock.restrict(rights)
