"""What a lesson asks: questions whose right answer the cluster gives, and exercises that it checks."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import ModuleType
from typing import Any, cast

from k8s101.errors import Problem
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api


@dataclass(frozen=True)
class Before:
    """The lesson's objects at the moment when a question was asked.

    Args:
        pods: Pods by uid.
        replicasets: ReplicaSets by uid.
    """

    pods: Mapping[str, Object]
    replicasets: Mapping[str, Object]

    @classmethod
    def of(cls, api: Api) -> Before:
        """Look at the lesson's objects now."""
        pods = {item["metadata"]["uid"]: item for item in api.list("Pod")}
        return cls(pods, {item["metadata"]["uid"]: item for item in api.list("ReplicaSet")})


@dataclass(frozen=True)
class Option:
    """What a learner may answer.

    Args:
        text: the answer.
        feedback: one sentence: why it is right, or the misconception behind it.
    """

    text: str
    feedback: str


@dataclass(frozen=True)
class Question:
    """A question with options.

    Args:
        name: how the notebook calls it.
        text: the question.
        options: what may be answered, each option by a short key.
        right: the key of the right option, or a function that finds it out from what was before and what is now.
    """

    name: str
    text: str
    options: Mapping[str, Option]
    right: str | Callable[[Before, Api], str]

    def answer(self, before: Before, api: Api) -> str:
        """Return the key of the option that the cluster proves right.

        Raises:
            Problem: the cluster did something that is no option.
        """
        found = self.right if isinstance(self.right, str) else self.right(before, api)
        if found not in self.options:
            raise Problem(
                f"the cluster's answer to {self.name!r} is {found!r}, which is no option",
                where=f"lesson {api.slug}",
                then="run the notebook again from its first cell",
            )
        return found


def among(found: object, options: Mapping[Any, str]) -> str:
    """Return the key of the option that something found in the cluster stands for.

    Args:
        found: what the cluster has.
        options: the option's key for each thing that may be found.

    Raises:
        Problem: what was found stands for no option.
    """
    if found not in options:
        raise Problem(
            f"the cluster has {found!r}, and no option stands for that",
            where="the answer to a prediction",
            then="run the notebook again from its first cell",
        )
    return options[found]


@dataclass(frozen=True)
class Finding:
    """One thing that a check looked at.

    Args:
        ok: whether it is as the task wants it.
        text: what is the case; where it is not as wanted, with the cause.
    """

    ok: bool
    text: str


@dataclass(frozen=True)
class Exercise:
    """A task that the cluster itself can tell done or not.

    Args:
        name: how the notebook calls it.
        attempted: returns None once the learner has begun, else what is still missing.
        examine: yields findings from the live objects' status; the first that is not ok ends the check.
        hints: three steps: a nudge, where to look, almost the answer.
    """

    name: str
    attempted: Callable[[Api], str | None]
    examine: Callable[[Api], Iterable[Finding]]
    hints: tuple[str, str, str]


def module(slug: str) -> ModuleType | None:
    """Return the questions and exercises of a lesson, None where it has none."""
    name = f"k8s101.lesson.modules.{slug.replace('-', '_')}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None


def question(slug: str, name: str) -> Question:
    """Find a question of a lesson.

    Raises:
        Problem: the lesson has no such question.
    """
    return cast(Question, _find(slug, name, "QUESTIONS", "question"))


def exercise(slug: str, name: str) -> Exercise:
    """Find an exercise of a lesson.

    Raises:
        Problem: the lesson has no such exercise.
    """
    return cast(Exercise, _find(slug, name, "EXERCISES", "exercise"))


def _find(slug: str, name: str, table: str, what: str) -> object:
    entries = getattr(module(slug), table, ())
    for entry in entries:
        if entry.name == name:
            return entry
    known = [entry.name for entry in entries]
    near = get_close_matches(name, known, 1)
    then = f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(known) or 'none'}"
    raise Problem(f"lesson {slug} has no {what} {name!r}", where="this cell", then=then)
