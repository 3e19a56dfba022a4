"""The objects that the workshop itself writes into its clusters: nodes, and files below `manifests/`."""

from __future__ import annotations

import datetime as dt
from typing import Any

import yaml

from k8s101.cluster.access import identity
from k8s101.cluster.access.api import Api
from k8s101.cluster.values.settings import CANDIDATE_RANGES, ROOT, Settings

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
USUAL = CANDIDATE_RANGES[0]
"""The address ranges as they stand in the files."""

ADDRESS_SECONDS = 15


def node(settings: Settings, name: str, index: int) -> dict[str, Any]:
    """Return the Node object that a kubelet will find: its Pod range and labels.

    Args:
        settings: the cluster's settings.
        name: name of the node.
        index: its number, counted from 1.
    """
    pods = str(settings.ranges.pods_of(index))
    labels = {
        "node-role.kubernetes.io/worker": "",
        "topology.kubernetes.io/zone": f"zone-{'abc'[(index - 1) % 3]}",
        # its kubelet would say so, but what is spread over nodes counts only nodes that are known by name
        "kubernetes.io/hostname": name,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"podCIDR": pods, "podCIDRs": [pods]},
    }


def ready_nodes(api: Api, since: dt.datetime) -> set[str]:
    """Return the names of the nodes that are ready and were heard of since a moment.

    Args:
        api: a session with the cluster.
        since: what a node said before its cluster was stopped still stands in its status.
    """
    renewed = leases(api)
    ready = {item["metadata"]["name"]: _last_said_ready(item) for item in api.get("/api/v1/nodes")["items"]}
    # a kubelet that is quicker than the Node object of its name makes its lease seconds later
    return {name for name, said in ready.items() if said and max(said, renewed.get(name, said)) >= since}


def leases(api: Api) -> dict[str, dt.datetime]:
    """Return when each node was last heard of."""
    items = api.get(LEASES)["items"]
    return {item["metadata"]["name"]: dt.datetime.fromisoformat(item["spec"]["renewTime"]) for item in items}


def _last_said_ready(item: dict[str, Any]) -> dt.datetime | None:
    """Return when a node last said that it is ready, None if it said something else."""
    for condition in item.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready" and condition["status"] == "True":
            return dt.datetime.fromisoformat(condition["lastHeartbeatTime"])
    return None


def populate(settings: Settings, api: Api) -> None:
    """Write what a cluster with real nodes has: nodes, access rules, DNS and identity."""
    for index, name in enumerate(settings.nodes, start=1):
        api.apply(node(settings, name, index))
    apply_files(api, settings, "base/*.yaml")
    api.apply(identity.manifest(settings))


def localised(text: str, settings: Settings) -> str:
    """Return a manifest with the addresses that this cluster took: its DNS, and those for the outside."""
    ranges = settings.ranges
    return text.replace(str(USUAL.dns), str(ranges.dns)).replace(str(USUAL.outside), str(ranges.outside))


def apply_files(api: Api, settings: Settings, *patterns: str) -> None:
    """Apply files below `manifests/` with the cluster's own DNS address.

    Args:
        api: a session with the cluster.
        settings: its settings.
        patterns: which files, such as `base/*.yaml`.
    """
    for pattern in patterns:
        for path in sorted((ROOT / "manifests").glob(pattern)):
            for manifest in yaml.safe_load_all(localised(path.read_text(), settings)):
                _apply(api, manifest)


def _apply(api: Api, manifest: dict[str, Any]) -> None:
    if manifest["kind"] != "Service":
        api.apply(manifest)
        return

    def applied() -> bool:
        api.apply(manifest)
        return True

    # /readyz is good a moment before the allocator knows the range of addresses (getAllocator in
    # pkg/registry/core/service/ipallocator/cidrallocator.go of kubernetes/kubernetes)
    api.wait(f"address of Service {manifest['metadata']['name']}", applied, ADDRESS_SECONDS)
