"""Nothing that a notebook starts outlives its kernel, however that ends."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from functools import cache
from pathlib import Path

GUARD = r"""
trap '' INT TERM HUP
watched=' '
while read -r what session; do
  case $what in
    watch) watched="$watched$session " ;;
    forget)
      kept=' '
      for one in $watched; do [ "$one" = "$session" ] || kept="$kept$one "; done
      watched=$kept
      ;;
  esac
done
[ "$watched" = ' ' ] && exit
for file in /proc/[0-9]*/stat; do
  read -r line <"$file" || continue
  set -- ${line##*) }
  case $watched in *" $4 "*) pid=${file%/stat}; kill -KILL "${pid#/proc/}" ;; esac
done
"""
"""Ends the sessions that it was told of once its input ends, which is when the kernel ends, however it does."""


class Guard:
    """A small process beside this one that outlives it and ends what it left.

    Attributes:
        pipe: the descriptor by which it is told of sessions, and learns that this process has ended.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        reading, self.pipe = os.pipe()
        # an orphan from the start: who kills a kernel with all its children must not meet it first
        subprocess.run(
            ["sh", "-c", "exec 3<&0; sh -c \"$1\" 'k8s101 guard' <&3 3<&- &", "sh", GUARD],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            check=True,
        )
        os.close(reading)

    @property
    def watching(self) -> str:
        """What a bash of a session of its own begins with, to which `pipe` was passed, so that it ends with us."""
        return f"echo watch $$ >&{self.pipe}; exec {self.pipe}>&-;"

    def watch(self, session: int) -> None:
        """End this session when this process ends."""
        self._tell(f"watch {session}\n")

    def forget(self, session: int) -> None:
        """Leave this session alone: nothing of it runs any more, and its number may be used again."""
        self._tell(f"forget {session}\n")

    def _tell(self, line: str) -> None:
        with self._lock:
            os.write(self.pipe, line.encode())


@cache
def guard() -> Guard:
    """Return the guard of this process."""
    return Guard()


def members(session: int) -> list[int]:
    """Return the processes of a session that run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            # the name in parentheses may hold anything; state, parent, group and session follow
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.append(int(entry.name))
    return found
