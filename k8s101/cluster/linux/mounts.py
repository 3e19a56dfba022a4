"""Mounts by the kernel's own calls: the `mount` command is a process each time, and a node has thirty mounts.

Constants: linux/mount.h, linux/fcntl.h, asm-generic/unistd.h.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_FLAGS = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 1024}
_REMOUNT, _BIND, _RECURSIVE, _PRIVATE, _SHARED = 32, 4096, 16384, 1 << 18, 1 << 20
_SYS_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1


def call(function: str, *arguments: object) -> None:
    """Call a function of the C library.

    Raises:
        OSError: it failed.
    """
    if getattr(_LIBC, function)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def mount(kind: str, target: str | Path, options: str = "", source: str | Path | None = None) -> None:
    """Mount a file system.

    Args:
        kind: its type, such as `tmpfs`.
        target: the directory.
        options: as in `mount -o`; flags that are not needed here are not known.
        source: the device, or what is to stand in the list of mounts.

    Raises:
        OSError: the kernel refused.
    """
    words = [word for word in options.split(",") if word]
    flags = sum(_FLAGS.get(word, 0) for word in words)
    data = ",".join(word for word in words if word not in _FLAGS)
    _mount(source or kind, target, kind, flags, data)


def remount(target: str | Path, options: str) -> None:
    """Change the options of a whole file system, such as `ro`."""
    _mount("none", target, "", _REMOUNT | sum(_FLAGS[word] for word in options.split(",")))


def bind(source: str | Path, target: str | Path, *, recursive: bool = False, read_only: bool = False) -> None:
    """Show a directory or file at a second place.

    Args:
        source: what is shown.
        target: the place, which exists.
        recursive: with what is mounted below it.
        read_only: so that nothing can be changed there.

    Raises:
        OSError: the kernel refused.
    """
    _mount(source, target, "", _BIND | _RECURSIVE * recursive)
    if read_only:
        make_read_only(target)


def make_private(target: str | Path) -> None:
    """Keep mounts here and below from showing anywhere else."""
    _mount("none", target, "", _PRIVATE | _RECURSIVE)


def make_shared(target: str | Path) -> None:
    """Let mounts here and below show in every copy."""
    _mount("none", target, "", _SHARED | _RECURSIVE)


def make_read_only(path: str | Path) -> None:
    """Make a mount and all below it read-only; util-linux learnt this after Debian 12."""
    attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    size = ctypes.sizeof(attributes)
    call("syscall", _SYS_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(path), _AT_RECURSIVE, attributes, size)


def _mount(source: str | Path, target: str | Path, kind: str, flags: int, data: str = "") -> None:
    number = ctypes.c_ulong(flags)
    if _LIBC.mount(os.fsencode(source), os.fsencode(target), kind.encode(), number, os.fsencode(data)):
        code = ctypes.get_errno()
        raise OSError(code, f"mount {target}: {os.strerror(code)}")


def is_overlay(path: Path) -> bool:
    """Tell whether a directory lies on an overlay, as the files of a container do that are its image's."""
    found = next(place for place in (path, *path.absolute().parents) if place.exists())
    device = found.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    entries = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return any(entry[2] == number and entry[entry.index("-") + 1] == "overlay" for entry in entries)
