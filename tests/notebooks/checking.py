"""A lesson on the real cluster, and its exercises' checks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from k8s101 import connect
from k8s101.lesson.api.session import MANIFESTS, Api
from k8s101.lesson.cells.bash import run
from k8s101.lesson.quiz import bank, checks
from k8s101.notebook.document import Tree, cells, read
from tests.waiting import eventually

CLEAR_SECONDS = 60

ADDONS_SECONDS = 600
"""Where a program is not there yet, it is downloaded or built."""


class Page:
    """A module, as somebody types it.

    Args:
        number: of the module.
    """

    def __init__(self, number: str) -> None:
        self._path = Tree().paths([number])[0]

    @property
    def files(self) -> Path:
        """Where the lesson's files are in the repository."""
        return MANIFESTS / self._path.stem

    def bash(self, commands: str) -> None:
        """Run what a learner would type, next to the lesson's files as they are in the repository."""
        run(f"cd {self.files}\n{commands}")

    def changed(self, file: str, *changes: tuple[str, str]) -> None:
        """Apply a file of the lesson, changed like this."""
        text = (self.files / file).read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.bash(f"kubectl apply -f - <<'FILE'\n{text}\nFILE")

    def cell(self, name: str) -> str:
        """Return what stands below the `%%` line of a cell of the page: its commands, or the file that it writes."""
        source = next(found.source for found in cells(read(self._path)) if found.id == name)
        assert source.startswith("%%")
        return str(source).split("\n", 1)[1]


@contextmanager
def lesson(slug: str) -> Iterator[Api]:
    """Open a lesson in a fresh namespace, which is removed at the end."""
    api = connect(slug)
    yield api
    api.core.delete_namespace(api.namespace)


@contextmanager
def addons(user: str, *names: str) -> Iterator[None]:
    """Have add-ons while a test needs them.

    Args:
        user: who uses them, so that nobody else's end takes them away.
        names: the add-ons.
    """

    def k8s101(verb: str) -> None:
        command = (sys.executable, "-m", "k8s101.cli", "addons", verb, *names, "--for", user)
        subprocess.run(command, check=True, capture_output=True, timeout=ADDONS_SECONDS)

    k8s101("enable")
    yield
    k8s101("disable")


def clear(api: Api, *words: str) -> None:
    """Delete the lesson's objects of these kinds, and all its Pods without any farewell, and wait for their end.

    Args:
        api: the lesson.
        words: kinds, such as `deployments`.
    """
    for word in words:
        _delete(api, word)

    def empty() -> bool:
        # at once: the garbage collector may just have been started again
        _delete(api, "replicasets")
        _delete(api, "pods", gracePeriodSeconds=0)
        return not any(api.list(word) for word in ("pods", "replicasets", *words))

    eventually(f"{api.namespace} is empty", empty, CLEAR_SECONDS)


def _delete(api: Api, word: str, **options: Any) -> None:
    path = api.rest.resource(word).path(api.namespace)
    api.rest.call("DELETE", path, propagationPolicy="Background", **options)


def outcome(api: Api, name: str) -> checks.Outcome:
    """Check one of the lesson's exercises."""
    return checks.examine(api, bank.exercise(api.slug, name))


def last_line(api: Api, name: str) -> str:
    """Check an exercise, and return the line that tells what is wrong, if something is."""
    return list(outcome(api, name).lines())[-1]


def assert_passes(api: Api, name: str) -> None:
    """Check an exercise that is solved."""
    found = outcome(api, name)
    assert found.passed, list(found.lines())
