"""The proof after a start: an app that is scheduled, runs, is found by DNS and answers over a Service."""

from __future__ import annotations

import subprocess
from typing import Any

import requests

from ..errors import Problem
from .binaries import ensure
from .cluster import Cluster

NAMESPACE = "k8s101-selfcheck"
SECONDS = 60


def run(cluster: Cluster) -> str:
    """Run the app, ask it from inside and from the machine, remove it, and return the finding as one line.

    Raises:
        Problem: the app did not become ready or did not answer.
    """
    api = cluster.api
    try:
        for manifest in _manifests():
            api.apply(manifest)
        path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/hello"
        api.wait("the app is ready", lambda: api.get(path).get("status", {}).get("readyReplicas") == 1, SECONDS)
        inside = _from_inside(cluster)
        address = api.get(f"/api/v1/namespaces/{NAMESPACE}/services/hello")["spec"]["clusterIP"]
        answer = requests.get(f"http://{address}", timeout=10, proxies={"http": ""})
        answer.raise_for_status()
    finally:
        api.call("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
    if not inside.startswith("hello") or not answer.text.startswith("hello"):
        raise Problem(f"the app answered {inside!r}", where=NAMESPACE, then="k8s101 doctor")
    nodes = len(cluster.settings.nodes)
    return f"self-check: {nodes} nodes Ready, DNS resolves, the app answers over its Service inside and outside"


def _from_inside(cluster: Cluster) -> str:
    kubectl = ensure(["kubectl"])["kubectl"]
    command = [str(kubectl), f"--kubeconfig={cluster.settings.kubeconfig}", f"--namespace={NAMESPACE}"]
    command += ["exec", "deployment/hello", "--", "/hello", "fetch", f"http://hello.{NAMESPACE}.svc.cluster.local"]

    answer = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    if answer.returncode:
        raise Problem(f"the app is not found by name: {answer.stderr.strip()}", where=NAMESPACE, then="k8s101 doctor")
    return answer.stdout


def _manifests() -> list[dict[str, Any]]:
    labels = {"app": "hello"}
    container = {
        "name": "hello",
        "image": "docker.io/kubernetes101/hello:1.0.0",
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8000}, "periodSeconds": 1},
    }
    pod = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}}
    meta = {"name": "hello", "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8000}]},
        },
    ]
