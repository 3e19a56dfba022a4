"""What a user may use of the machine: open files, processes, memory, file watches, programs on a disk."""

from __future__ import annotations

import contextlib
import os
import resource
from dataclasses import dataclass
from pathlib import Path

import psutil

from k8s101.errors import Problem


@dataclass(frozen=True)
class Limit:
    """One limit of this process and its children (getrlimit(2)).

    Args:
        number: which one.
        option: as bash's `ulimit` calls it.
        name: as /etc/security/limits.conf calls it.
        what: what it counts.
        needed: how much a cluster needs.
    """

    number: int
    option: str
    name: str
    what: str
    needed: int


FILES = Limit(resource.RLIMIT_NOFILE, "-n", "nofile", "open files", 1024)
THREADS = Limit(resource.RLIMIT_NPROC, "-u", "nproc", "processes and threads", 400)
"""Beside those that run already."""

MEMORY = Limit(resource.RLIMIT_AS, "-v", "as", "addresses for a process", 16 << 30)
"""etcd alone reserves eleven GiB of addresses for its data, whatever there is of it."""

WATCHES = 1024
MOST_WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")


def widen() -> None:
    """Take as much of each limit as a cluster needs, for this process and what it starts.

    Raises:
        Problem: this user may not have as much.
    """
    for limit in (FILES, THREADS, MEMORY):
        _widen(limit)


def _widen(limit: Limit) -> None:
    soft, hard = resource.getrlimit(limit.number)
    needed = limit.needed + (_threads() if limit is THREADS and soft != resource.RLIM_INFINITY else 0)
    if _is_enough(soft, needed) or (limit is THREADS and os.getuid() == 0):
        return
    # root may have more than its limit, others as much as it
    for wanted in ((needed, hard if _is_enough(hard, needed) else needed), (hard, hard)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit.number, wanted)
            break
    if not _is_enough(resource.getrlimit(limit.number)[0], needed):
        user = psutil.Process().username()
        unit = 1024 if limit is MEMORY else 1
        raise Problem(
            f"this user may have {soft // unit}{' KiB of' if unit > 1 else ''} {limit.what}, and a cluster needs "
            f"{needed // unit}",
            where=f"ulimit -H {limit.option}",
            then=f"'{user} hard {limit.name} {needed // unit}' in /etc/security/limits.conf, then log in again",
        )


def _is_enough(value: int, needed: int) -> bool:
    return value == resource.RLIM_INFINITY or value >= needed


def _threads() -> int:
    """Count the threads of this user."""
    found = 0
    for process in psutil.process_iter(["uids", "num_threads"]):
        uids = process.info["uids"]
        if uids and uids.real == os.getuid():
            found += process.info["num_threads"] or 1
    return found


def check_watches() -> None:
    """Check that kubelets and container runtimes can watch their files.

    Raises:
        Problem: too few watches are allowed.
    """
    allowed = int(MOST_WATCHES.read_text())
    if allowed < WATCHES:
        raise Problem(
            f"{allowed} files may be watched, which is too few for kubelets and container runtimes",
            where=str(MOST_WATCHES),
            then=f"sysctl -w fs.inotify.max_user_watches={max(WATCHES, 8192)}",
        )


def check_programs_run(place: Path, variable: str) -> None:
    """Check that programs in a directory can be run.

    Args:
        place: the directory; it need not be there yet.
        variable: what names another one.

    Raises:
        Problem: its file system is mounted without exec.
    """
    found = next(path for path in (place, *place.absolute().parents) if path.exists())
    if not os.statvfs(found).f_flag & os.ST_NOEXEC:
        return
    mount = next(path for path in (found, *found.parents) if path.is_mount())
    raise Problem(
        f"programs in {place} cannot be run: its file system is mounted with noexec",
        where=str(mount),
        then=f"mount -o remount,exec {mount}; or set {variable} to a directory elsewhere",
    )
