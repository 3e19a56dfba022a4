"""Taking add-ons out of a cluster again, until nothing of them is left."""

from __future__ import annotations

from typing import Any

from k8s101.cluster.access.api import Api
from k8s101.cluster.access.listing import FIRST, drop_finalizers, kind_of, objects
from k8s101.cluster.addons import claims
from k8s101.cluster.addons.applying import LABEL
from k8s101.errors import Problem

DEFINITIONS = "customresourcedefinitions"
PATIENCE_SECONDS = 15
"""How long a controller may take to let its objects go."""

SECONDS = 60
Found = dict[str, str]
"""Paths of objects and their uids."""


def remove(api: Api, *addons: str) -> int:
    """Delete all that bears the add-ons' label and wait until it is gone; return how much there was.

    Objects of their own kinds go first, while their controllers are there to let them go.

    Raises:
        Problem: something did not go.
    """
    known = {path: api.find(path) for path in map(claims.path, addons)}
    selector = f"{LABEL} in ({','.join(addons)})"
    found = {p: item["metadata"]["uid"] for p, item in objects(api, selector) if p not in known}
    _delete(api, {p: uid for p, uid in found.items() if kind_of(p) in FIRST}, SECONDS)
    definitions = {p: uid for p, uid in found.items() if kind_of(p) == DEFINITIONS}
    groups = {p.rpartition("/")[2].partition(".")[2] for p in definitions}
    try:
        _delete(api, definitions, PATIENCE_SECONDS)
    except Problem:
        drop_finalizers(api, lambda p: p.split("/")[2] in groups)
        _delete(api, definitions, SECONDS)
    _delete(api, {p: uid for p, uid in found.items() if kind_of(p) not in (*FIRST, DEFINITIONS)}, SECONDS)
    for path, claim in known.items():
        if claim:
            _request(api, path, claim["metadata"]["uid"])
    return len(found)


def _delete(api: Api, found: Found, seconds: float) -> None:
    for path, uid in found.items():
        _request(api, path, uid)
    waiting = dict(found)

    def all_gone() -> bool:
        for path, uid in list(waiting.items()):
            if api.find(path).get("metadata", {}).get("uid") != uid:
                del waiting[path]
        return not waiting

    try:
        api.wait("objects deleted", all_gone, seconds)
    except Problem:
        left = ", ".join(path.rpartition("/")[2] for path in waiting)
        raise Problem(
            f"not deleted within {seconds:.0f} s: {left}",
            where=api.server,
            then=f"kubectl get {_kinds(waiting)} -o yaml",
        ) from None


def _kinds(found: Found) -> str:
    return ",".join(sorted({kind_of(path) for path in found}))


def _request(api: Api, path: str, uid: str) -> None:
    """Ask for a deletion, of this very object: another of its name may have been made since."""
    body: dict[str, Any] = {"preconditions": {"uid": uid}, "propagationPolicy": "Foreground"}
    api.call("DELETE", path, json=body)
