"""All objects of a cluster, whatever their kinds, and what keeps some of them from going."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from k8s101.cluster.access.api import Api

PASSING = {"events", "leases", "endpoints", "endpointslices", "componentstatuses", "bindings"}
"""Resources that components keep writing by themselves."""

FIRST = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations", "apiservices")
"""Deleted before all else: they can refuse or break the deletion of others."""


def resources(api: Api) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (path of the API group's preferred version, resource) for all that can be listed and deleted."""
    groups = [g["preferredVersion"]["groupVersion"] for g in api.get("/apis")["groups"]]
    for root in ["/api/v1", *(f"/apis/{group}" for group in groups)]:
        answer = api.call("GET", root)
        for resource in answer.json().get("resources", []) if answer.ok else []:
            if {"list", "delete"} <= set(resource["verbs"]) and resource["name"] not in PASSING:
                yield root, resource


def objects(api: Api, selector: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (path, object) of everything in the cluster, metadata only.

    Args:
        api: a session with the cluster.
        selector: which labels; all objects if left out.
    """
    metadata_only = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
    for root, resource in resources(api):
        answer = api.call(
            "GET", f"{root}/{resource['name']}", headers=metadata_only, params={"labelSelector": selector}
        )
        for item in answer.json().get("items") or [] if answer.ok else []:
            namespace = item["metadata"].get("namespace")
            place = f"{root}/namespaces/{namespace}" if namespace else root
            yield f"{place}/{resource['name']}/{item['metadata']['name']}", item


def kind_of(path: str) -> str:
    """Return the plural name of an object's kind, from its path."""
    return path.split("/")[-2]


def gone(api: Api, path: str) -> bool:
    """Tell whether there is no such object."""
    return api.call("GET", path).status_code == 404


def drop_finalizers(api: Api, among: Callable[[str], bool] = lambda path: True) -> None:
    """Let go what waits for a controller that is gone; definitions wait for their own objects only.

    Args:
        api: a session with the cluster.
        among: tells by its path whether an object may be let go.
    """
    for path, item in objects(api):
        waits = "deletionTimestamp" in item["metadata"] and item["metadata"].get("finalizers")
        if waits and among(path) and "/customresourcedefinitions/" not in path:
            body = {"metadata": {"finalizers": None}}
            api.call("PATCH", path, json=body, headers={"Content-Type": "application/merge-patch+json"})
