"""The table of symptoms: what it says, without a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from k8s101.errors import Problem
from k8s101.lesson.api import session
from k8s101.lesson.faults import symptoms
from k8s101.lesson.faults.questions import CACHED, NEW, QUESTIONS, WRITE
from k8s101.lesson.faults.symptoms import OLD, READY, SYMPTOMS
from tests.unit.lesson_fixtures import lesson


def test_every_question_is_a_row_and_no_row_comes_twice() -> None:
    assert {question.text for question in QUESTIONS} < set(SYMPTOMS)
    assert len(set(SYMPTOMS)) == len(SYMPTOMS) == 11


def test_a_summary_names_what_works_what_does_not_and_what_nobody_can_tell() -> None:
    column = {NEW: False, WRITE: True, OLD: True, READY: None}
    assert symptoms.summary("worker-1/kube-proxy", column).splitlines() == [
        "without worker-1/kube-proxy",
        f"  yes  {WRITE} · {OLD}",
        f"  no   {NEW}",
        f"  ?    {READY}",
    ]


def test_long_lists_are_wrapped_below_themselves() -> None:
    lines = symptoms.summary("etcd", dict.fromkeys(SYMPTOMS, False)).splitlines()
    assert len(lines) > 2 and all(len(line) <= symptoms.WIDTH for line in lines)
    assert all(line.startswith(" " * 7) for line in lines[2:])


def test_what_was_not_asked_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symptoms, "_open", [])
    session.make_current(lesson(tmp_path, "architecture"))
    with pytest.raises(Problem, match="etcd has not been away yet") as caught:
        symptoms.seen("etcd", CACHED)
    assert caught.value.then == "run the cells above"
