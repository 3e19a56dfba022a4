"""The API server's audit log: who changed something, and who asked for a Secret.

Components are left out: they make nearly all requests, and a log that nobody can read helps nobody. Fields follow
https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/.
"""

from __future__ import annotations

from typing import Any

import yaml

from k8s101.cluster.components import kwok
from k8s101.cluster.values.settings import Settings

MEGABYTES, OLD_FILES = 10, 1
READABLE = 0o640

COMPONENTS = (
    "system:apiserver",
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "system:kube-proxy",
    kwok.USER,
)
COMPONENT_GROUPS = ("system:nodes", "system:serviceaccounts:kube-system")
CHANGES = ("create", "update", "patch", "delete", "deletecollection")


def policy() -> dict[str, Any]:
    """Return the rules; the first that matches a request decides what is noted of it."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "users": [*COMPONENTS]},
            {"level": "None", "userGroups": [*COMPONENT_GROUPS]},
            {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]},
            {"level": "Metadata", "verbs": [*CHANGES]},
            {"level": "None"},
        ],
    }


def flags(settings: Settings) -> tuple[str, ...]:
    """Return what kube-apiserver is told about its audit log.

    Args:
        settings: the cluster's settings.
    """
    return (
        f"--audit-policy-file={settings.state / 'audit.yaml'}",
        f"--audit-log-path={settings.logs / 'audit.log'}",
        f"--audit-log-maxsize={MEGABYTES}",
        f"--audit-log-maxbackup={OLD_FILES}",
    )


def write(settings: Settings) -> None:
    """Write the policy, and begin the log, which the owner of the cluster may read like any other.

    Args:
        settings: the cluster's settings.
    """
    (settings.state / "audit.yaml").write_text(yaml.safe_dump(policy(), sort_keys=False))
    log = settings.logs / "audit.log"
    # who begins it decides who may read it: the API server keeps the mode, also of the files that follow
    log.touch(READABLE)
