"""What a cluster that others made is and can do, found out by reading."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from k8s101.cluster.access import identity
from k8s101.cluster.access.api import Api
from k8s101.errors import Problem

CONNECT_SECONDS = 1.0
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
RIGHTS = (("create", "namespaces"), ("delete", "namespaces"), ("create", "pods"), ("watch", "pods"))
"""What every lesson does, in namespaces that it makes."""

PODS = 200
"""How many Pods are looked at; one that runs is enough."""


@dataclass(frozen=True)
class Probe:
    """A cluster as it was when it was confirmed.

    Args:
        server: URL of its API server.
        authority: SHA-256 of the authority that the kubeconfig trusts, empty if it names none.
        uid: UID of its kube-system namespace.
        version: of Kubernetes.
        nodes: how many.
        containers: whether Pods run containers.
        host_network: whether this machine reaches Pods and Services directly.
    """

    server: str
    authority: str
    uid: str
    version: str
    nodes: int
    containers: bool
    host_network: bool

    def description(self) -> str:
        """Return what a person needs to know before saying yes."""
        kind = "real" if self.containers else "simulated"
        return f"{self.server}, Kubernetes {self.version}, {self.nodes} {kind} nodes"


def load(state: Path) -> Probe:
    """Return what was confirmed."""
    return Probe(**json.loads((state / "existing.json").read_text()))


def save(state: Path, found: Probe) -> None:
    """Remember what was confirmed."""
    (state / "existing.json").write_text(json.dumps(asdict(found), indent=2) + "\n")


@contextmanager
def answering(server: str) -> Iterator[None]:
    """Turn silence and refusals of an API server into a Problem."""
    try:
        yield
    except (requests.ConnectionError, requests.Timeout, ssl.SSLError) as error:
        raise Problem(
            f"the cluster does not answer ({type(error).__name__})",
            where=server,
            then="start it, or check its address and certificates with kubectl get nodes",
        ) from None
    except requests.HTTPError as error:
        raise Problem(
            f"the cluster refuses{_words(error)}",
            where=error.response.url if error.response is not None else server,
            then="use a context whose user may list nodes, Pods and namespaces, and make and delete namespaces",
        ) from None


def _words(error: requests.HTTPError) -> str:
    if error.response is None:
        return ""
    try:
        return f": {error.response.json()['message']}"
    except (ValueError, LookupError, TypeError):
        return f" with HTTP {error.response.status_code}"


def examine(kubeconfig: Path) -> Probe:
    """Look at the cluster behind a kubeconfig with one context.

    Raises:
        Problem: it does not answer, or may not be read.
    """
    api = Api(kubeconfig)
    with answering(api.server):
        nodes = api.get("/api/v1/nodes")["items"]
        pods = api.get(f"/api/v1/pods?limit={PODS}")["items"]
        _check_rights(api)
        return Probe(
            server=api.server,
            authority=identity.fingerprint(kubeconfig),
            uid=api.get("/api/v1/namespaces/kube-system")["metadata"]["uid"],
            version=api.get("/version")["gitVersion"],
            nodes=len(nodes),
            containers=_has_containers(nodes, pods),
            host_network=_reaches(api, kubeconfig, pods),
        )


def _check_rights(api: Api) -> None:
    """Check that this user may do what lessons do; asking changes nothing."""
    for verb, resource in RIGHTS:
        attributes = {"verb": verb, "resource": resource}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = api.call("POST", REVIEWS, json=body)
        if answer.ok and not answer.json()["status"]["allowed"]:
            raise Problem(
                f"this user may not {verb} {resource}; nothing was changed",
                where=api.server,
                then=f"kubectl auth can-i {verb} {resource}; use a context whose user may",
            )


def is_simulated(node: dict[str, Any]) -> bool:
    """Tell a node that KWOK answers for, by the marks that KWOK's own documentation gives such nodes."""
    metadata = node["metadata"]
    return metadata.get("labels", {}).get("type") == "kwok" or "kwok.x-k8s.io/node" in metadata.get("annotations", {})


def _has_containers(nodes: list[dict[str, Any]], pods: list[dict[str, Any]]) -> bool:
    """Tell whether Pods run containers: by a container that runs, or in an empty cluster by its nodes."""
    running = [
        status
        for pod in pods
        for status in pod["status"].get("containerStatuses", [])
        if "running" in status.get("state", {})
    ]
    if running:
        return any(status.get("containerID") for status in running)
    return any(not is_simulated(node) for node in nodes)


def _reaches(api: Api, kubeconfig: Path, pods: list[dict[str, Any]]) -> bool:
    """Tell whether the cluster's own API server answers at its Service address, and a DNS Pod at its own."""
    service = api.get("/api/v1/namespaces/default/services/kubernetes")["spec"]
    labelled = [pod for pod in pods if pod["metadata"].get("labels", {}).get("k8s-app") == "kube-dns"]
    addresses = [address for pod in labelled if (address := pod["status"].get("podIP"))]
    if not addresses or not _is_cluster(service["clusterIP"], service["ports"][0]["port"], kubeconfig):
        return False
    try:
        with socket.create_connection((addresses[0], 53), CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _is_cluster(address: str, port: int, kubeconfig: Path) -> bool:
    """Tell whether a server proves with the cluster's authority that it is the API server."""
    entry = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    if "certificate-authority-data" not in entry:
        return False
    context = ssl.create_default_context(cadata=base64.b64decode(entry["certificate-authority-data"]).decode())
    try:
        with (
            socket.create_connection((address, port), CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=address),
        ):
            return True
    except OSError:
        return False
