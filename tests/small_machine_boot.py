"""Process 1 of the small machine on which a user without any privilege lives; runs as root in fresh namespaces.

The interpreter, the packages and the cache of programs may lie below a home that is closed to others, as
root's is on most machines. They are shown read-only at their own places in this mount namespace alone.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any


def mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def closed_above(path: Path) -> Path | None:
    """Return the topmost directory on the way to a path that others may not enter."""
    for directory in reversed(path.parents):
        if not directory.stat().st_mode & stat.S_IXOTH:
            return directory
    return None


def show(places: dict[str, str], stage: Path) -> None:
    """Bind each source to its target, also below directories that are closed to others.

    Args:
        places: target to source.
        stage: an empty directory of our own.
    """
    mount("-t", "tmpfs", "-o", "mode=700", "tmpfs", stage)
    for number, source in enumerate(places.values()):
        (stage / str(number)).mkdir()
        mount("--bind", source, stage / str(number))
    for closed in {closed_above(Path(target)) for target in places}:
        if closed is not None:
            mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", closed)
    for number, target in enumerate(places):
        Path(target).mkdir(parents=True, exist_ok=True)
        mount("--bind", stage / str(number), target)


def main(plan: dict[str, Any]) -> None:
    os.umask(0o022)
    mount("--make-rprivate", "/")
    show(plan["places"], Path(plan["stage"]))
    for target in plan["read_only"]:
        mount("-o", "remount,bind,ro", target)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for line in plan["network"]:
        subprocess.run(["ip", *line.split()], check=True)
    print("ready", flush=True)
    # like the first process of many containers it does not care for orphans
    os.execvp("sleep", ["sleep", "infinity"])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
