"""Who has opened a lesson: of two kernels the later one has its namespace, and both are told."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import psutil

from k8s101.cluster.values.settings import Settings


@dataclass(frozen=True)
class Opener:
    """A process that has opened a lesson.

    Args:
        pid: its number.
        started: when it started, in seconds since 1970: numbers are used again.
        at: when it opened the lesson, as a clock shows it.
    """

    pid: int
    started: float
    at: str

    @property
    def lives(self) -> bool:
        """Whether it still runs."""
        with suppress(psutil.Error):
            return psutil.Process(self.pid).create_time() == self.started
        return False


class Turn:
    """This process's turn in a lesson.

    Args:
        settings: the cluster.
        slug: the lesson.
    """

    def __init__(self, settings: Settings, slug: str) -> None:
        self._file = settings.lessons / f"{slug}.opened"
        self._told: Opener | None = None

    def take(self) -> str:
        """Take the lesson over; return a sentence on another process that has it open, empty without one."""
        other = self._read()
        own = Opener(os.getpid(), psutil.Process().create_time(), datetime.now().strftime("%H:%M"))
        draft = self._file.with_suffix(f".{own.pid}")
        draft.write_text(json.dumps(asdict(own)))
        draft.replace(self._file)
        if other is None or other.pid == own.pid or not other.lives:
            return ""
        return (
            f"this lesson has been open in another kernel since {other.at} (process {other.pid}): what that one made "
            "is gone, and its next cell says so"
        )

    def lost(self) -> str:
        """Return a sentence once another process has taken the lesson over since, else nothing."""
        other = self._read()
        if other is None or other.pid == os.getpid() or other == self._told:
            return ""
        self._told = other
        return (
            f"another kernel (process {other.pid}) has opened this lesson at {other.at} and made its namespace anew: "
            "what you made before is gone. Shut that kernel down and run this notebook from its first cell, "
            "or go on in the other one"
        )

    def watch(self) -> None:
        """Let each cell of the running notebook look first whether the lesson is still this process's."""
        from IPython import get_ipython

        shell = get_ipython()
        if shell is None:
            return
        for known in [entry for entry in shell.events.callbacks["pre_run_cell"] if entry.__name__ == _NAME]:
            shell.events.unregister("pre_run_cell", known)

        def tell(info: object) -> None:
            if said := self.lost():
                print(said)

        tell.__name__ = _NAME
        shell.events.register("pre_run_cell", tell)

    def _read(self) -> Opener | None:
        try:
            return Opener(**json.loads(Path(self._file).read_text()))
        except (OSError, ValueError, TypeError):
            return None


_NAME = "tell_of_another_kernel"
