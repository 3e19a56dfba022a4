"""Give this process a root of its own with a few files of the machine in it, without any privilege.

For machines whose Landlock is missing or too old. In a user namespace of its own everybody may mount and change
the root; what is not there cannot be reached, and once the capabilities are gone nothing can be mounted, nor
made writable again (user_namespaces(7), mount_namespaces(7), pivot_root(2)).
Constants: linux/sched.h, linux/capability.h, linux/prctl.h, linux/mount.h.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from k8s101.cluster.linux.mounts import bind, call, make_private, mount, remount

_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000
_CAPABILITIES_VERSION = 0x20080522
_NO_NEW_PRIVILEGES = 38
_DETACH = 2

_STAGE = "/sys"
"""Where the new root is mounted first: whatever is below is out of sight meanwhile, and nobody shows files of it."""

_MACHINE = Path("/machine")
"""Where the machine's root is until everything is shown."""


def possible() -> bool:
    """Tell whether the machine lets this user have one, by trying it in a child."""
    child = os.fork()
    if not child:
        failed = 1
        try:
            enter([Path("/usr")], [Path("/dev/null")])
            failed = 0
        finally:
            os._exit(failed)
    return os.waitpid(child, 0)[1] == 0


def enter(readable: Iterable[Path], writable: Iterable[Path], empty: Iterable[str] = ()) -> None:
    """Leave this process and its children, for good, a root with these places of the machine; it must have one thread.

    Args:
        readable: files and directories that it sees and cannot change; what does not exist is passed over.
        writable: what it may also change.
        empty: directories to be there with nothing in them.

    Raises:
        OSError: the kernel refused; this process is of no use then.
    """
    here, mask = Path.cwd(), os.umask(0o022)
    places = [(path, changes) for paths, changes in ((readable, False), (writable, True)) for path in paths]
    places = [(path, changes) for path, changes in places if path.exists()]
    shown = {path.resolve(): changes for path, changes in places}
    links = {link: target for path, _ in places for link, target in _links(path)}
    _become_another_user_namespace()
    make_private("/")
    mount("tmpfs", _STAGE, "mode=755,size=1m,nosuid")
    Path(f"{_STAGE}{_MACHINE}").mkdir()
    call("pivot_root", os.fsencode(_STAGE), os.fsencode(f"{_STAGE}{_MACHINE}"))
    os.chdir("/")
    # what lies in another place comes after it, else it would be covered
    for place, changes in sorted(shown.items()):
        _show(place, read_only=not changes)
    for link, target in links.items():
        if not os.path.lexists(link):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
    for directory in empty:
        Path(directory).mkdir(parents=True, exist_ok=True)
    call("umount2", bytes(_MACHINE), _DETACH)
    _MACHINE.rmdir()
    remount("/", "ro")
    with contextlib.suppress(FileNotFoundError):
        os.chdir(here)
    os.umask(mask)
    _drop_capabilities()


def _links(path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the symbolic links on the way to a path, and where each leads in the end."""
    for place in (*reversed(path.parents), path):
        if place.is_symlink():
            yield place.parent.resolve() / place.name, place.resolve()


def _become_another_user_namespace() -> None:
    """Be the same user in namespaces in which this process may mount."""
    user, group = os.geteuid(), os.getegid()
    call("unshare", _NEW_USER | _NEW_MOUNTS)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        Path("/proc/self", name).write_text(text)
    # containers often show this read-only; mounts are locked in a namespace within this one all the same
    with contextlib.suppress(OSError):
        Path("/proc/sys/user/max_user_namespaces").write_text("0")


def _show(place: Path, *, read_only: bool) -> None:
    """Mount a place of the machine at the same path, which is made if need be."""
    source = Path(f"{_MACHINE}{place}")
    if source.is_dir():
        place.mkdir(parents=True, exist_ok=True)
    elif not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    # recursive: what is mounted below may not be uncovered here
    bind(source, place, recursive=True, read_only=read_only)


def _drop_capabilities() -> None:
    """Give up the rights over the namespaces, and the way to get them back by starting a program."""
    call("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    call("capset", struct.pack("=Ii", _CAPABILITIES_VERSION, 0), bytes(24))
