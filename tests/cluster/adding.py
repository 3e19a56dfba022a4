"""Add-ons as they are typed, and what a cluster holds."""

from __future__ import annotations

import subprocess
import sys

from k8s101.cluster.access.listing import objects
from tests.lab import Lab, Result


def addons(*arguments: str) -> Result:
    """Run the command as it is typed; programs that nobody has built yet take minutes."""
    command = (sys.executable, "-m", "k8s101.cli", "addons", *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)


def good(*arguments: str) -> str:
    result = addons(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def everything(lab: Lab) -> set[str]:
    """Return the path of every object but Pods, whose names nobody chose."""
    return {path for path, _ in objects(lab.cluster.api) if "/pods/" not in path}
