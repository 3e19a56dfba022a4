"""Run the workshop's kubectl for checks, with none of the user's own settings."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from k8s101.cluster.facade import client
from k8s101.errors import Problem
from k8s101.lesson.api.session import Api, current

TIMEOUT_SECONDS = 120


def run(command: list[str], shown: str) -> str:
    """Run a command to its end and return its standard output.

    Raises:
        Problem: it failed or took too long.
    """
    try:
        # captured, not inherited: under a test runner a notebook loses what children write themselves
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            env=environment(current()),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Problem(
            f"the command did not end within {TIMEOUT_SECONDS} s",
            where=shown,
            then="leave out --watch or --follow",
        ) from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or "it says nothing"
        raise Problem(f"exit code {done.returncode}: {said}", where=shown, then="correct the command and run it again")
    return done.stdout


def environment(api: Api) -> dict[str, str]:
    """Return the variables for child processes: our kubeconfig, kubectl and its cache, none of the user's."""
    mine = {"KUBECONFIG": str(api.settings.kubeconfig), "KUBERC": "off"}
    mine["KUBECACHEDIR"] = str(api.settings.kubectl_cache)
    own = (str(kubectl_path().parent), str(Path(sys.executable).parent))
    path = os.pathsep.join((*own, os.environ.get("PATH", os.defpath)))
    mine |= {"PATH": path, "K8S101_LESSON": api.slug}
    return {key: value for key, value in os.environ.items() if not key.startswith("KUBE")} | mine


@cache
def kubectl_path() -> Path:
    """Return the pinned kubectl."""
    return client.kubectl()
