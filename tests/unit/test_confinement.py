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

from k8s101.cluster.guest import confinement
from k8s101.cluster.linux import landlock, own_root
from k8s101.cluster.values.settings import ROOT

ATTEMPTS = """
# all of it now: later no module can be read
import contextlib, encodings.idna, json, os, socket, sys
from pathlib import Path
from k8s101.cluster.guest import confinement
from k8s101.cluster.linux import landlock, mounts, seccomp

how, own, allowed, other = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
private, parent = own.parent / "private", os.getppid()
if how == "kernel, old Landlock":
    landlock.version = lambda: 2
if how == "network":
    rights = landlock.Rights(readable=[Path("/")], writable=[own], connects=(allowed,), listens=True)
    assert landlock.restrict(rights) and seccomp.confine_network()
if how.startswith("kernel"):
    confinement.hold(landlock.Rights(writable=[own]))
    assert seccomp.confine_kernel()


def works(attempt):
    try:
        attempt()
        return True
    except OSError:
        return False


def changes_mode():
    (own / "file").chmod(0o600 if (own / "file").stat().st_mode & 0o777 == 0o644 else 0o644)


def mounts_something():
    with contextlib.suppress(OSError):
        mounts.call("unshare", 0x10020000)  # CLONE_NEWUSER | CLONE_NEWNS
    mounts.bind(own, own)


mode = (own / "file").stat().st_mode
changes_mode()
outcome = {
    "call the allowed port": works(lambda: socket.create_connection(("127.0.0.1", allowed), 5).close()),
    "call another port": works(lambda: socket.create_connection(("127.0.0.1", other), 5).close()),
    "listen": works(lambda: socket.create_server(("127.0.0.1", 0)).close()),
    "send a datagram": works(lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"", ("127.0.0.1", other))),
    "open a Unix socket": works(lambda: socket.socket(socket.AF_UNIX).close()),
    "read elsewhere": works(private.read_text),
    "read by another process": works(lambda: Path(f"/proc/{parent}/root{private}").read_text()),
    "write elsewhere": works(lambda: private.write_text("changed")),
    "empty elsewhere": works(lambda: os.truncate(private, 0)),
    "write its own": works(lambda: (own / "file").write_text("changed")),
    "change a mode": (own / "file").stat().st_mode != mode,
    "mount": works(mounts_something),
}
print(json.dumps(outcome))
"""

KEPT = {
    "nothing": {
        *("call the allowed port", "call another port", "listen", "send a datagram", "open a Unix socket"),
        *("read elsewhere", "read by another process", "write elsewhere", "empty elsewhere", "write its own"),
        *("change a mode", "mount"),
    },
    "network": {
        *("call the allowed port", "listen", "open a Unix socket", "read elsewhere", "write its own", "change a mode"),
    },
    **dict.fromkeys(("kernel", "kernel, old Landlock", "kernel, no Landlock"), {"open a Unix socket", "write its own"}),
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
    if how.endswith("Landlock") and not own_root.possible():
        pytest.skip("this machine refuses user namespaces")
    own = tmp_path / "own"
    own.mkdir()
    (own / "file").write_text("")
    (tmp_path / "private").write_text("")
    command = (sys.executable, "-c", ATTEMPTS, how, str(own), *map(str, ports))
    outcome = json.loads(python_where_refused("landlock" if how == "kernel, no Landlock" else "", *command))
    optional = set() if own_root.possible() else {"mount"} & KEPT[how]
    assert {attempt for attempt, worked in outcome.items() if worked} | optional == KEPT[how]


@pytest.mark.parametrize(
    "refused, told",
    [
        ("", [confinement.LANDLOCK, ""]),
        ("landlock", [confinement.OWN_ROOT, ""]),
        ("landlock,namespaces", ["", "nothing keeps privileged Pods from your files"]),
    ],
)
def test_what_keeps_files_is_told(refused: str, told: list[str]) -> None:
    script = "from k8s101.cluster.guest.confinement import gap, keeper; print(keeper(), gap(), sep=chr(10))"
    keeper, gap = python_where_refused(refused, sys.executable, "-c", script).splitlines()
    assert [keeper, gap.partition(":")[0]] == told


def python_where_refused(refused: str, *command: str) -> str:
    """Run Python, where something is refused if it is named, and return what it prints."""
    wrapped = (sys.executable, str(ROOT / "tests/refusing.py"), refused, *command) if refused else command
    done = subprocess.run(wrapped, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
