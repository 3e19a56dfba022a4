"""What a privileged Pod tries in order to get at files of the machine, and what of them may not be seen or changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import Manifest, pod

WORD = "the-private-word"
THEIRS = "theirs"

WAYS = {
    "hostPath": ("/machine", "{}"),
    "hostfs": ("/tmp/m", "mkdir -p /tmp/m; mount -t hostfs none /tmp/m; {}; umount /tmp/m"),
    "hostfs of one directory": ("", "mkdir -p /tmp/o; mount -t hostfs -o {0} none /tmp/o; {1}; umount /tmp/o"),
    "the root of process 1": ("/proc/1/root", "{}"),
    "the namespaces of process 1": ("", "nsenter --target=1 --mount --pid --net --ipc --uts -- /bin/sh -c '{}'"),
    "a fresh root of process 1": ("/proc/self/root", "nsenter --target=1 --mount -- unshare -m /bin/sh -c '{}'"),
}
"""Ways to the machine's root: where it then is, and what leads there."""

MOST_BYTES = 1 << 20

LOOK = ("cat {file}", "ls -a {directory}")
CHANGE = (
    f"echo {THEIRS} >> {{file}}",
    f"echo {THEIRS} > {{directory}}/{THEIRS}",
    f"mkdir {{directory}}/{THEIRS}-d",
    f"ln -s /etc/passwd {{directory}}/{THEIRS}-l",
    f"ln {{file}} {{directory}}/{THEIRS}-h",
    f"mv {{file}} {{file}}.{THEIRS}",
    "touch -t 200101010101 {file}",
    "chmod 777 {file}",
    "chmod 777 {directory}",
    "chown 1:1 {file}",
    "truncate -s 0 {file}",
    "rm -f {file}",
)

OPEN_BY_NUMBER = """
import ctypes, os, struct, sys
libc, place = ctypes.CDLL(None, use_errno=True), os.open(sys.argv[1], os.O_RDONLY)
# inode 2 is the root of an ext4 (open_by_handle_at(2), linux/exportfs.h)
handle = struct.pack("=IiII", 8, 1, 2, 0)
found = libc.syscall(304, place, handle, os.O_RDONLY)
print(os.listdir(found) if found >= 0 else os.strerror(ctypes.get_errno()))
"""
"""A program that lists the root of the file system on which a directory lies."""


def intruder(name: str = "intruder", **spec: Any) -> Manifest:
    """Return a Pod with every right that a Pod can ask for."""
    mounts = [{"name": "machine", "mountPath": "/machine", "mountPropagation": "HostToContainer"}]
    return pod(
        name,
        hostPID=True,
        hostNetwork=True,
        hostIPC=True,
        volumes=[{"name": "machine", "hostPath": {"path": "/"}}],
        container={"securityContext": {"privileged": True}, "volumeMounts": mounts},
        **spec,
    )


def attempt(way: str, path: Path, lines: Iterable[str]) -> str:
    """Return a script that tries lines on a file of the machine, one after the other, whatever fails.

    Args:
        way: one of `WAYS`.
        path: the file, as the machine calls it.
        lines: commands with `{file}` and `{directory}`.
    """
    root, pattern = WAYS[way]
    place, file = f"{root}{path.parent}", f"{root}{path}"
    if "{1}" in pattern:
        place, file = "/tmp/o", f"/tmp/o/{path.name}"
    script = "; ".join(line.format(file=file, directory=place) for line in lines)
    return pattern.format(path.parent, script) if "{1}" in pattern else pattern.format(script)


@dataclass
class Kept:
    """Files of the machine as they are now, to be compared later.

    Args:
        files: each file as the cluster's machine calls it, and where the test finds it.
    """

    files: Mapping[Path, Path]

    def __post_init__(self) -> None:
        self._before = self._now()

    def _now(self) -> dict[Path, tuple[Any, ...]]:
        return {path: _facts(path) for file in self.files.values() for path in (file, file.parent)}

    def assert_unchanged(self) -> None:
        """Check that neither the files nor their directories changed."""
        assert self._now() == self._before
        for file in self.files.values():
            assert not [entry.name for entry in file.parent.iterdir() if THEIRS in entry.name]


def _facts(path: Path) -> tuple[Any, ...]:
    facts = path.stat()
    content: Any = None
    if path.is_file():
        with path.open("rb") as file:
            content = (facts.st_mtime_ns, facts.st_size, file.read(MOST_BYTES))
    return facts.st_mode, facts.st_uid, facts.st_gid, content
