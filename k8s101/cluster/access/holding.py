"""What keeps a namespace from going: an object whose finalizer nobody serves, or an API that leads nowhere."""

from __future__ import annotations

from typing import Any

from k8s101.cluster.access.api import Api
from k8s101.cluster.access.listing import resources
from k8s101.errors import Problem

API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"


def held(api: Api, namespace: str) -> Problem | None:
    """Return what holds a namespace that is being deleted, and the way out; None if nothing does.

    Args:
        api: a session with the cluster.
        namespace: its name.
    """
    if not api.find(f"/api/v1/namespaces/{namespace}").get("metadata", {}).get("deletionTimestamp"):
        return None
    return _dead_api(api, namespace) or _waiting(api, namespace)


def _dead_api(api: Api, namespace: str) -> Problem | None:
    answer = api.call("GET", API_SERVICES)
    for item in answer.json()["items"] if answer.ok else []:
        conditions = {c["type"]: c for c in item.get("status", {}).get("conditions", [])}
        available = conditions.get("Available", {})
        if item["spec"].get("service") and available.get("status") == "False":
            name = item["metadata"]["name"]
            return Problem(
                f"namespace {namespace} cannot go: APIService {name} leads nowhere ({available.get('reason')}), "
                "so nobody knows what else is in it",
                where=f"{api.server}{API_SERVICES}/{name}",
                then=f"start what serves it, or kubectl delete apiservice {name}",
            )
    return None


def _waiting(api: Api, namespace: str) -> Problem | None:
    for root, resource in resources(api):
        if not resource["namespaced"]:
            continue
        answer = api.call("GET", f"{root}/namespaces/{namespace}/{resource['name']}")
        for item in answer.json().get("items") or [] if answer.ok else []:
            if "deletionTimestamp" in item["metadata"] and item["metadata"].get("finalizers"):
                return _problem(api, namespace, _kind(root, resource), item["metadata"])
    return None


def _kind(root: str, resource: dict[str, Any]) -> str:
    group = root.split("/")[2] if root.startswith("/apis/") else ""
    name = resource.get("singularName") or resource["name"]
    # a plural with its group is understood whatever other kinds there are
    return f"{resource['name']}.{group}" if "." in group else str(name)


def _problem(api: Api, namespace: str, kind: str, metadata: dict[str, Any]) -> Problem:
    finalizers = ", ".join(metadata["finalizers"])
    patch = """'{"metadata":{"finalizers":null}}'"""
    return Problem(
        f"namespace {namespace} cannot go: {kind}/{metadata['name']} waits for finalizer {finalizers}, "
        "which nobody serves",
        where=f"{api.server}, namespace {namespace}",
        then="start its controller, or let the object go: "
        f"kubectl patch {kind} {metadata['name']} --namespace={namespace} --type=merge --patch={patch}",
    )
