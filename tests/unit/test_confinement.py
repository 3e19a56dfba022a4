"""What a process that confined itself may still do; every attempt succeeds where nothing confines it."""

from __future__ import annotations

import json
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s101.cluster.linux import landlock

ATTEMPTS = """
import json, os, socket, sys
from pathlib import Path
from k8s101.cluster.linux import landlock, seccomp

how, own, allowed, other = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
if how == "network":
    rights = landlock.Rights(readable=[Path("/")], writable=[own], connects=(allowed,), listens=True)
    assert landlock.restrict(rights) and seccomp.confine_network()
if how == "kernel":
    assert landlock.restrict(landlock.Rights(writable=[own])) and seccomp.confine_kernel()


def works(attempt):
    try:
        attempt()
        return True
    except OSError:
        return False


def changes_mode():
    (own / "file").chmod(0o600 if (own / "file").stat().st_mode & 0o777 == 0o644 else 0o644)


mode = (own / "file").stat().st_mode
changes_mode()
outcome = {
    "call the allowed port": works(lambda: socket.create_connection(("127.0.0.1", allowed), 5).close()),
    "call another port": works(lambda: socket.create_connection(("127.0.0.1", other), 5).close()),
    "listen": works(lambda: socket.create_server(("127.0.0.1", 0)).close()),
    "send a datagram": works(lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"", ("127.0.0.1", other))),
    "open a Unix socket": works(lambda: socket.socket(socket.AF_UNIX).close()),
    "read elsewhere": works(lambda: (own.parent / "private").read_text()),
    "write elsewhere": works(lambda: (own.parent / "private").write_text("changed")),
    "write its own": works(lambda: (own / "file").write_text("changed")),
    "change a mode": (own / "file").stat().st_mode != mode,
}
print(json.dumps(outcome))
"""

KEPT = {
    "nothing": {
        *("call the allowed port", "call another port", "listen", "send a datagram", "open a Unix socket"),
        *("read elsewhere", "write elsewhere", "write its own", "change a mode"),
    },
    "network": {
        *("call the allowed port", "listen", "open a Unix socket", "read elsewhere", "write its own", "change a mode"),
    },
    "kernel": {"open a Unix socket", "write its own"},
}
"""What each confinement leaves; Landlock itself says nothing of modes, so only the guest's kernel loses them."""

pytestmark = pytest.mark.skipif(
    landlock.version() < landlock.PORTS_SINCE or platform.machine() != "x86_64",
    reason="this kernel offers no Landlock with ports, or runs no guest",
)


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    """Two ports of loopback on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        yield one.getsockname()[1], two.getsockname()[1]


@pytest.mark.parametrize("how", KEPT)
def test_what_is_left(how: str, tmp_path: Path, ports: tuple[int, int]) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "file").write_text("")
    (tmp_path / "private").write_text("")
    command = (sys.executable, "-c", ATTEMPTS, how, str(own), *map(str, ports))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert {attempt for attempt, worked in json.loads(done.stdout).items() if worked} == KEPT[how]
