"""Back to the state after the first start, without starting again.

After the first start every object's name is recorded. A reset deletes what is not in that list, puts back
what the base manifests say, and starts what was stopped. Objects that a controller made for another object
go with their owner.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from k8s101.cluster.access.api import Api
from k8s101.cluster.access.listing import FIRST, drop_finalizers, gone, kind_of, objects
from k8s101.cluster.backends import existing
from k8s101.cluster.backends.objects import node
from k8s101.cluster.facade import extras
from k8s101.cluster.facade.cluster import Cluster, Report, repair
from k8s101.errors import Problem

SECONDS = 60

PATIENCE_SECONDS = 5
"""How long a deletion may take before finalizers are dropped."""

LEFT = (
    ("/api/v1", "pods"),
    ("/api/v1", "events"),
    ("/api/v1", "endpoints"),
    ("/apis/discovery.k8s.io/v1", "endpointslices"),
    ("/apis/coordination.k8s.io/v1", "leases"),
)
"""What components may have written into a namespace after it was listed, or is not listed."""

NOW = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}


def record_once(cluster: Cluster) -> None:
    """Record which objects exist after a cluster's first start, as the state to come back to."""
    path = cluster.settings.state / "baseline.json"
    if cluster.ours and not path.exists():
        cluster.api.wait("the first objects of every namespace exist", lambda: _is_settled(cluster.api), SECONDS)
        path.write_text(json.dumps(sorted(key for key, _ in objects(cluster.api))))


def _is_settled(api: Api) -> bool:
    """Tell whether the control plane has made what it makes by itself in a new cluster."""
    namespaces = {item["metadata"]["name"] for item in api.get("/api/v1/namespaces")["items"]}
    accounts = api.get("/api/v1/serviceaccounts?fieldSelector=metadata.name=default")["items"]
    authorities = api.get("/api/v1/configmaps?fieldSelector=metadata.name=kube-root-ca.crt")["items"]
    served = [{item["metadata"]["namespace"] for item in items} for items in (accounts, authorities)]
    return api.call("GET", "/readyz").ok and all(namespaces <= names for names in served)


def reset(cluster: Cluster, report: Report) -> float:
    """Bring the cluster back to the recorded state; in one that others run, remove our namespaces.

    Args:
        cluster: a running cluster.
        report: called with a line for each finished step.

    Returns:
        How long it took, in seconds.

    Raises:
        Problem: something did not go, or did not become ready.
    """
    began = time.monotonic()
    api = cluster.api
    if not cluster.ours:
        cluster.backend.connect(cluster.settings)
        report(f"add-ons removed: {len(extras.remove_all(cluster))}")
        report(f"namespaces deleted: {existing.remove_namespaces(cluster.settings)}")
        return time.monotonic() - began
    repair(cluster)
    api.wait("API server answers", api.ready, SECONDS)
    baseline = set(json.loads((cluster.settings.state / "baseline.json").read_text()))
    _remove_nodes(cluster)
    doomed = _doomed(dict(objects(api)), baseline)
    _delete(api, doomed)
    report(f"{len(doomed)} objects deleted")
    cluster.control("encrypt_secrets", False)
    found = {item["metadata"]["name"]: item for item in api.get("/api/v1/nodes")["items"]}
    for index, name in enumerate(cluster.settings.nodes, start=1):
        if name in found:
            _restore_node(api, found[name], node(cluster.settings, name, index))
    cluster.populate()
    for name in set(cluster.settings.nodes) - set(found):
        _register_again(cluster, name)
    cluster.wait_ready(report)
    return time.monotonic() - began


def _doomed(found: dict[str, Any], baseline: set[str]) -> list[str]:
    """Return the paths of what is not in the baseline, but for what belongs to something in it.

    What belongs to something that is gone counts, too: the garbage collector leaves it where the owner's kind is gone.
    """
    doomed: dict[str, str] = {}
    uids = {item["metadata"]["uid"] for item in found.values()}
    while True:
        grown = dict(doomed)
        for path, item in found.items():
            owners = [owner["uid"] for owner in item["metadata"].get("ownerReferences", [])]
            orphaned = not set(owners) & uids
            if path not in baseline and (orphaned or set(owners) & set(grown.values())):
                grown[path] = item["metadata"]["uid"]
        if grown == doomed:
            return list(doomed)
        doomed = grown


def _delete(api: Api, paths: list[str]) -> None:
    """Delete objects at once, without their grace, and wait until they are gone.

    Raises:
        Problem: something did not go.
    """
    left = sorted(paths, key=_rank)

    def all_gone() -> bool:
        left[:] = [path for path in left if not gone(api, path)]
        return not left

    for path in left:
        api.call("DELETE", path, json=NOW)
    for path in left:
        if kind_of(path) == "namespaces":
            _empty(api, path)
    for _ in range(SECONDS // PATIENCE_SECONDS):
        with contextlib.suppress(Problem):
            api.wait("objects deleted", all_gone, PATIENCE_SECONDS)
            return
        drop_finalizers(api)
        # a busy API server may have refused a request, and some objects are made anew
        for path in left:
            api.call("DELETE", path, json=NOW)
    api.wait(f"{', '.join(left)} deleted", all_gone, PATIENCE_SECONDS)


def _rank(path: str) -> int:
    """Return when to delete an object: a namespace before what is in it, so that nothing is made anew there."""
    kind = kind_of(path)
    return 0 if kind in FIRST else {"namespaces": 1, "pods": 3}.get(kind, 2)


def _empty(api: Api, path: str) -> None:
    """Delete what is left in a namespace, and let it go.

    Its controller would do so after a pause of five seconds
    (namespaceDeletionGracePeriod in pkg/controller/namespace/namespace_controller.go).
    """
    inside = path.removeprefix("/api/v1")
    for root, kind in LEFT:
        api.call("DELETE", f"{root}{inside}/{kind}", json=NOW)
    answer = api.call("GET", path)
    if answer.ok:
        namespace = answer.json()
        namespace["spec"]["finalizers"] = []
        api.call("PUT", f"{path}/finalize", json=namespace)


def _remove_nodes(cluster: Cluster) -> None:
    """Remove nodes that a lesson added."""
    for part in cluster.processes():
        if part.is_node and part.name not in cluster.settings.nodes:
            if part.pid:
                cluster.control("remove_node", part.name)
            cluster.api.call("DELETE", f"/api/v1/nodes/{part.name}")


def _restore_node(api: Api, found: dict[str, Any], manifest: dict[str, Any]) -> None:
    """Take off labels, taints and the cordon that lessons put on a node."""
    path = f"/api/v1/nodes/{manifest['metadata']['name']}"
    labels, own = found["metadata"].get("labels", {}), manifest["metadata"]["labels"]
    foreign = {key: None for key in labels if key not in own and not _is_kubelets(key)}
    if not foreign and not {"unschedulable", "taints"} & found["spec"].keys():
        return
    patch = {"metadata": {"labels": foreign}, "spec": {"unschedulable": None, "taints": None}}
    api.call("PATCH", path, json=patch, headers={"Content-Type": "application/merge-patch+json"})


def _register_again(cluster: Cluster, name: str) -> None:
    """Restart the kubelet of a node that was deleted: it writes its labels when it starts."""
    if f"{name}/kubelet" in {part.name for part in cluster.processes()}:
        cluster.part(f"{name}/kubelet").kill()


def _is_kubelets(label: str) -> bool:
    return label.startswith(("kubernetes.io/", "beta.kubernetes.io/", "node.kubernetes.io/"))
