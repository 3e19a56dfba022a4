"""The files a node sees: a root of its own, with what its programs need of the machine's and nothing else.

A mount made read-only is not enough: the container runtime takes that off again from what it mounts into a
Pod, and whoever is root in a privileged Pod can do so as well. The machine's files are therefore seen through
overlays without a writable layer, whose file system itself is read-only
(https://docs.kernel.org/filesystems/overlayfs.html, "Multiple lower layers").
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from k8s101.cluster.components import containerd
from k8s101.cluster.linux import cgroups
from k8s101.cluster.linux.mounts import bind, call, make_private, make_shared, mount, remount
from k8s101.cluster.values.settings import ROOT

MNT_DETACH = 2  # linux/mount.h
CLONE_NEWNS = 0x00020000  # linux/sched.h

SYSTEM = tuple(Path("/", name) for name in ("bin", "lib", "lib32", "lib64", "libx32", "sbin", "usr"))
"""Where the machine's programs are."""

ETC = (
    "alternatives",
    "crypto-policies",
    "ethertypes",
    "gai.conf",
    "host.conf",
    "iproute2",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "login.defs",
    "machine-id",
    "mke2fs.conf",
    "networks",
    "nsswitch.conf",
    "os-release",
    "pki/tls/openssl.cnf",
    "protocols",
    "rpc",
    "services",
    "shells",
    "ssl/openssl.cnf",
)
"""What programs look for in /etc, and tells nothing about the machine's users."""

USERS = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
    "group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
}

PRIVATE_DIRECTORIES = ("/mnt", "/opt", "/root", "/srv", "/tmp", "/var/cache", "/var/lib", "/var/log", "/var/tmp")
"""Writable places of a node, which are directories of its own."""

KERNELS = ("/dev", "/proc", "/run", "/sys")
"""Where a node has mounts of other kinds."""

DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "kmsg", "fuse")
"""A node has no disks, so that privileged Pods cannot reach the machine's."""

DEVICE_FILE_SYSTEMS = (
    ("pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5"),
    ("shm", "tmpfs", "mode=1777,nosuid,nodev"),
    ("mqueue", "mqueue", "nosuid,nodev,noexec"),
)


def enter(node: Path, binds: dict[str, str], shown: Iterable[Path], base: dict[str, str]) -> None:
    """Make the node's files the root of this process, which has a mount namespace of its own.

    Args:
        node: the node's directory.
        binds: where the node sees which directory of the machine, below /run.
        shown: more directories of the machine, which the node sees at their own places.
        base: the base of each tree of cgroups.

    Raises:
        OSError: the kernel refused a mount.
    """
    make_private("/")
    stage, root = _stage(node, binds), node / "tree"
    root.mkdir(exist_ok=True)
    mount("tmpfs", root, "mode=755")
    empty = stage / "k8s101/empty"
    for place in SYSTEM:
        if place.is_symlink():
            (root / place.name).symlink_to(place.readlink())
    for directory in (*PRIVATE_DIRECTORIES, *KERNELS, "/etc"):
        Path(f"{root}{directory}").mkdir(parents=True, exist_ok=True)
    for directory in PRIVATE_DIRECTORIES:
        bind(f"{node}{directory}", f"{root}{directory}")
    for place in _shown_places(shown):
        if any(place.is_relative_to(directory) for directory in PRIVATE_DIRECTORIES):
            clear_way(node, str(place.relative_to("/")))
        _show(place, Path(f"{root}{place}"), empty)
    (root / "var/run").symlink_to("/run")
    _write_etc(stage / "k8s101/etc")
    layers = f"lowerdir={stage}/k8s101/etc,upperdir={node / 'etc'},workdir={node / 'etc-work'}"
    mount("overlay", f"{root}/etc", layers)
    bind(stage, f"{root}/run", recursive=True)
    _show_kernel(stage, root, base)
    remount(root, "ro")
    os.chdir(root)
    _leave_chroot()
    call("pivot_root", b".", b".")
    call("umount2", b".", MNT_DETACH)
    os.chdir("/")
    make_shared("/")


def _leave_chroot() -> None:
    """Go to the root of this mount namespace, which another is where somebody called chroot; stay in the directory.

    Else the machine's root would stay that of the namespace, and whatever enters a container's namespace later, as
    `kubectl exec` does, would be there instead of in the container (setns(2)).
    """
    here = os.open(".", os.O_PATH | os.O_DIRECTORY)
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    try:
        call("setns", own, CLONE_NEWNS)
        make_private("/")
        os.fchdir(here)
    finally:
        os.close(own)
        os.close(here)


def clear_way(node: Path, path: str) -> Path:
    """Return a path in a node's directory, after clearing what the node put there.

    Whoever is root in the node could leave a link or a device, so that we, who are root on the machine,
    would write to the machine's files.
    """
    place = node
    for part in Path(path).parts:
        place /= part
        if place.is_symlink() or (place.exists() and not place.is_dir() and not place.is_file()):
            place.unlink()
    return place


def _write_etc(etc: Path) -> None:
    """Copy what a node sees of the machine's /etc, as far as everybody may read it."""
    for name in ETC:
        source, target = Path("/etc", name), etc / name
        if not source.exists() or not source.stat().st_mode & stat.S_IROTH:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copyfile(source, target)
    for name, text in USERS.items():
        (etc / name).write_text(text)


def _stage(node: Path, binds: dict[str, str]) -> Path:
    """Mount what will be the node's /run, with all that it needs of the machine."""
    stage = node / "run"
    mount("tmpfs", stage, "mode=755")
    empty, devices, own = (stage / "k8s101" / name for name in ("empty", "dev", "node"))
    for directory in (empty, devices, own):
        directory.mkdir(parents=True)
    bind(node / "own", own)
    for source, target in binds.items():
        staged = stage / target.removeprefix("/run/")
        staged.mkdir(parents=True)
        if target == containerd.ARCHIVES:
            # an overlay does not see what is added below it
            bind(source, staged, read_only=True)
        else:
            _show(Path(source), staged, empty)
    mount("tmpfs", devices, "mode=755")
    for name in DEVICES:
        if Path("/dev", name).exists():
            facts = Path("/dev", name).stat()
            os.mknod(devices / name, facts.st_mode, facts.st_rdev)
            (devices / name).chmod(facts.st_mode & 0o777)
    return stage


def _shown_places(more: Iterable[Path]) -> Iterator[Path]:
    """Yield the directories that a node sees of the machine, and what is mounted below them, parents first."""
    wanted = [place for place in SYSTEM if place.is_dir() and not place.is_symlink()]
    own = [Path(sys.prefix), Path(sys.base_prefix), ROOT / "k8s101", *filter(Path.is_dir, more)]
    wanted += [place for place in own if not any(place.is_relative_to(other) for other in wanted)]
    mounted = [place for place in _mount_points() if any(place.is_relative_to(other) for other in wanted)]
    yield from sorted({*wanted, *mounted})


def _mount_points() -> Iterator[Path]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        # spaces stand there as \040
        place = Path(line.split()[4].encode().decode("unicode_escape").encode("latin-1").decode())
        if place.is_dir():
            yield place


def _show(place: Path, target: Path, empty: Path) -> None:
    """Mount a view of a directory that cannot be changed, at a place that is made if need be."""
    target.mkdir(parents=True, exist_ok=True)
    directory = os.open(place, os.O_PATH | os.O_DIRECTORY)
    try:
        # where the machine's root is nobody, as in some guests, `mount` would become that; it must stay root
        options = "ro" if place.stat().st_uid == 0 else "ro,nosuid"
        # an overlay of one layer would want a writable one
        mount("overlay", target, f"{options},lowerdir={empty}:/proc/self/fd/{directory}")
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
    # until the node's process 1 puts its own in its place: nobody may find the machine's below that
    bind("/proc", f"{root}/proc")
    mount("sysfs", f"{root}/sys", "ro")
    if not cgroups.is_v2():
        mount("tmpfs", f"{root}/sys/fs/cgroup", "mode=755")
    for tree, kind, options in cgroups.inner_mounts(base):
        (root / "sys/fs/cgroup" / tree).mkdir(exist_ok=True)
        mount(kind, f"{root}/sys/fs/cgroup/{tree}", options)
