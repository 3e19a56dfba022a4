"""How a cluster is recognised before anything is written to it.

A cluster of ours bears a random id and its authority's fingerprint in a ConfigMap. The UID of its
kube-system namespace would not do: a copied etcd gives several clusters the same one.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from k8s101.cluster.values.settings import Settings
from k8s101.errors import Problem

if TYPE_CHECKING:
    from k8s101.cluster.access.api import Get

LABEL = "k8s101/cluster"
"""Label with the cluster's id; only namespaces that bear it are ever deleted."""

CONFIG_MAP = "k8s101-identity"
CONFIG_MAP_PATH = f"/api/v1/namespaces/kube-system/configmaps/{CONFIG_MAP}"


def create(state: Path) -> None:
    """Write a new random id into a state directory."""
    (state / "identity").write_text(secrets.token_hex(8) + "\n")


def read(settings: Settings) -> str:
    """Return the cluster's id."""
    return (settings.state / "identity").read_text().strip()


def server(kubeconfig: Path) -> str:
    """Return the URL of the API server that a kubeconfig names."""
    return str(_cluster(kubeconfig)["server"])


def _cluster(kubeconfig: Path) -> dict[str, Any]:
    entry: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    return entry


def fingerprint(kubeconfig: Path) -> str:
    """Return the SHA-256 of the authority that a kubeconfig trusts, in hexadecimal; empty if it names none."""
    authority = base64.b64decode(_cluster(kubeconfig).get("certificate-authority-data", ""))
    return hashlib.sha256(authority).hexdigest() if authority else ""


def manifest(settings: Settings) -> dict[str, Any]:
    """Return the ConfigMap by which a cluster of ours is recognised."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONFIG_MAP, "namespace": "kube-system"},
        "data": {"id": read(settings), "ca": fingerprint(settings.kubeconfig)},
    }


def verify(settings: Settings, get: Get) -> None:
    """Compare the ConfigMap in the cluster with the one that was written at its first start.

    Raises:
        Problem: another cluster answers.
    """
    if get(CONFIG_MAP_PATH).get("data") != manifest(settings)["data"]:
        raise another(settings, f"ConfigMap kube-system/{CONFIG_MAP}")


def another(settings: Settings, where: str) -> Problem:
    """Return the refusal to write to a cluster that is not the one known here."""
    return Problem(
        "another cluster answers at the address of the workshop's cluster; nothing was changed",
        where=f"{server(settings.kubeconfig)}, {where}",
        then="k8s101 down, then k8s101 up",
    )
