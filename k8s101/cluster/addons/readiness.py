"""The wait until an add-on works, and what is said if it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from k8s101.cluster.access.api import Api
from k8s101.cluster.addons.applying import Kinds, Object, has_condition, in_words
from k8s101.cluster.addons.catalog import Addon
from k8s101.errors import Problem

SECONDS = 120
PULL_SECONDS = 300
"""The same on clusters of others, whose nodes have to fetch the images."""

DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
"""What clients since Kubernetes 1.30 ask /apis for.
https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery
"""


def wait_ready(api: Api, kinds: Kinds, addon: Addon, say: Callable[[str], None], seconds: float) -> None:
    """Wait until all that the add-on's description names is ready.

    Args:
        api: a session with the cluster.
        kinds: its kinds.
        addon: what was applied.
        say: called with what is waited for.
        seconds: how long to wait for each.

    Raises:
        Problem: something is not ready in time; the message says why, as far as Pods tell.
    """
    for entry in addon.ready:
        what = entry["path"] if "path" in entry else in_words(_object(entry))
        say(f"waiting for {what}")
        try:
            api.wait(what, lambda entry=entry: _holds(api, kinds, entry), seconds)  # type: ignore[misc]
        except Problem:
            raise Problem(
                f"{addon.name} is not ready after {seconds:.0f} s{_cause(api, entry)}",
                where=f"{what} at {api.server}",
                then=addon.help or f"kubectl get pods --all-namespaces, then k8s101 addons enable {addon.name}",
            ) from None


def _object(entry: dict[str, str]) -> Object:
    names = {key: entry[key] for key in ("name", "namespace") if key in entry}
    return {"apiVersion": entry["apiVersion"], "kind": entry["kind"], "metadata": names}


def _holds(api: Api, kinds: Kinds, entry: dict[str, str]) -> bool:
    if "path" in entry:
        return bool(api.get(entry["path"]).get("items"))
    path = kinds.path(_object(entry))
    ready = path is not None and is_ready(api.get(path), entry.get("condition", "Available"))
    return ready and (entry["kind"] != "APIService" or _is_discovered(api, entry["name"]))


def _is_discovered(api: Api, service: str) -> bool:
    """Tell whether clients see the group of an APIService, which is a moment later than the service is available."""
    version, group = service.split(".", 1)
    found = api.call("GET", "/apis", headers={"Accept": DISCOVERY}).json()
    if "items" not in found:
        # before 1.30 each client asks for every group by itself
        return any(item["name"] == group for item in found["groups"])
    versions = [each for item in found["items"] if item["metadata"]["name"] == group for each in item["versions"]]
    return any(each["version"] == version and each.get("freshness") != "Stale" for each in versions)


def is_ready(item: Object, condition: str) -> bool:
    """Tell whether an object is ready: its condition, and of workloads that all Pods are of the newest kind."""
    status, spec = item.get("status", {}), item.get("spec", {})
    if item["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        seen = status.get("observedGeneration") == item["metadata"]["generation"]
        return bool(seen and wanted and status.get("updatedNumberScheduled") == wanted == status.get("numberReady"))
    if item["kind"] == "Deployment" and status.get("updatedReplicas", 0) < spec.get("replicas", 1):
        return False
    return has_condition(item, condition)


def _cause(api: Api, entry: dict[str, Any]) -> str:
    """Return what keeps containers from running in the namespace of what is not ready."""
    if "namespace" not in entry:
        return ""
    pods = api.get(f"/api/v1/namespaces/{entry['namespace']}/pods")["items"]
    statuses = [status for pod in pods for status in pod["status"].get("containerStatuses", []) if not status["ready"]]
    return "".join(f"; {reason}" for reason in sorted({_reason(status) for status in statuses} - {""}))


def _reason(status: Object) -> str:
    """Return why a container is not ready, as far as its status says."""
    ended = status["state"].get("terminated") or status.get("lastState", {}).get("terminated")
    if ended:
        return f"container {status['name']} ended with exit code {ended['exitCode']}"
    waiting = status["state"].get("waiting", {})
    return f"{waiting.get('reason', '')} {waiting.get('message', '')}".strip()[:200]
