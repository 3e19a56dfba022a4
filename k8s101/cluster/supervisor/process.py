"""Supervised processes: what runs, and how `supervisord` is told.

supervisor (https://supervisord.org) restarts what dies, rotates logs and reaps orphans; it outlives the
notebook kernel and the terminal. The same program runs on the host and as process 1 of each node.
"""

from __future__ import annotations

import configparser
import io
import os
import resource
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SUPERVISORD = (sys.executable, "-m", "supervisor.supervisord")
PID_FILE = "supervisord.pid"

OPEN_FILES = 65536
WATCHED_SECONDS = 1
"""How long those may take to end whose clients keep watches open; they would wait for them for ever."""


@dataclass(frozen=True)
class Process:
    """One supervised process.

    Args:
        name: as typed in `k8s101 start NAME`.
        command: the program and its arguments.
        environment: variables on top of the supervisor's own.
        autostart: start together with the supervisor.
        autorestart: start again when it dies.
        stop_signal: how it is asked to end.
        stop_seconds: how long it may take to end before it is killed.
        priority: lower numbers start first.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    autostart: bool = True
    autorestart: bool = True
    stop_signal: str = "TERM"
    stop_seconds: int = 5
    priority: int = 100


def allow_open_files() -> None:
    """Let this process and those that it starts have many files open at once, as far as its user may."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, most) if most >= 0 else OPEN_FILES, most))


def _escape(text: str) -> str:
    return text.replace("%", "%%")


def _program_section(program: Process, logs: Path) -> dict[str, str]:
    # without the parent-death signal a killed supervisor would leave its children running and unowned
    command = ("setpriv", "--pdeathsig", "KILL", "--", *program.command)
    return {
        "command": _escape(shlex.join(command)),
        "environment": ",".join(f'{key}="{_escape(value)}"' for key, value in program.environment.items()),
        "autostart": str(program.autostart).lower(),
        "autorestart": str(program.autorestart).lower(),
        # what stays dead must not be taken for something that failed to start and has to be tried again
        "startsecs": "1" if program.autorestart else "0",
        # a component that has to wait for another one fails many times before it succeeds
        "startretries": "1000000",
        "stopsignal": program.stop_signal,
        "stopwaitsecs": str(program.stop_seconds),
        "killasgroup": "true",
        "stopasgroup": "true",
        "priority": str(program.priority),
        "redirect_stderr": "true",
        "stdout_logfile": _escape(str(logs / f"{program.name}.log")),
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "1",
    }


def supervisor_config(
    programs: Iterable[Process],
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
            "pidfile": _escape(str(directory / PID_FILE)),
            "logfile": _escape(str(logs / "supervisord.log")),
            "childlogdir": _escape(str(logs)),
            # so many are closed one by one for every process that it starts; what Python opens closes by itself
            "minfds": "64",
            "umask": umask,
        },
        "unix_http_server": {"file": _escape(str(socket_path)), "chmod": "0600"},
        f"rpcinterface:{name}": {
            "supervisor.rpcinterface_factory": factory,
            **{key: _escape(value) for key, value in options.items()},
        },
    }
    # supervisor knows only users of /etc/passwd; containers run as others, too
    if os.getuid() == 0:
        sections["supervisord"]["user"] = "0"
    if owner != (os.getuid(), os.getgid()):
        sections["unix_http_server"]["chown"] = f"{owner[0]}:{owner[1]}"
    for program in programs:
        sections[f"program:{program.name}"] = _program_section(program, logs)
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_dict(sections)
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()
