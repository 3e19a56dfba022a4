"""Credentials of a kubeconfig in the form that libraries take, which is the name of a file.

The official client writes them to files in the directory for temporary files, where a private key
stays when a kernel is killed. Files in memory end with their process, however it ends.
"""

from __future__ import annotations

import base64
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from kubernetes.client import Configuration

FIELDS = ("certificate-authority", "client-certificate", "client-key")
"""Fields of a kubeconfig that name files; each has a twin ending in -data with the contents."""


@cache
def memory_file(encoded: str) -> str:
    """Return a path at which this process, and no other user, reads a content that is on no disk.

    Args:
        encoded: the content in base64, as it stands in a kubeconfig.

    Source: memfd_create(2).
    """
    descriptor = os.memfd_create("k8s101")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(base64.b64decode(encoded))
    return f"/proc/self/fd/{descriptor}"


def client_configuration(kubeconfig: Path) -> Configuration:
    """Return the official client's configuration for the cluster and the user that a kubeconfig names.

    Args:
        kubeconfig: a kubeconfig with one cluster and one user, and with inline certificates.

    Raises:
        OSError: the file cannot be read.
    """
    # costs close to a second, which `up` does not have
    from kubernetes.client import Configuration
    from kubernetes.config import load_kube_config_from_dict

    config = yaml.safe_load(kubeconfig.read_text())
    for kind in ("cluster", "user"):
        for entry in config[f"{kind}s"]:
            entry[kind] = _named(entry[kind])
    configuration = Configuration()
    load_kube_config_from_dict(config, client_configuration=configuration)
    return configuration


def proxy_of(kubeconfig: Path) -> str | None:
    """Return the proxy that a kubeconfig with one cluster names for it, None if it names none."""
    return yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"].get("proxy-url") or None


def _named(entry: dict[str, Any]) -> dict[str, Any]:
    contents = {f"{field}-data": field for field in FIELDS}
    return {
        contents.get(key, key): memory_file(value) if key in contents and value else value
        for key, value in entry.items()
    }
