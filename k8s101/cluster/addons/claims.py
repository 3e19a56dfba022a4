"""Who uses an add-on, kept in the cluster itself, so that nobody takes it away from somebody else.

A ConfigMap for each add-on holds a key for each user: a lesson, or the person at the command line. It is
changed only as it was read (resourceVersion), so that two commands at the same time do not overlook each other.
"""

from __future__ import annotations

import re
from typing import Any

from k8s101.cluster.access.api import Api
from k8s101.cluster.addons.applying import LABEL
from k8s101.errors import Problem

NAMESPACE = "kube-system"
COLLECTION = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
REMOVING = "k8s101/removing"
"""Annotation of the claims on an add-on that is being removed."""

SECONDS = 90
"""How long somebody else's removal may take before it counts as interrupted."""

_MERGE = {"Content-Type": "application/merge-patch+json"}
_CONFLICT = 409


def path(addon: str) -> str:
    """Return the path of the claims on an add-on."""
    return f"{COLLECTION}/k8s101-addon-{addon}"


def users(claims: dict[str, Any]) -> list[str]:
    """Return who uses an add-on.

    Args:
        claims: the ConfigMap, empty if there is none.
    """
    return sorted(claims.get("data") or {})


def is_removing(claims: dict[str, Any]) -> bool:
    """Tell whether an add-on is being removed, or was when somebody interrupted that."""
    return REMOVING in claims.get("metadata", {}).get("annotations", {})


def claim(api: Api, addon: str, user: str) -> bool:
    """Note that somebody uses an add-on; return False if it is being removed.

    Args:
        api: a session with the cluster.
        addon: its name.
        user: who.

    Raises:
        Problem: the cluster refuses.
    """
    key = re.sub("[^A-Za-z0-9._-]+", "-", user) or "you"
    while True:
        known = api.find(path(addon))
        if is_removing(known):
            return False
        if key in users(known):
            return True
        body: dict[str, Any] = {"data": {key: "uses it"}}
        if known:
            body["metadata"] = {"resourceVersion": known["metadata"]["resourceVersion"]}
            answer = api.call("PATCH", path(addon), json=body, headers=_MERGE)
        else:
            name = path(addon).rpartition("/")[2]
            body |= {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {LABEL: addon}}}
            answer = api.call("POST", COLLECTION, json=body)
        if answer.ok:
            return True
        if answer.status_code != _CONFLICT:
            raise _refused(api, answer.text)


def release(api: Api, addon: str, user: str, *, force: bool = False) -> list[str]:
    """Note that somebody uses an add-on no more, and begin its removal if nobody does.

    Args:
        api: a session with the cluster.
        addon: its name.
        user: who.
        force: whether the others do not count.

    Returns:
        Who uses it still; empty if it is to be removed now.

    Raises:
        Problem: the cluster refuses.
    """
    key = re.sub("[^A-Za-z0-9._-]+", "-", user) or "you"
    while known := api.find(path(addon)):
        others = [] if force else [name for name in users(known) if name != key]
        metadata: dict[str, Any] = {"resourceVersion": known["metadata"]["resourceVersion"]}
        if not others:
            metadata["annotations"] = {REMOVING: "true"}
        body = {"metadata": metadata, "data": {key: None}}
        answer = api.call("PATCH", path(addon), json=body, headers=_MERGE)
        if answer.ok:
            return others
        if answer.status_code != _CONFLICT:
            raise _refused(api, answer.text)
    return []


def _refused(api: Api, said: str) -> Problem:
    return Problem(f"the cluster refuses to note who uses an add-on: {said[:200]}", where=api.server, then="k8s101 up")
