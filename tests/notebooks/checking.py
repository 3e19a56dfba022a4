"""A lesson on the real cluster, and its exercises' checks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from k8s101 import connect
from k8s101.lesson.api.session import Api
from k8s101.lesson.quiz import bank, checks
from tests.waiting import eventually

CLEAR_SECONDS = 60


@contextmanager
def lesson(slug: str) -> Iterator[Api]:
    """Open a lesson in a fresh namespace, which is removed at the end."""
    api = connect(slug)
    yield api
    api.core.delete_namespace(api.namespace)


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
