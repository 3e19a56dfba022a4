"""Which objects a reset deletes."""

from __future__ import annotations

from typing import Any

from k8s101.cluster.facade.reset import _doomed


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
