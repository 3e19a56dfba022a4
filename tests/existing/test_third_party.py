"""A cluster that kwokctl made, with names, versions and rights of its own, on a machine of its own.

kwokctl listens on all interfaces; none of that machine leads anywhere.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import peer
from k8s101.cluster.programs import binaries
from k8s101.cluster.values.settings import ROOT
from tests import machine as machines
from tests.machine import Machine, Result, assert_problem
from tests.production import trap

NAME = "theirs"
CONTEXT = f"kwok-{NAME}"
CANARY = Path(__file__).with_name("canary.py")


class Theirs:
    """The cluster, and a user who has it in the usual kubeconfig, beside a production cluster.

    Args:
        machine: where it runs.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine, self.state = machine, machine.state
        self.paths = binaries.ensure(peer.TOOLS)
        self.work = machine.directory / "kwok"
        self.kubeconfig = machine.home / ".kube/config"
        self.alone = machine.directory / "theirs.kubeconfig"

    def kwokctl(self, *arguments: str) -> str:
        environment = peer.environment(self.work, self.paths)
        return _good(
            self.machine.run(self.paths["kwokctl"], *arguments, f"--name={NAME}", env=environment, timeout=180)
        )

    def create(self) -> None:
        peer.isolate(lambda arguments: _good(self.machine.run("ip", *arguments)))
        self.kwokctl("create", "cluster", "--wait=60s")
        self.kwokctl("scale", "node", "--replicas=3")
        self.alone.write_text(self.kubectl("config", "view", "--raw", "--flatten", "--minify"))
        self.canary("lay")

    def kubectl(self, *arguments: str) -> str:
        chosen = (f"--kubeconfig={self.kubeconfig}", f"--context={CONTEXT}")
        return _good(self.machine.run(self.paths["kubectl"], *chosen, *arguments))

    def canary(self, verb: str) -> dict[str, str]:
        return json.loads(_good(self.machine.run(sys.executable, CANARY, verb, self.alone))) or {}

    def k8s101(self, *arguments: str) -> Result:
        return self.machine.k8s101(*arguments, env={"KUBECONFIG": str(self.kubeconfig)})

    def python(self, *arguments: str, seconds: float = 300) -> Result:
        environment = {"KUBECONFIG": str(self.kubeconfig)}
        return self.machine.run(sys.executable, *arguments, cwd=ROOT, env=environment, timeout=seconds)

    def up(self, *more: str) -> Result:
        return self.k8s101("up", "--kubeconfig", str(self.kubeconfig), "--context", CONTEXT, *more)


def _good(result: Result) -> str:
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def theirs(directory: Path) -> Iterator[Theirs]:
    with machines.machine(directory) as machine:
        made = Theirs(machine)
        made.create()
        yield made


@pytest.fixture(scope="module")
def production(theirs: Theirs) -> Iterator[Path]:
    """The current context of the user's kubeconfig: must never be asked anything."""
    with trap(theirs.machine) as requests:
        yield requests


@pytest.fixture(scope="module")
def before(theirs: Theirs) -> dict[str, str]:
    return theirs.canary("survey")


def test_nobody_confirms_nothing_happens(theirs: Theirs, production: Path, before: dict[str, str]) -> None:
    assert_problem(theirs.up(), "nobody is here to confirm the cluster", "3 simulated nodes")
    assert not theirs.state.exists()
    assert theirs.canary("survey") == before


def test_a_context_that_is_not_there_is_named(theirs: Theirs, production: Path) -> None:
    wrong = theirs.k8s101("up", "--kubeconfig", str(theirs.kubeconfig), "--context", "nowhere", "--yes")
    assert_problem(wrong, "no context is called 'nowhere'", CONTEXT)
    assert not theirs.state.exists()


def test_it_is_confirmed_and_used(theirs: Theirs, production: Path, before: dict[str, str]) -> None:
    up = _good(theirs.up("--yes"))
    assert "3 simulated nodes Ready, the app is scheduled and its Service finds it, no container runs" in up
    assert "3 simulated nodes" in _good(theirs.k8s101("status"))
    _good(theirs.k8s101("doctor"))
    assert_problem(theirs.k8s101("stop"), "this cluster is run by others")
    assert oct(theirs.state.joinpath("kubeconfig").stat().st_mode & 0o777) == "0o600"
    assert "production" not in theirs.state.joinpath("kubeconfig").read_text()


@pytest.mark.parametrize("number", ["00", "06"])
def test_a_module_runs_on_nodes_with_other_names(theirs: Theirs, production: Path, number: str) -> None:
    done = theirs.python("-m", "k8s101.notebook", "papermill", "--name", "existing-kwokctl", number, seconds=600)
    print(_good(done))
    (path,) = (ROOT / "artifacts/existing-kwokctl").glob(f"{number}-*.json")
    summary = json.loads(path.read_text())
    assert summary["passed"] and summary["real"] == 0 and summary["recorded"] > 0


def test_a_namespace_of_the_same_name_is_left_alone(theirs: Theirs) -> None:
    theirs.kubectl("create", "namespace", "k8s101-services")
    refused = theirs.python("-c", "from k8s101 import connect; connect('services')")
    assert "namespace k8s101-services was not made by this workshop" in refused.stderr
    _good(theirs.k8s101("reset"))
    assert "k8s101-services" in theirs.kubectl("get", "namespaces")
    theirs.kubectl("delete", "namespace", "k8s101-services")


def test_only_our_namespaces_were_written(theirs: Theirs, production: Path, before: dict[str, str]) -> None:
    assert any(key.endswith("canary/bird") for key in before)
    assert theirs.canary("survey") == before
    assert production.read_text() == ""
    # the trap works: a command that reads the current context is caught
    theirs.machine.run(theirs.paths["kubectl"], f"--kubeconfig={theirs.kubeconfig}", "get", "pods")
    assert "/api" in production.read_text()


def test_another_cluster_behind_the_same_address_is_refused(theirs: Theirs) -> None:
    """The same server and authority, and everything in etcd lost: not what was confirmed."""
    theirs.kwokctl("stop", "cluster")
    shutil.rmtree(theirs.work / "clusters" / NAME / "etcd")
    theirs.kwokctl("start", "cluster", "--wait=60s")
    assert_problem(theirs.k8s101("up", "--no-check"), "another cluster answers", "kube-system")
    refused = theirs.python("-c", "from k8s101 import connect; connect('deployments')")
    assert "another cluster answers" in refused.stderr
    assert_problem(theirs.up("--yes"), "another cluster is in use here", "k8s101 down")
    down = _good(theirs.k8s101("down"))
    assert down == "removed\n"
    assert "k8s101-" not in theirs.kubectl("get", "namespaces")
    _good(theirs.up("--yes", "--no-check"))
    _good(theirs.k8s101("down"))
