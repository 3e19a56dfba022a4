"""What a program needs to talk to the cluster as its learner does: kubectl, credentials, the mark of our namespaces."""

from __future__ import annotations

from pathlib import Path

from k8s101.cluster.access.identity import LABEL
from k8s101.cluster.access.kubeconfig import client_configuration, proxy_of
from k8s101.cluster.programs.binaries import ensure, places

__all__ = ["LABEL", "client_configuration", "kubectl", "places", "proxy_of"]


def kubectl() -> Path:
    """Return the path of the pinned kubectl; it is made if need be.

    Raises:
        Problem: it cannot be made.
    """
    return ensure(["kubectl"])["kubectl"]
