"""What stands in a cluster outside the workshop's namespaces, to see whether somebody wrote there.

`canary.py lay|survey|remove KUBECONFIG`: a namespace of somebody else's, and a digest of every object.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from k8s101.cluster.access.api import Api

MOVING = {"events", "leases", "componentstatuses", "ipaddresses"}
"""What components of a cluster write by themselves; a Service of a lesson has an address of its own."""

OURS = "k8s101-"
NAMESPACE = "canary"


def lay(api: Api) -> None:
    """Put a namespace with one object into the cluster, once what others deleted is gone."""

    def settled() -> bool:
        return not any("deletionTimestamp" in item["metadata"] for item in api.get("/api/v1/namespaces")["items"])

    api.wait("namespaces that others deleted are gone", settled, 120)
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    meta = {"name": "bird", "namespace": NAMESPACE}
    api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"sings": "yes"}})
    # the control plane adds its own to a new namespace
    wanted = f"/api/v1/namespaces/{NAMESPACE}"
    for added in ("serviceaccounts/default", "configmaps/kube-root-ca.crt"):
        api.wait(added, partial(_exists, api, f"{wanted}/{added}"), 30)


def _exists(api: Api, path: str) -> bool:
    return api.call("GET", path).ok


def remove(api: Api) -> None:
    path = f"/api/v1/namespaces/{NAMESPACE}"
    api.call("DELETE", path)
    api.wait("the canary is gone", lambda: api.call("GET", path).status_code == 404, 30)


def survey(api: Api) -> dict[str, str]:
    """Return a digest of every object outside the workshop's namespaces; status does not count."""
    return {key: _digest(item) for key, item in _objects(api)}


def _objects(api: Api) -> Iterator[tuple[str, dict[str, Any]]]:
    groups = [group["preferredVersion"]["groupVersion"] for group in api.get("/apis")["groups"]]
    for root in ["/api/v1", *(f"/apis/{group}" for group in groups)]:
        for resource in api.get(root)["resources"]:
            name = resource["name"]
            if "list" not in resource["verbs"] or name in MOVING:
                continue
            for item in api.get(f"{root}/{name}")["items"]:
                metadata = item["metadata"]
                namespace = metadata["name"] if name == "namespaces" else metadata.get("namespace", "")
                if not namespace.startswith(OURS):
                    yield f"{name}.{root} {namespace}/{metadata['name']}", item


def _digest(item: dict[str, Any]) -> str:
    unstable = ("resourceVersion", "managedFields")
    metadata = {key: value for key, value in item["metadata"].items() if key not in unstable}
    kept = {key: value for key, value in item.items() if key != "status"} | {"metadata": metadata}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    print(json.dumps({"lay": lay, "survey": survey, "remove": remove}[sys.argv[1]](Api(Path(sys.argv[2])))))
