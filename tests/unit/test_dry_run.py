"""What a start would run, for each kind of cluster, compared with a file that a reviewer can read.

After a change that is meant: K8S101_UPDATE=1 pytest tests/unit/test_dry_run.py, and read the difference.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from k8s101.cluster.facade import dryrun
from k8s101.cluster.programs.binaries import places
from k8s101.cluster.values.settings import ROOT, Settings

GOLDEN = Path(__file__).with_name("golden")
TOOLS = {name: Path("/programs") / name for name in places()}


def written(backend: str) -> str:
    settings = Settings(Path("/state"), backend, own_network=backend == "nodes", owner=(1000, 1000))
    return dryrun.render(settings, TOOLS).replace(sys.executable, "python").replace(str(ROOT), "CHECKOUT") + "\n"


@pytest.mark.parametrize("backend", ["nodes", "guest", "simulated"])
def test_processes_and_arguments(backend: str) -> None:
    path = GOLDEN / f"{backend}.txt"
    if os.environ.get("K8S101_UPDATE"):
        path.write_text(written(backend))
    assert written(backend) == path.read_text()
