"""Start a program once files are there that others make: as a fork of the supervisor, which waits without a process.

A shell would wait with `sleep`, a program each time; in a guest fifty of them a second cost more than what is
waited for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from k8s101.cluster.values.deadline import until

NAME = "k8s101.cluster.supervisor.after"
LOOK_EVERY = 0.02


def command(files: Iterable[str], program: Iterable[str], *, most_seconds: int = 0) -> tuple[str, ...]:
    """Return the command that waits for files and becomes a program.

    Args:
        files: what it waits for.
        program: the program and its arguments.
        most_seconds: how long it waits before it starts the program nevertheless; 0 for ever.
    """
    return (sys.executable, "-m", NAME, str(most_seconds), *files, "--", *program)


def main(most_seconds: str, *arguments: str) -> int:
    """Wait, and become the program; this returns only where it cannot."""
    end = arguments.index("--")
    files, program = [Path(name) for name in arguments[:end]], arguments[end + 1 :]
    until(lambda: all(map(Path.exists, files)), float(most_seconds) or float("inf"), every=LOOK_EVERY)
    os.execvp(program[0], program)


FORKS = {NAME: main}
"""How a supervisor that has loaded this module starts it (see `forking`)."""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
