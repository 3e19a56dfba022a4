"""The proof after a start: an app that is scheduled and, where containers run, found by DNS and answering."""

from __future__ import annotations

import subprocess
import tempfile
from typing import Any

import requests

from k8s101.cluster.access import identity
from k8s101.cluster.access.api import Api
from k8s101.cluster.facade.cluster import Cluster
from k8s101.cluster.images.building import HELLO
from k8s101.cluster.programs.binaries import ensure
from k8s101.cluster.values.deadline import until
from k8s101.errors import Problem

NAMESPACE = "k8s101-selfcheck"
IMAGE = f"{HELLO}:1.0.0"
SECONDS = 60


def run(cluster: Cluster) -> str:
    """Run the app, ask it in every way this cluster allows, remove it, and return the finding as one line.

    Raises:
        Problem: the app did not become ready or did not answer.
    """
    api = cluster.api
    label = {identity.LABEL: cluster.identity}
    path = f"/api/v1/namespaces/{NAMESPACE}"
    found = api.call("GET", path)
    if found.ok and not label.items() <= found.json()["metadata"].get("labels", {}).items():
        raise Problem(f"namespace {NAMESPACE} was not made by this workshop", where=api.server, then="rename it")
    if found.ok and "deletionTimestamp" in found.json()["metadata"]:
        api.wait("the app of the last check is gone", lambda: not api.call("GET", path).ok, SECONDS)
    try:
        for manifest in _manifests(label):
            api.apply(manifest)
        api.wait("the app is ready", lambda: _is_ready(api), SECONDS)
        return f"self-check: {', '.join([_nodes(cluster), *_findings(cluster)])}"
    finally:
        api.call("DELETE", path)


def _is_ready(api: Api) -> bool:
    deployment = api.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/hello")
    if deployment.get("status", {}).get("readyReplicas") == 1:
        return True
    pods = api.get(f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
    waiting = [
        status["state"].get("waiting", {}) for pod in pods for status in pod["status"].get("containerStatuses", [])
    ]
    if any(state.get("reason") in ("ErrImagePull", "ImagePullBackOff") for state in waiting):
        raise Problem(
            "the workshop's images are not on this cluster's nodes",
            where=IMAGE,
            then="k8s101 images load --into kind (or k3d, minikube), then k8s101 up",
        )
    return False


def _nodes(cluster: Cluster) -> str:
    count = len(cluster.api.get("/api/v1/nodes")["items"])
    return f"{count} nodes Ready" if cluster.capabilities.containers else f"{count} simulated nodes Ready"


def _addresses(api: Api) -> list[str]:
    """Return the addresses to which the app's Service leads."""
    selector = "labelSelector=kubernetes.io/service-name=hello"
    slices = api.get(f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices?{selector}")["items"]
    return [address for part in slices for end in part["endpoints"] or [] for address in end["addresses"]]


def _findings(cluster: Cluster) -> list[str]:
    """Return what was proved, each as a phrase."""
    able, api = cluster.capabilities, cluster.api
    if not able.containers:
        # a Pod is ready a moment before its Service has its address
        addresses = until(lambda: _addresses(api), SECONDS)
        _expect(len(addresses) == 1, f"the app's Service has the addresses {addresses}")
        return ["the app is scheduled and its Service finds it", "no container runs"]
    # a Pod is ready a moment before every node knows that its Service leads there
    answer = until(lambda: _from_inside(cluster), SECONDS, every=0.2, errors=(Exception,))
    _expect(answer.startswith("hello"), f"the app answered {answer!r}")
    if not able.host_network:
        return ["DNS resolves", "the app answers over its Service"]
    address = api.get(f"/api/v1/namespaces/{NAMESPACE}/services/hello")["spec"]["clusterIP"]
    outside = until(lambda: _from_outside(address), SECONDS, every=0.2, errors=(requests.RequestException,))
    _expect(outside.startswith("hello"), f"the app answered {outside!r}")
    return ["DNS resolves", "the app answers over its Service inside and outside"]


def _expect(good: bool, otherwise: str) -> None:
    if not good:
        raise Problem(otherwise, where=NAMESPACE, then="k8s101 doctor")


def _from_inside(cluster: Cluster) -> str:
    kubectl = ensure(["kubectl"])["kubectl"]
    command = [str(kubectl), f"--kubeconfig={cluster.settings.kubeconfig}", f"--namespace={NAMESPACE}"]
    command += ["exec", "deployment/hello", "--", "hello", "fetch", f"http://hello.{NAMESPACE}.svc.cluster.local"]
    with tempfile.TemporaryDirectory(prefix="k8s101-") as home:
        # no proxy and no settings of the user's, and nothing is left in their home
        answer = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env={"HOME": home})
    if answer.returncode:
        raise Problem(f"the app is not found by name: {answer.stderr.strip()}", where=NAMESPACE, then="k8s101 doctor")
    return answer.stdout


def _from_outside(address: str) -> str:
    answer = requests.get(f"http://{address}", timeout=10, proxies={"http": ""})
    answer.raise_for_status()
    return answer.text


def _manifests(label: dict[str, str]) -> list[dict[str, Any]]:
    labels = {"app": "hello"}
    container = {
        "name": "hello",
        "image": IMAGE,
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8000}, "periodSeconds": 1},
    }
    pod = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}}
    meta = {"name": "hello", "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": label}},
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
