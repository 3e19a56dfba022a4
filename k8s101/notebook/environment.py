"""The surroundings of every notebook that a tool runs: the same on each machine, nobody's settings."""

from __future__ import annotations

import os
from collections.abc import Mapping

CELL_SECONDS = 180
"""Deadline of one cell; the lessons' own waits end well before, with a diagnosis."""

STARTUP_SECONDS = 60
KERNEL = "python3"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
DROPPED = (
    "KUBECONFIG",  # a learner's own cluster must never be reached
    "K8S101_INTERACTIVE",  # widgets have no place in stored outputs
    "PYTEST_CURRENT_TEST",  # changes how the kernel captures output
    "PYTEST_ADDOPTS",
    "FORCE_COLOR",
    "COLUMNS",
)


def kernel_environment(ipython_dir: str, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a notebook's kernel.

    Args:
        ipython_dir: an empty directory instead of the user's IPython profile.
        given: the environment to start from; that of this process if left out.
    """
    environment = {name: value for name, value in (given or os.environ).items() if name not in DROPPED}
    for name in ("NO_PROXY", "no_proxy"):
        entries = [entry for entry in environment.get(name, "").split(",") if entry]
        environment[name] = ",".join(dict.fromkeys([*entries, *LOOPBACK]))
    return environment | {"IPYTHONDIR": ipython_dir, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


def running_backend() -> str:
    """Return the backend of the running cluster.

    Raises:
        Problem: no cluster is running.
    """
    from k8s101.cluster.facade import cluster
    from k8s101.errors import Problem

    found = cluster.find()
    if found is None:
        raise Problem("no cluster is running", where="this machine", then="k8s101 up")
    return found.settings.backend
