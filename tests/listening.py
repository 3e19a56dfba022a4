"""Listeners on the small machine, which take down who calls, where nobody in the guest may get through."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from tests.small_machine import OUTSIDE_ADDRESS, SmallMachine

APART = "203.0.113.9"
"""An address in a network namespace of its own, to which the machine has a way."""

PROGRAM = """
import os, selectors, socket, sys
selector = selectors.DefaultSelector()
for pair in sys.argv[1:]:
    address, port = pair.split(":")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_IP, 15, 1)  # IP_FREEBIND: the address may come later
    listener.bind((address, int(port)))
    listener.listen()
    selector.register(listener, selectors.EVENT_READ, pair)
print(os.getpid(), flush=True)
while True:
    for key, _ in selector.select():
        line, _ = key.fileobj.accept()
        line.settimeout(5)
        try:
            print(key.data, line.recv(100).decode().strip(), flush=True)
        except OSError:
            print(key.data, "in silence", flush=True)
"""

CALL = "import socket, sys; socket.create_connection((sys.argv[1], sys.argv[2]), 5).sendall(sys.argv[3].encode())"


class Listeners(ExitStack):
    """They listen until the context ends, on loopback, on an address of the machine, and on one that is apart.

    Args:
        machine: where.
        taken: a port on which somebody listens at 127.0.0.1.
        free: a port on which nobody does.
    """

    def __init__(self, machine: SmallMachine, taken: int, free: int) -> None:
        super().__init__()
        self._machine = machine
        own = (f"127.0.0.1:{free}", *(f"{address}:{taken}" for address in ("127.0.0.2", OUTSIDE_ADDRESS)))
        self._on_machine, _ = self._start(own)
        self._apart, pid = self._start((f"{APART}:{taken}",), "unshare", "--net", "--")
        self._connect(pid)
        self.pairs = (*own, f"{APART}:{taken}")

    def _start(self, pairs: Sequence[str], *prefix: str) -> tuple[subprocess.Popen[str], str]:
        command = self._machine.as_root(*prefix, sys.executable, "-c", PROGRAM, *pairs)
        process = self.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        self.callback(process.kill)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    def _connect(self, pid: str) -> None:
        within = ("nsenter", f"--net=/proc/{pid}/ns/net", "--")
        for line in (
            f"ip link add apart type veth peer name eth0 netns {pid}",
            "ip link set apart addrgenmode none up",
            f"ip route add {APART} dev apart src {OUTSIDE_ADDRESS}",
        ):
            self._machine.root(*line.split())
        for line in (
            "ip link set eth0 up",
            f"ip addr add {APART} dev eth0",
            f"ip route add {OUTSIDE_ADDRESS} dev eth0",
        ):
            self._machine.root(*within, *line.split())

    def heard(self) -> set[str]:
        """Call each from the machine, so that it is known to hear, and return what they had heard until then."""
        for pair in self.pairs:
            self._machine.root(sys.executable, "-c", CALL, *pair.split(":"), "the end")
        lines = []
        for process, count in ((self._on_machine, len(self.pairs) - 1), (self._apart, 1)):
            assert process.stdout is not None
            while count:
                lines.append(process.stdout.readline().strip())
                count -= lines[-1].endswith("the end")
        return {line for line in lines if not line.endswith("the end")}
