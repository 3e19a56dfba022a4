"""Writing an add-on's objects into a cluster, on the server's side, so that big definitions fit as well."""

from __future__ import annotations

import json
import time
from typing import Any

import requests

from k8s101.cluster.access.api import POLL_SECONDS, Api
from k8s101.errors import Problem

LABEL = "k8s101/addon"
"""Label with the add-on's name, on all that is applied; nothing without it is ever replaced or deleted."""

SECONDS = 30
"""How long a kind may take to be served, and a refusal that passes to pass."""

APPLY_SECONDS = 60
CRD = "CustomResourceDefinition"
Object = dict[str, Any]


class Kinds:
    """Where objects of which kind are, asked of the cluster.

    Args:
        api: a session with the cluster.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: dict[tuple[str, str], tuple[str, bool]] = {}

    def path(self, manifest: Object) -> str | None:
        """Return the path of an object, None while its kind is not served."""
        version, kind = manifest["apiVersion"], manifest["kind"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if (version, kind) not in self._known:
            for resource in self._api.find(root).get("resources", []):
                if "/" not in resource["name"]:
                    self._known[version, resource["kind"]] = resource["name"], resource["namespaced"]
        if (version, kind) not in self._known:
            return None
        plural, namespaced = self._known[version, kind]
        metadata = manifest["metadata"]
        place = f"{root}/namespaces/{metadata.get('namespace', 'default')}" if namespaced else root
        return f"{place}/{plural}/{metadata['name']}"


def in_words(manifest: Object) -> str:
    """Return kind and name of an object as errors write them."""
    metadata = manifest["metadata"]
    return f"{manifest['kind']} " + "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))


def foreign(api: Api, kinds: Kinds, addon: str, manifests: list[Object]) -> list[tuple[Object, Object]]:
    """Return the objects that are there already and not of this add-on, as (ours, theirs).

    Args:
        api: a session with the cluster.
        kinds: its kinds.
        addon: the add-on's name.
        manifests: what is to be applied.
    """
    found = []
    for manifest in manifests:
        path = kinds.path(manifest)
        theirs = api.find(path) if path else {}
        if theirs and theirs["metadata"].get("labels", {}).get(LABEL) != addon:
            found.append((manifest, theirs))
    return found


def same_definition(ours: Object, theirs: Object) -> bool:
    """Tell whether two definitions of a kind have the same versions with the same fields."""

    def versions(definition: Object) -> dict[str, tuple[Any, ...]]:
        rows = definition["spec"]["versions"]
        return {row["name"]: (row["served"], row["storage"], row.get("schema")) for row in rows}

    return ours["kind"] == theirs["kind"] == CRD and versions(ours) == versions(theirs)


def apply(api: Api, kinds: Kinds, manifest: Object, labels: dict[str, str]) -> None:
    """Apply one object, as soon as its kind is served and what refuses it only for a moment has gone.

    Args:
        api: a session with the cluster.
        kinds: its kinds.
        manifest: the object.
        labels: what is added to its labels.

    Raises:
        Problem: the cluster refuses it, or does not know its kind.
    """
    metadata = manifest["metadata"]
    body = json.dumps(manifest | {"metadata": metadata | {"labels": metadata.get("labels", {}) | labels}})
    deadline = time.monotonic() + SECONDS
    while True:
        trouble = _try(api, kinds.path(manifest), body)
        if not trouble:
            break
        passing, said = trouble
        if not passing or time.monotonic() > deadline:
            raise Problem(
                f"the cluster refuses {in_words(manifest)}: {said}", where=api.server, then="kubectl get events -A"
            )
        time.sleep(POLL_SECONDS)
    if manifest["kind"] == CRD:
        path = kinds.path(manifest)
        assert path is not None
        api.wait(f"{in_words(manifest)} served", lambda: has_condition(api.get(path), "Established"), SECONDS)


def _try(api: Api, path: str | None, body: str) -> tuple[bool, str] | None:
    """Apply once; return None, or whether the refusal may pass and what it says."""
    if path is None:
        return True, "its kind is not known"
    answer = api.call(
        "PATCH",
        path,
        params={"fieldManager": "k8s101", "force": "true"},
        headers={"Content-Type": "application/apply-patch+yaml"},
        data=body,
        timeout=APPLY_SECONDS,
    )
    if answer.ok:
        return None
    said = _message(answer)
    code = answer.status_code
    passing = code in (404, 409, 429) or code >= 500 or "being terminated" in said
    return passing, said


def _message(answer: requests.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]


def has_condition(item: Object, kind: str) -> bool:
    """Tell whether a condition holds of an object as it is wanted now."""
    status = item.get("status", {})
    if status.get("observedGeneration", item["metadata"].get("generation")) != item["metadata"].get("generation"):
        return False
    return any(c["type"] == kind and c["status"] == "True" for c in status.get("conditions") or [])
