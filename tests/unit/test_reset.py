"""Which objects a reset deletes."""

from __future__ import annotations

from typing import Any, cast

import pytest
import requests

from k8s101.cluster.access.api import Api
from k8s101.cluster.facade import reset
from k8s101.cluster.facade.reset import _delete, _doomed


def thing(uid: str, *owners: str) -> dict[str, Any]:
    return {"metadata": {"uid": uid, "ownerReferences": [{"uid": owner} for owner in owners]}}


def test_what_belongs_to_something_goes_with_it() -> None:
    found = {
        "/a/kept": thing("1"),
        "/a/made-of-kept": thing("2", "1"),
        "/a/new": thing("3"),
        "/a/made-of-new": thing("4", "3"),
    }
    assert set(_doomed(found, {"/a/kept"})) == {"/a/new", "/a/made-of-new"}


def test_what_belongs_to_nothing_any_more_goes_too() -> None:
    found = {"/a/left": thing("1", "gone"), "/a/made-of-left": thing("2", "1"), "/a/kept": thing("3", "gone")}
    assert set(_doomed(found, {"/a/kept"})) == {"/a/left", "/a/made-of-left"}


class Busy:
    """An API server that refuses the first request to delete something."""

    server = "https://busy"
    wait = Api.wait

    def __init__(self, *paths: str) -> None:
        self.there = {path: 0 for path in paths}

    def call(self, method: str, path: str, **_: Any) -> requests.Response:
        answer = requests.Response()
        answer.status_code = 200 if path in self.there else 404
        if method == "DELETE" and path in self.there:
            self.there[path] += 1
            if self.there[path] == 1:
                answer.status_code = 429
            else:
                del self.there[path]
        return answer


def test_a_deletion_that_was_refused_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reset, "PATIENCE_SECONDS", 1)
    monkeypatch.setattr(reset, "drop_finalizers", lambda api: None)
    busy = Busy("/api/v1/namespaces/n/pods/a", "/apis/apps/v1/namespaces/n/deployments/b")
    _delete(cast(Api, busy), list(busy.there))
    assert not busy.there
