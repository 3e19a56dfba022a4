"""A cluster with real nodes of which only the kubeconfig is known: rollouts, logs and exec are real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from k8s101.cluster.facade import cluster as clusters
from k8s101.cluster.facade import reset
from k8s101.cluster.values.settings import ROOT
from k8s101.notebook import kinds
from k8s101.notebook.document import Tree, code_cells, read

MODULES = ("00", "06")
CANARY = Path(__file__).with_name("canary.py")
Result = subprocess.CompletedProcess[str]


class Borrower:
    """A user with a state directory and a home, who got a kubeconfig from somebody.

    Args:
        directory: an empty one.
        kubeconfig: the file.
    """

    def __init__(self, directory: Path, kubeconfig: Path) -> None:
        self.kubeconfig, self.state, self.home = kubeconfig, directory / "state", directory / "home"
        self.home.mkdir()

    def python(self, *arguments: str | Path, seconds: float = 300) -> Result:
        environment = os.environ | {"K8S101_STATE": str(self.state), "HOME": str(self.home), "KUBECONFIG": "/dev/null"}
        environment["K8S101_CACHE"] = os.environ.get("K8S101_CACHE", f"{Path.home()}/.cache/k8s101")
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds)

    def good(self, *arguments: str | Path, seconds: float = 300) -> str:
        done = self.python(*arguments, seconds=seconds)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def survey(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.good(CANARY, "survey", self.kubeconfig))
        return found


@pytest.fixture(scope="module")
def borrower(directory: Path) -> Iterator[Borrower]:
    """A user of the cluster at K8S101_STATE, which is brought up and taken down where there is none."""
    found = clusters.find()
    cluster = clusters.up(print)
    reset.record_once(cluster)
    made = Borrower(directory, cluster.settings.kubeconfig)
    made.good(CANARY, "lay", made.kubeconfig)
    yield made
    made.python("-m", "k8s101.cli", "down")
    made.good(CANARY, "remove", made.kubeconfig)
    if found is None:
        clusters.down()


@pytest.fixture(scope="module")
def before(borrower: Borrower) -> dict[str, str]:
    """What stood in the cluster before."""
    return borrower.survey()


def test_it_is_found_to_be_real(borrower: Borrower, before: dict[str, str]) -> None:
    up = borrower.good("-m", "k8s101.cli", "up", "--kubeconfig", borrower.kubeconfig, "--yes")
    assert "3 nodes Ready, DNS resolves, the app answers over its Service" in up
    assert "3 real nodes" in borrower.good("-m", "k8s101.cli", "status")
    refused = borrower.python("-m", "k8s101.cli", "stop", "worker-1")
    assert "in the hands of others" in refused.stderr


@pytest.mark.parametrize("number", MODULES)
def test_a_module_runs_and_only_faults_are_recorded(borrower: Borrower, number: str) -> None:
    print(borrower.good("-m", "k8s101.notebook", "papermill", number, seconds=600))
    nb = read(Tree().paths([number])[0])
    wanted = kinds.expected(nb, kinds.able("existing"))
    summary = _summary(number)
    assert {kind: summary[kind] for kind in ("real", "simulated", "recorded")} == wanted.__dict__
    faults = [cell for cell in code_cells(nb) if {"node_faults", "control_plane_faults"} & cell.needs]
    assert wanted.recorded == len(faults) and wanted.real > 20


def _summary(number: str) -> dict[str, Any]:
    (path,) = [found for found in (ROOT / "artifacts/existing").glob(f"{number}-*.json") if ".copy" not in found.name]
    summary: dict[str, Any] = json.loads(path.read_text())
    assert summary["passed"], summary
    return summary


def test_logs_exec_and_rollout_came_from_containers(borrower: Borrower) -> None:
    """What only a container says stands in the outputs of module 06."""
    cells = {cell.id: cell for cell in code_cells(read(ROOT / "artifacts/existing/06-deployments.ipynb"))}
    printed = {name: "".join(output.get("text", "") for output in cell.outputs) for name, cell in cells.items()}
    assert "statuscode: 500" in printed["06-evidence"]
    assert "0 requests failed" in printed["06-rollout"]
    assert "rolled back" in printed["06-undo"]
    assert "100 % of the requests fail" in printed["06-blind-users"]


def test_nothing_outside_our_namespaces_was_written(borrower: Borrower, before: dict[str, str]) -> None:
    assert any(key.endswith("canary/bird") for key in before)
    assert borrower.survey() == before


def test_down_takes_our_namespaces_and_nothing_else(borrower: Borrower, before: dict[str, str]) -> None:
    borrower.good("-c", "from k8s101 import connect; connect('deployments')")
    assert borrower.good("-m", "k8s101.cli", "down") == "removed\n"
    assert not borrower.state.exists()
    api = clusters.find().api  # type: ignore[union-attr]
    names = [item["metadata"]["name"] for item in api.get("/api/v1/namespaces")["items"]]
    assert "canary" in names and not [name for name in names if name.startswith("k8s101-")]
    assert borrower.survey() == before
