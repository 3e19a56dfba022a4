"""Asking a supervisor over its Unix socket."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from pathlib import Path

CALL_SECONDS = 30


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over a Unix socket.

    Args:
        path: path of the socket.
        timeout_s: how long connecting or one answer may take, in seconds.
    """

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # a stopped supervisor must not hang the command that asks it
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__(use_builtin_types=True)
        self._path, self._timeout_s = path, timeout_s

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        return UnixConnection(self._path, self._timeout_s)


def client(socket_path: Path, timeout_s: float = CALL_SECONDS) -> xmlrpc.client.ServerProxy:
    """Return a proxy to the supervisor behind this socket.

    Args:
        socket_path: path of the Unix socket.
        timeout_s: how long one call may take, in seconds.
    """
    transport = _UnixTransport(socket_path, timeout_s)
    return xmlrpc.client.ServerProxy("http://localhost", transport=transport, allow_none=True)
