"""User-mode Linux: a whole kernel as one program of an ordinary user.

Its command line is documented in Documentation/virt/uml/ of the Linux sources. The kernel is to be started
in the directory of its disks and sockets: it splits its arguments at commas and spaces, so that only names
relative to that directory are given to it.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from k8s101.errors import Problem

DIRECTORY = "uml"
"""Where the kernel keeps its number and its console, below the directory in which it starts."""

MAC = "5a:94:ef:e4:0c:ee"
PROBE, PROBE_SECONDS = ("/bin/echo", "started"), 60
"""What the first start does, and how long it may take; a second, unless the machine is very busy."""

ENVIRONMENT = {"HOME": "/", "PATH": "/usr/bin:/bin", "TERM": "linux"}


def command(
    kernel: Path,
    init: Sequence[str],
    *,
    memory_mib: int,
    disks: Sequence[str] = (),
    network: str | None = None,
) -> list[str]:
    """Return the command that boots the machine's own files, read-only, as the guest's root.

    Args:
        kernel: the program that `kernel.ensure_kernel` made.
        init: what runs as process 1 inside, and its arguments.
        memory_mib: memory of the guest, in MiB; only what is used is taken.
        disks: names of image files.
        network: name of the socket where cable waits for it.
    """
    drives = [
        f"ubd{number}{'r' * name.endswith(':ro')}={name.removesuffix(':ro')}" for number, name in enumerate(disks)
    ]
    vector = [f"vec0:transport=bess,dst={network},depth=128,gro=1,mac={MAC}"] if network else []
    return [
        str(kernel),
        f"mem={memory_mib}M",
        # with seccomp a system call costs a third of what it costs with ptrace, the fall-back
        "seccomp=auto",
        f"uml_dir={DIRECTORY}/",
        "umid=uml",
        *drives,
        *vector,
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        # else the kernel would add it behind the arguments of the first process
        "console=tty0",
        "con=null",
        "con0=null,fd:1",
        "ssl=null",
        "loglevel=4",
        f"init={init[0]}",
        "--",
        *init[1:],
    ]


def check_starts(kernel: Path) -> None:
    """Start the kernel with a little program inside, which takes a fraction of a second.

    Raises:
        Problem: it cannot run here, because neither seccomp nor ptrace is allowed or it is no program of this machine;
            or it did not start in time.
    """
    with tempfile.TemporaryDirectory(prefix="k8s101-") as directory:
        try:
            result = subprocess.run(
                command(kernel, PROBE, memory_mib=32),
                cwd=directory,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=PROBE_SECONDS,
            )
            said = result.stdout.decode(errors="replace")
        except subprocess.TimeoutExpired:
            raise Problem(
                f"a user-mode kernel did not start within {PROBE_SECONDS} s",
                where=str(kernel),
                then="k8s101 up again when the machine is less busy; or k8s101 up --backend simulated",
            ) from None
        except OSError as error:
            said = str(error)
    if PROBE[1] not in said and "noexec" in said:
        raise Problem(
            "a user-mode kernel cannot run here: its memory may not be executed",
            where="the mount options of /dev/shm and /tmp: noexec",
            then="mount -o remount,exec /dev/shm; or k8s101 up --backend simulated",
        )
    if PROBE[1] not in said:
        raise Problem(
            "a user-mode kernel cannot run here: it needs seccomp or ptrace",
            where=" ".join(said.split()[-25:]),
            then="k8s101 up --backend simulated",
        )
