"""`%%bash`: what one would type in a terminal, run in a notebook's cell.

Every command of the cell must succeed (`-euo pipefail`); what is printed appears as it comes. The environment
is the one of a terminal: the workshop's kubectl, the lesson's namespace, the lesson's folder.
"""

from __future__ import annotations

import codecs
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from k8s101.cluster.values.settings import ROOT
from k8s101.errors import CommandFailed, Problem
from k8s101.lesson.api import environment
from k8s101.lesson.cells import needs, processes, recorded, stable

USAGE = "%%bash, or %%bash --needs containers[,…]"


def bash(line: str, cell: str) -> None:
    """Run a cell in bash.

    Args:
        line: what stands behind `%%bash`.
        cell: the commands.

    Raises:
        Problem: no lesson is open, or the line has an option that is not known.
        CommandFailed: a command failed, or somebody interrupted the cell.
    """
    # the client of the cluster takes a second, which a kernel's start does not have
    from k8s101.lesson.api import session

    session.current()
    wanted = _needed(line)
    if wanted is not None:
        lacking = needs.missing(wanted, needs.cluster_capabilities(), "%%bash --needs")
        if lacking:
            head = f"%%bash {line}" if line else "%%bash"
            source = recorded.digest(f"{head}\n{cell}")
            needs.show_recorded(lacking, source, str(ROOT / "notebooks" / "recorded"))
            return
    run(cell)


def _needed(line: str) -> str | None:
    """Return the capabilities that the first line names, None if it names none."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = [line]
    if not words:
        return None
    if words[0].startswith("--needs="):
        words = ["--needs", words[0].removeprefix("--needs="), *words[1:]]
    if words[0] != "--needs":
        raise Problem(f"%%bash has no option {words[0]}", where="the first line of this cell", then=USAGE)
    return " ".join(words[1:])


def run(script: str) -> None:
    """Run commands with the environment of this kernel and show what they print.

    Args:
        script: the commands.

    Raises:
        Problem: the directory in which they should run is gone.
        CommandFailed: one of them failed, or somebody interrupted.
    """
    try:
        folder = Path.cwd()
    except FileNotFoundError:
        raise Problem(
            "the lesson's folder has been removed", where="this kernel", then="run the cell with connect(…) again"
        ) from None
    variables = {**os.environ, "_K8S101_CELL": "1", "PYTHONUNBUFFERED": "1"}
    steady = environment.steady()
    screen = _Screen(sys.stdout.write)
    shown: list[str] = []
    if steady:
        screen = _Screen(shown.append)
    try:
        ended = processes.run(script, variables, screen.write)
    except KeyboardInterrupt:
        raise CommandFailed("interrupted: all commands of this cell have been ended") from None
    finally:
        screen.end()
        if steady:
            sys.stdout.write(stable.stabilise("".join(shown), stable.chosen_ports(script, folder)))
        sys.stdout.flush()
    if ended.code:
        raise CommandFailed(_reason(script, ended))


def _reason(script: str, ended: processes.Ended) -> str:
    code = signal.Signals(-ended.code).name if ended.code < 0 else f"exit code {ended.code}"
    lines = script.splitlines()
    if ended.line is None or not 1 <= ended.line <= len(lines):
        return code
    return f"{code}: {lines[ended.line - 1].strip()}"


class _Screen:
    """Turns bytes as they come into text; a character may arrive in two pieces."""

    def __init__(self, show: Callable[[str], Any]) -> None:
        self._show = show
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def write(self, chunk: bytes) -> None:
        if text := self._decoder.decode(chunk):
            self._show(text)

    def end(self) -> None:
        if text := self._decoder.decode(b"", final=True):
            self._show(text)
