"""What a learner has done, kept on this machine only."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from k8s101.errors import Problem
from k8s101.lesson.api.session import interactive

Entry = dict[str, str]

VERSION = 1


def path() -> Path:
    """Return the file with the learner's progress (`XDG_STATE_HOME`, else below ~/.local/state)."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "k8s101" / "progress.json"


def record(lesson: str, what: str, name: str, outcome: str) -> None:
    """Note one answer or check of the learner; runs that nobody watches leave no trace.

    Args:
        lesson: the lesson's slug.
        what: open, predict, recall, check or hint.
        name: name of the question or exercise.
        outcome: right, wrong, passed, failed, not attempted …
    """
    if not interactive():
        return
    file = path()
    file.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with FileLock(file.with_suffix(".lock")):
        noted = [*entries(), {"at": now, "lesson": lesson, "what": what, "name": name, "outcome": outcome}]
        replacement = file.with_suffix(".new")
        replacement.write_text(export(noted) + "\n")
        replacement.replace(file)


def load() -> list[Entry]:
    """Return everything noted so far, oldest first; runs that nobody watches start with nothing.

    Raises:
        Problem: the file is damaged.
    """
    return entries() if interactive() else []


def entries() -> list[Entry]:
    """Return everything noted on this machine, oldest first.

    Raises:
        Problem: the file is damaged.
    """
    if not path().is_file():
        return []
    try:
        data: dict[str, Any] = json.loads(path().read_text())
        return list(data["entries"])
    except (ValueError, KeyError, TypeError):
        raise Problem(
            "the file with your progress is damaged", where=str(path()), then=f"mv {path()} {path()}.old"
        ) from None


def export(noted: list[Entry]) -> str:
    """Return entries as JSON, as they are kept and as a learner hands them in."""
    return json.dumps({"version": VERSION, "entries": noted}, indent=1)
