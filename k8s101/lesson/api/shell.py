"""Run commands so that a failure is an error, and all they print arrives in the notebook."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

from k8s101.cluster.facade import client
from k8s101.cluster.values.settings import cache_dir
from k8s101.errors import Problem
from k8s101.lesson.api.session import Api, current

TIMEOUT_SECONDS = 120
PIPEFAIL = "set -o pipefail\n"


def sh(command: str) -> None:
    """Run a command in bash and print what it writes.

    `kubectl` and `k8s101` in it are the workshop's own and speak to the workshop's cluster.

    Args:
        command: one or several lines; the last one's exit code counts, and any failure in a pipe.

    Raises:
        Problem: the command failed; what it wrote to standard error is in the message.
    """
    print(run(["bash", "-c", PIPEFAIL + command], command), end="")


def kubectl(arguments: str) -> None:
    """Run the workshop's `kubectl` in the lesson's namespace and print what it writes.

    Args:
        arguments: what stands behind the word kubectl on a command line.

    Raises:
        Problem: the command failed; what it wrote to standard error is in the message.
    """
    words = shlex.split(arguments)
    print(run([str(kubectl_path()), *_namespace(words), *words], f"kubectl {arguments}"), end="")


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
    cache = cache_dir() / "kubectl"
    mine = {"KUBECONFIG": str(api.settings.kubeconfig), "KUBERC": "off", "KUBECACHEDIR": str(cache)}
    own = (str(kubectl_path().parent), str(Path(sys.executable).parent))
    path = os.pathsep.join((*own, os.environ.get("PATH", os.defpath)))
    mine |= {"PATH": path, "K8S101_LESSON": api.slug}
    return {key: value for key, value in os.environ.items() if not key.startswith("KUBE")} | mine


@cache
def kubectl_path() -> Path:
    """Return the pinned kubectl."""
    return client.kubectl()


def _namespace(words: list[str]) -> list[str]:
    given = {"-n", "-A", "--namespace", "--all-namespaces"}
    if any(word.split("=")[0] in given for word in words):
        return []
    return [f"--namespace={current().namespace}"]
