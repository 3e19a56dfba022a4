"""The recording of a lesson when the API server forgets what it was asked to tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from k8s101.lesson.api import recorder as recording
from k8s101.lesson.api.recorder import Recorder
from k8s101.lesson.api.rest import Object, Rest
from tests.waiting import eventually


def pod(name: str, version: int) -> Object:
    return {"kind": "Pod", "metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}}


class _Server:
    """Answers as the API server does, first with some Pods, then with 410, then with what came of them."""

    def __init__(self) -> None:
        self.lists = [
            [pod("stays", 1), pod("goes", 2), pod("changes", 3)],
            [pod("stays", 1), pod("changes", 8), pod("comes", 9)],
        ]
        self.watched: list[str] = []

    def resource(self, word: str, group_version: str) -> _Server:
        return self

    def path(self, namespace: str) -> str:
        return f"/{namespace}"

    def call(self, method: str, path: str) -> Object:
        return {"items": self.lists[min(len(self.watched), 1)], "metadata": {"resourceVersion": "10"}}

    def watch(self, path: str, resourceVersion: str, **_: Any) -> Iterator[Object]:
        self.watched.append(resourceVersion)
        if len(self.watched) == 1:
            yield {"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion": "12"}}}
            raise OSError("the API server has gone")
        if len(self.watched) == 2:
            yield {"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}
        yield {"type": "ADDED", "object": pod("new", 20)}
        while True:
            yield {"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion": "21"}}}


def test_a_forgotten_history_leaves_no_doubles_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "KINDS", ("Pod",))
    monkeypatch.setattr(recording, "RETRY_SECONDS", 0.01)
    server = _Server()
    recorder = Recorder(cast(Rest, server), "lesson")
    recorder.start()
    eventually("the new Pod", lambda: any(seen.name == "new" for seen in recorder.history("Pod")), 10)
    recorder.stop()
    assert [(seen.type, seen.name) for seen in recorder.history("Pod")] == [
        ("ADDED", "stays"),
        ("ADDED", "goes"),
        ("ADDED", "changes"),
        ("MODIFIED", "changes"),
        ("ADDED", "comes"),
        ("DELETED", "goes"),
        ("ADDED", "new"),
    ]
    assert server.watched[:3] == ["10", "12", "10"]
    assert recorder.missed() == ["for 0 s no Pod was seen; of 3 only the end is known"]
