"""One cgroup per node, on cgroup v1, hybrid and v2 hosts, always below the cgroup we run in.

Version 1 keeps one tree per controller, version 2 one tree for all, in which a cgroup with children may
hold no processes of its own (https://docs.kernel.org/admin-guide/cgroup-v2.html).
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from k8s101.cluster.linux import devices
from k8s101.errors import Problem

MOUNT = Path("/sys/fs/cgroup")
SUPERVISOR = "supervisor"
"""Name of the cgroup of the supervisor and the control plane."""

LEAF = "init"
"""Name of the cgroup of a node's own processes, beside those of its Pods."""

PREFIX = "k8s101-"
"""How the names of all cgroups of clusters begin; the rest tells clusters apart that share a tree."""

OTHERS = "others-of-k8s101"
"""Name of the cgroup of whatever else runs in the container that we run in."""

CLEAR_SECONDS = 10

SHARES = {"cpu.shares": "10240", "cpu.weight": "1000"}
"""Processor time of a whole cluster, as much as ten of the processes beside it would get."""

NEEDED = ("cpu", "cpuset", "memory")
"""Without these a kubelet does not start (pkg/kubelet/cm/container_manager_linux.go in kubernetes/kubernetes)."""

USUAL_WEIGHT, MOST_WEIGHT = 100, 10000
"""Of a cgroup of version 2 that was given none, and the highest."""

V2_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")


def is_v2() -> bool:
    """Tell whether the machine has the single tree of version 2."""
    return (MOUNT / "cgroup.controllers").exists()


def own_paths(pid: int | str = "self") -> dict[str, str]:
    """Return the cgroup of a process in each mounted tree, by the tree's directory name.

    Version 2 has one tree, whose name here is the empty string.
    """
    paths = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if is_v2():
            if not controllers:
                paths[""] = path
        elif controllers:
            name = controllers.removeprefix("name=")
            if (MOUNT / name).is_dir():
                paths[name] = _below(path, _mounted_root(MOUNT / name))
    return paths


def _mounted_root(place: Path) -> str:
    """Return which cgroup is mounted at a place: on version 1, Docker shows a container its own there."""
    entries = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    # of several mounts at one place the last is the one that is seen
    return ["/", *(entry[3] for entry in entries if entry[4] == str(place.resolve()))][-1]


def _below(path: str, root: str) -> str:
    """Return a cgroup's path as seen below another, unchanged if it is not there."""
    if not Path(path).is_relative_to(root):
        return path
    below = str(Path(path).relative_to(root))
    return "/" if below == "." else f"/{below}"


def check_controllers() -> None:
    """Check that the kernel offers what kubelets need.

    Raises:
        Problem: a controller is switched off.
    """
    path = MOUNT / "cgroup.controllers"
    there = set(path.read_text().split()) if is_v2() else {name for tree in own_paths() for name in tree.split(",")}
    if missing := [name for name in NEEDED if name not in there]:
        raise Problem(
            f"the kernel's cgroup controller {' and '.join(missing)} is switched off, which kubelets need",
            where=str(path if is_v2() else MOUNT),
            then=f"cgroup_enable={missing[0]} on the kernel's command line (/boot/firmware/cmdline.txt, or "
            "GRUB_CMDLINE_LINUX and update-grub), then restart; or k8s101 up --backend guest",
        )


def check_writable() -> None:
    """Check that groups can be made below ours.

    Raises:
        Problem: the tree is read-only, as in containers without privileges.
    """
    directories = [MOUNT] if is_v2() else _directories(own_paths())
    if closed := [str(directory) for directory in directories if not os.access(directory, os.W_OK)]:
        raise Problem(
            "the cgroup tree cannot be written",
            where=closed[0],
            then="start the container with --privileged; or k8s101 up --backend guest",
        )


def _directories(base: dict[str, str]) -> list[Path]:
    return [MOUNT / tree / path.lstrip("/") for tree, path in base.items()]


def delegate(group: str) -> dict[str, str]:
    """Prepare each tree so that nodes can have cgroups below ours; return the base of each tree.

    On version 2 a cgroup whose controllers are handed on may hold no process, so what lives in the root
    of our tree moves into a leaf beside ours; `remove` moves it back.

    Args:
        group: name of the cgroup that holds everything of this cluster.

    Raises:
        Problem: the tree cannot be written.
    """
    base = own_paths()
    if not is_v2():
        return {tree: f"{path.rstrip('/')}/{group}" for tree, path in base.items()}
    parent = base[""] if under_systemd() else "/"
    root = MOUNT / parent.lstrip("/")
    try:
        if not (root / group).exists():
            (root / group).mkdir()
            devices.restrict(root / group)
        if not _is_true_root(root):
            (root / OTHERS).mkdir(exist_ok=True)
            _move_processes(root, root / OTHERS)
        for directory in (root, root / group):
            _hand_on_controllers(directory)
    except OSError as error:
        raise Problem(
            f"the cgroup tree cannot be shared with nodes: {error.strerror}",
            where=str(root),
            then="start the container with a private cgroup namespace that is writable (--cgroupns=private)",
        ) from error
    return {"": f"{parent.rstrip('/')}/{group}"}


def under_systemd() -> bool:
    """Tell whether systemd manages this machine's cgroups."""
    return Path("/run/systemd/system").is_dir()


def _is_true_root(directory: Path) -> bool:
    """Tell the machine's root, which may hold processes, from the root of a cgroup namespace."""
    return not (directory / "cgroup.type").exists()


def _move_processes(source: Path, target: Path) -> None:
    for pid in _members(source):
        try:
            (target / "cgroup.procs").write_text(str(pid))
        except ProcessLookupError:
            continue


def _members(directory: Path) -> list[int]:
    """Return the user-space processes of a cgroup; kernel threads cannot be moved."""
    members = []
    for pid in map(int, (directory / "cgroup.procs").read_text().split()):
        try:
            Path(f"/proc/{pid}/exe").readlink()
        except OSError:
            continue
        members.append(pid)
    return members


def _hand_on_controllers(directory: Path, sign: str = "+") -> None:
    available = (directory / "cgroup.controllers").read_text().split()
    for controller in set(available) & set(V2_CONTROLLERS):
        (directory / "cgroup.subtree_control").write_text(f"{sign}{controller}")


def enter(group: str, base: dict[str, str]) -> None:
    """Create a cgroup in every tree and move this process into it.

    Args:
        group: name of the node, the last part of the path.
        base: the base of each tree, as `delegate` returned it.
    """
    for tree, path in base.items():
        directory = MOUNT / tree / path.lstrip("/")
        if tree == "devices" and not directory.exists():
            directory.mkdir(parents=True)
            devices.restrict(directory)
        for part in (directory, directory / group):
            part.mkdir(exist_ok=True, parents=True)
            if tree == "cpuset":
                _copy_cpuset(part)
        _favour(directory)
        (directory / group / "cgroup.procs").write_text(str(os.getpid()))


def weigh(group: str, base: dict[str, str], weight: int) -> bool:
    """Give a cgroup of version 2 its share of the processor, beside the others of its cluster.

    Args:
        group: name of the node, as it was entered.
        base: the base of each tree.
        weight: the share, from 1 to 10000.

    Returns:
        True, so that it can be waited for.

    Raises:
        OSError: there is no such cgroup.
    """
    (_directories(base)[0] / group / "cpu.weight").write_text(str(weight))
    return True


def step_aside(group: str, base: dict[str, str]) -> None:
    """On version 2 move this process into a leaf of its cgroup, which may then have cgroups with limits below it.

    Args:
        group: name of the node, as it was entered.
        base: the base of each tree.
    """
    if is_v2():
        directory = _directories(base)[0] / group
        (directory / LEAF).mkdir(exist_ok=True)
        (directory / LEAF / "cgroup.procs").write_text(str(os.getpid()))
        _hand_on_controllers(directory)


def _favour(directory: Path) -> None:
    """Let a busy browser beside it not slow down the cluster, which would otherwise count as one process."""
    for name, value in SHARES.items():
        if (directory / name).exists():
            (directory / name).write_text(value)


def _copy_cpuset(directory: Path) -> None:
    """Fill a new cpuset from its parent: an empty one accepts no process."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (directory / name).read_text().strip():
            if not (directory.parent / name).read_text().strip():
                _copy_cpuset(directory.parent)
            (directory / name).write_text((directory.parent / name).read_text())


def processes(base: dict[str, str]) -> set[int]:
    """Return every process of this cluster that lives in one of its cgroups."""
    found: set[int] = set()
    for directory in _directories(base):
        for path, _, _ in os.walk(directory):
            found.update(map(int, Path(path, "cgroup.procs").read_text().split()))
    return found


def remove(base: dict[str, str]) -> None:
    """Remove the cluster's cgroups; its processes must have ended."""
    for directory in _directories(base):
        if not directory.is_dir():
            continue
        last = all(other == directory for other in directory.parent.glob(f"{PREFIX}*"))
        if last and is_v2() and not _is_true_root(directory.parent):
            _hand_on_controllers(directory.parent, "-")
            _move_processes(directory.parent / OTHERS, directory.parent)
            (directory.parent / OTHERS).rmdir()
        _remove_tree(directory)


def clear(group: str, base: dict[str, str]) -> None:
    """Remove what a node that died left of its cgroups.

    A kubelet asks the container runtime about each container whose cgroup it finds, seconds for each.
    """
    for directory in _directories(base):
        _remove_tree(directory / group)


def _remove_tree(directory: Path) -> None:
    """Remove a cgroup and all below it; its last processes may be ending still."""
    deadline = time.monotonic() + CLEAR_SECONDS
    while directory.is_dir():
        try:
            for path, _, _ in os.walk(directory, topdown=False):
                Path(path).rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def inner_mounts(base: dict[str, str]) -> list[tuple[str, str, str]]:
    """Return what a node mounts to see its own cgroup as the root: (directory, type, options)."""
    if is_v2():
        return [("", "cgroup2", "rw")]
    return [(tree, "cgroup", "none,name=systemd" if tree == "systemd" else tree) for tree in sorted(base)]
