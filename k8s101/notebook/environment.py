"""The surroundings of every notebook that a tool runs, and how long a cell may take: the same on each machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from k8s101.cluster.facade import place
from k8s101.cluster.values.settings import ROOT
from k8s101.errors import Problem
from k8s101.lesson.api.environment import STABLE
from k8s101.lesson.cells import files

CELL_SECONDS = 240
"""Deadline of one cell; the lessons' own waits end well before, with a diagnosis."""

STARTUP_SECONDS = 60
KERNEL = "python3"
STARTUP = ROOT / "k8s101/lesson/shell/ipython_kernel_config.py"
"""What every kernel of the environment runs first; scripts/setup installs it below etc/ipython."""

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
        ipython_dir: an empty directory instead of the user's IPython profile; lessons' files are copied into it, too.
        given: the environment to start from; that of this process if left out.
    """
    environment = {name: value for name, value in (given or os.environ).items() if name not in DROPPED}
    for name in ("NO_PROXY", "no_proxy"):
        entries = [entry for entry in environment.get(name, "").split(",") if entry]
        environment[name] = ",".join(dict.fromkeys([*entries, *LOOPBACK]))
    return environment | {
        "IPYTHONDIR": ipython_dir,
        "KUBECONFIG": str(place.state_dir() / "kubeconfig"),
        files.WORK: f"{ipython_dir}/work",
        STABLE: "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def teach_kernels(prefix: Path = Path(sys.prefix)) -> None:
    """Make sure that each kernel of this Python environment begins with the workshop's `%%bash`.

    Args:
        prefix: where the environment is.

    Raises:
        Problem: the environment belongs to somebody else and lacks it.
    """
    target = prefix / "etc/ipython" / STARTUP.name
    if target.exists() and target.read_bytes() == STARTUP.read_bytes():
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(STARTUP, target)
    except OSError as error:
        raise Problem(
            f"notebooks cannot get their %%bash: {error.strerror}", where=str(target), then="make setup"
        ) from None


def running_backend() -> str:
    """Return the backend of the running cluster.

    Raises:
        Problem: no cluster is running.
    """
    from k8s101.cluster.facade import cluster

    found = cluster.find()
    if found is None:
        raise Problem("no cluster is running", where="this machine", then="k8s101 up")
    return found.settings.backend
