"""Supervised processes: what runs, how `supervisord` is told, and how it is asked.

supervisor (https://supervisord.org) restarts what dies, rotates logs and reaps orphans; it outlives the
notebook kernel and the terminal. The same program runs on the host and as process 1 of each node.
"""

from __future__ import annotations

import configparser
import http.client
import io
import os
import resource
import shlex
import socket
import sys
import xmlrpc.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SUPERVISORD = (sys.executable, "-m", "supervisor.supervisord")


@dataclass(frozen=True)
class Program:
    """One supervised process.

    Args:
        name: as typed in `k8s101 start NAME`.
        command: the program and its arguments.
        environment: variables on top of the supervisor's own.
        autostart: start together with the supervisor.
        autorestart: start again when it dies.
        stop_signal: how it is asked to end.
        priority: lower numbers start first.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    autostart: bool = True
    autorestart: bool = True
    stop_signal: str = "TERM"
    priority: int = 100


def _escape(text: str) -> str:
    return text.replace("%", "%%")


def _program_section(program: Program, logs: Path) -> dict[str, str]:
    # without the parent-death signal a killed supervisor would leave its children running and unowned
    command = ("setpriv", "--pdeathsig", "KILL", "--", *program.command)
    return {
        "command": _escape(shlex.join(command)),
        "environment": ",".join(f'{key}="{_escape(value)}"' for key, value in program.environment.items()),
        "autostart": str(program.autostart).lower(),
        "autorestart": str(program.autorestart).lower(),
        "startsecs": "1",
        # a component that has to wait for another one fails many times before it succeeds
        "startretries": "1000000",
        "stopsignal": program.stop_signal,
        "stopwaitsecs": "5",
        "killasgroup": "true",
        "stopasgroup": "true",
        "priority": str(program.priority),
        "redirect_stderr": "true",
        "stdout_logfile": _escape(str(logs / f"{program.name}.log")),
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "1",
    }


def supervisor_config(
    programs: Iterable[Program],
    *,
    directory: Path,
    logs: Path,
    socket_path: Path,
    owner: tuple[int, int],
    interface: Mapping[str, str],
    umask: str = "027",
) -> str:
    """Return a configuration file for `supervisord`.

    Args:
        programs: what it runs.
        directory: where its pid file goes.
        logs: directory of all logs.
        socket_path: its Unix socket.
        owner: uid and gid of the socket.
        interface: `name` and `factory` of the only RPC interface that the socket offers, and its options.
        umask: of all processes, octal.
    """
    options = dict(interface)
    name, factory = options.pop("name"), options.pop("factory")
    sections = {
        "supervisord": {
            "pidfile": _escape(str(directory / "supervisord.pid")),
            "logfile": _escape(str(logs / "supervisord.log")),
            "childlogdir": _escape(str(logs)),
            "user": str(os.getuid()),
            "minfds": str(min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])),
            "umask": umask,
        },
        "unix_http_server": {"file": _escape(str(socket_path)), "chmod": "0600", "chown": f"{owner[0]}:{owner[1]}"},
        f"rpcinterface:{name}": {
            "supervisor.rpcinterface_factory": factory,
            **{key: _escape(value) for key, value in options.items()},
        },
    }
    for program in programs:
        sections[f"program:{program.name}"] = _program_section(program, logs)
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_dict(sections)
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # a stopped supervisor must not hang the command that asks it
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__(use_builtin_types=True)
        self._path, self._timeout_s = path, timeout_s

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        return _UnixConnection(self._path, self._timeout_s)


def client(socket_path: Path, timeout_s: float = 30) -> xmlrpc.client.ServerProxy:
    """Return a proxy to the supervisor behind this socket.

    Args:
        socket_path: path of the Unix socket.
        timeout_s: how long one call may take, in seconds.
    """
    transport = _UnixTransport(socket_path, timeout_s)
    return xmlrpc.client.ServerProxy("http://localhost", transport=transport, allow_none=True)
