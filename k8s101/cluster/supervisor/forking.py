"""A supervisor whose own kind of processes are forks of it: another interpreter would have to load everything again."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from supervisor import supervisord
from supervisor.medusa import asyncore_25 as asyncore
from supervisor.options import ServerOptions

from k8s101.cluster.supervisor.process import OPEN_FILES

PR_SET_PDEATHSIG = 1  # linux/prctl.h

Main = Callable[..., int]

_KEPT: list[Any] = []
"""What a fork has of its parent's connections: collected, they would close files that are its own by then."""


def become(*arguments: str, programs: Mapping[str, Main]) -> None:
    """Become a supervisor in this process.

    Args:
        arguments: the command line of `supervisord`.
        programs: functions by module name; where the configuration says `python -m NAME ARGUMENT…`, a fork calls them.
    """

    class Options(ServerOptions):  # type: ignore[misc]
        def execve(self, filename: str, argv: list[str], env: dict[str, str]) -> None:
            command = argv[argv.index(sys.executable) :] if sys.executable in argv else []
            if command[1:2] == ["-m"] and command[2] in programs:
                _be(programs[command[2]], command[3:], env)
            super().execve(filename, argv, env)

    supervisord.ServerOptions = Options
    supervisord.main(list(arguments))


def _be(main: Main, arguments: list[str], environment: dict[str, str]) -> NoReturn:
    """Turn this fork of the supervisor into a program, as if it had been started anew."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    _KEPT.append(dict(asyncore.socket_map))
    asyncore.socket_map.clear()
    os.closerange(3, OPEN_FILES)
    os.environ.clear()
    os.environ.update(environment)
    status = 1
    try:
        status = main(*arguments)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
