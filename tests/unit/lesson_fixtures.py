"""Objects as the API server reports them, and a lesson without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from kubernetes.client import ApiClient, Configuration

from k8s101.cluster.values.settings import Settings
from k8s101.lesson.api.names import HASH, REVISION
from k8s101.lesson.api.recorder import Recorder, Seen
from k8s101.lesson.api.rest import Rest
from k8s101.lesson.api.session import Api

Object = dict[str, Any]


def lesson(state: Path, slug: str = "deployments") -> Api:
    """Return a lesson whose cluster nobody may ask: its address answers nothing."""
    return Api(slug, Settings(state), ApiClient(Configuration(host="https://127.0.0.1:9")))


def owned(uid: str, kind: str, name: str, owner: Object | None = None, **labels: str) -> Object:
    meta: Object = {"uid": uid, "name": name, "namespace": "n", "resourceVersion": "1", "labels": labels}
    if owner:
        meta["ownerReferences"] = [
            {
                "uid": owner["metadata"]["uid"],
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "controller": True,
            }
        ]
    return {"kind": kind, "apiVersion": "v1", "metadata": meta, "spec": {}, "status": {}}


def template(version: str) -> Object:
    return {"spec": {"containers": [{"name": "hello", "image": f"k8s101.test/hello:{version}"}]}}


def deployment(replicas: int = 5, revision: str = "1", **update: Any) -> Object:
    item = owned("d", "Deployment", "hello")
    item["metadata"]["annotations"] = {REVISION: revision}
    strategy = {"rollingUpdate": update or {"maxSurge": "25%", "maxUnavailable": "25%"}}
    item["spec"] = {"replicas": replicas, "strategy": strategy, "template": template("1.0.0")}
    item["status"] = {"readyReplicas": replicas}
    return item


def replicaset(number: str, version: str, replicas: int = 3) -> Object:
    item = owned(f"rs{number}", "ReplicaSet", f"hello-bcdfg{number}", deployment(), **{HASH: f"bcdfg{number}"})
    item["metadata"]["annotations"] = {REVISION: number}
    item["spec"] = {"replicas": replicas, "template": template(version)}
    item["status"] = {"readyReplicas": replicas}
    return item


def pod(uid: str, parent: Object, *, ready: bool = True, node: str = "worker-1", stopping: bool = False) -> Object:
    item = owned(uid, "Pod", f"{parent['metadata']['name']}-{uid}", parent, **parent["metadata"]["labels"])
    item["spec"] = parent["spec"]["template"]["spec"] | {"nodeName": node}
    item["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]}
    if stopping:
        item["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return item


class Recording:
    """A recorder filled by hand: each report comes a second after the one before."""

    def __init__(self) -> None:
        self.recorder = Recorder(cast(Rest, None), "n")  # nothing is asked
        self._at = 0.0

    def see(self, item: Object, kind: str = "ADDED") -> None:
        """Keep one report."""
        self._at += 1
        item["metadata"]["resourceVersion"] = str(int(self._at))
        self.recorder.add(Seen(self._at, kind, item))
