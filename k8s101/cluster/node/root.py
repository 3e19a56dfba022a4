"""The files a node sees: the machine's, which nothing can change, and its own, which it can.

A mount made read-only is not enough: the container runtime takes that off again from what it mounts into a
Pod. The machine's files are therefore seen through an overlay without a writable layer, whose file system
itself is read-only (https://docs.kernel.org/filesystems/overlayfs.html, "Multiple lower layers").
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from k8s101.cluster.linux import cgroups
from k8s101.cluster.linux.mounts import bind, call, make_private, make_shared, mount
from k8s101.cluster.values.settings import ROOT

MNT_DETACH = 2  # linux/mount.h

PRIVATE_DIRECTORIES = ("/var/lib", "/var/log", "/mnt", "/srv")
"""Writable places of a node; all else of the machine's files can only be read."""

NOT_SHOWN = (*PRIVATE_DIRECTORIES, "/dev", "/proc", "/run", "/sys")
"""Where a node has mounts of its own."""

NO_FILES = {"autofs", "binfmt_misc", "debugfs", "fusectl", "hugetlbfs", "nsfs", "rpc_pipefs", "squashfs", "tracefs"}
"""File systems that hold nothing a node could need."""

DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "kmsg", "fuse")
"""A node has no disks, so that privileged Pods cannot reach the machine's."""

DEVICE_FILE_SYSTEMS = (
    ("pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5"),
    ("shm", "tmpfs", "mode=1777,nosuid,nodev"),
    ("mqueue", "mqueue", "nosuid,nodev,noexec"),
)


def enter(node: Path, binds: dict[str, str], base: dict[str, str]) -> None:
    """Make the node's files the root of this process, which has a mount namespace of its own.

    Args:
        node: the node's directory.
        binds: where the node sees which directory of the machine, below /run.
        base: the base of each tree of cgroups.

    Raises:
        OSError: the kernel refused a mount.
    """
    make_private("/")
    stage, root = _stage(node, binds), node / "root"
    root.mkdir(exist_ok=True)
    for place in _mounted_places():
        _show(place, Path(f"{root}{place}"), stage)
    mount("overlay", f"{root}/etc", f"lowerdir=/etc,upperdir={node / 'etc'},workdir={node / 'etc-work'}")
    bind(stage, f"{root}/run", recursive=True)
    for directory in filter(os.path.isdir, PRIVATE_DIRECTORIES):
        bind(f"{node}{directory}", f"{root}{directory}")
    for place in _own_places():
        Path(f"{root}{place}").mkdir(parents=True, exist_ok=True)
        bind(place, f"{root}{place}", read_only=True)
    _show_kernel(stage, root, base)
    os.chdir(root)
    call("pivot_root", b".", b".")
    call("umount2", b".", MNT_DETACH)
    os.chdir("/")
    make_shared("/")


def _stage(node: Path, binds: dict[str, str]) -> Path:
    """Mount what will be the node's /run, with all that it needs of the machine."""
    stage = node / "run"
    mount("tmpfs", stage, "mode=755")
    for source, target in {str(node): "/run/k8s101/node", **binds}.items():
        staged = stage / target.removeprefix("/run/")
        staged.mkdir(parents=True)
        bind(source, staged, read_only=source in binds)
    (stage / "k8s101/empty").mkdir()
    devices = stage / "k8s101/dev"
    devices.mkdir()
    mount("tmpfs", devices, "mode=755")
    for name in DEVICES:
        if Path("/dev", name).exists():
            facts = Path("/dev", name).stat()
            os.mknod(devices / name, facts.st_mode, facts.st_rdev)
            (devices / name).chmod(facts.st_mode & 0o777)
    return stage


def _mounted_places() -> Iterator[Path]:
    """Yield the directories where the machine's files are mounted, parents first."""
    places: dict[Path, str] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        # spaces stand there as \040
        name = line.split()[4].encode().decode("unicode_escape").encode("latin-1").decode()
        places[Path(name)] = line.partition(" - ")[2].split()[0]
    for place, kind in sorted(places.items()):
        hidden = any(place.is_relative_to(directory) for directory in NOT_SHOWN)
        if not hidden and kind not in NO_FILES and place.is_dir():
            yield place


def _own_places() -> set[Path]:
    """Return where Python and this package lie, if a node has a directory of its own there (Binder: /srv/conda)."""
    places = {ROOT, Path(sys.prefix), Path(sys.base_prefix)}
    return {place for place in places if any(place.is_relative_to(directory) for directory in PRIVATE_DIRECTORIES)}


def _show(place: Path, target: Path, stage: Path) -> None:
    """Mount a view of a directory that cannot be changed."""
    directory = os.open(place, os.O_PATH | os.O_DIRECTORY)
    try:
        # an overlay of one layer would want a writable one
        mount("overlay", target, f"ro,lowerdir={stage}/k8s101/empty:/proc/self/fd/{directory}")
    except OSError:
        # some file systems cannot be a layer
        bind(place, target, read_only=True)
    finally:
        os.close(directory)


def _show_kernel(stage: Path, root: Path, base: dict[str, str]) -> None:
    """Mount devices, processes, the kernel's objects and the node's cgroups."""
    bind(stage / "k8s101/dev", f"{root}/dev")
    for name, kind, options in DEVICE_FILE_SYSTEMS:
        (root / "dev" / name).mkdir()
        mount(kind, f"{root}/dev/{name}", options)
    (root / "dev/ptmx").symlink_to("pts/ptmx")
    bind("/proc", f"{root}/proc")
    mount("sysfs", f"{root}/sys", "ro")
    if not cgroups.is_v2():
        mount("tmpfs", f"{root}/sys/fs/cgroup", "mode=755")
    for tree, kind, options in cgroups.inner_mounts(base):
        (root / "sys/fs/cgroup" / tree).mkdir(exist_ok=True)
        mount(kind, f"{root}/sys/fs/cgroup/{tree}", options)
