"""The add-on `rollouts`: a release that answers gets all Pods, one that fails is rolled back by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from k8s101.cluster.facade import reset
from k8s101.cluster.programs.binaries import places
from k8s101.cluster.values.settings import ROOT
from tests.cluster.adding import everything, good
from tests.lab import Lab, Namespace, is_ready
from tests.waiting import eventually

MADE = places()["rollouts-controller"].is_file()
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not MADE, reason="not made yet: run python -m k8s101.cluster.addons.archives rollouts"),
]
MANIFEST = ROOT / "manifests/18-gitops/rollout.yaml"
RELEASE_SECONDS = 120
ANALYSES = "--sort-by=.metadata.creationTimestamp"


@pytest.fixture(scope="module", autouse=True)
def left_clean(lab: Lab) -> Iterator[None]:
    """Leave no add-on to other tests."""
    yield
    reset.reset(lab.cluster, print)


def release(space: Namespace, version: str) -> None:
    """Apply the manifest with another release of the app."""
    space.kubectl("apply", "--filename=-", text=MANIFEST.read_text().replace("hello:2.0.0", f"hello:{version}"))


def comes_to(space: Namespace, phase: str) -> dict[str, Any]:
    """Wait until the Rollout, as it is wanted now, is in a phase; return its status."""

    def reached() -> dict[str, Any]:
        found = space.get("rollout", "cart")
        status: dict[str, Any] = found["status"]
        assert status["observedGeneration"] == str(found["metadata"]["generation"])
        assert status["phase"] == phase, f"{status['phase']}: {status.get('message')}"
        return status

    return eventually(f"the Rollout is {phase}", reached, RELEASE_SECONDS)


def serves(lab: Lab, space: Namespace, version: str) -> None:
    """Wait until two ready Pods of a release are all there is, and the Service of the visitors leads to them."""

    def only() -> bool:
        pods = space.pods(app="cart")
        images = {pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in pods}
        return images == {version} and [is_ready(pod) for pod in pods] == [True, True]

    eventually(f"only {version} is left", only, RELEASE_SECONDS)
    address = f"{space.get('service', 'cart')['spec']['clusterIP']}:8000"
    eventually("it answers", lambda: all(lab.fetch(address).startswith(f"hello {version} ") for _ in range(10)))


def running(space: Namespace, version: str) -> set[str]:
    """Return the names of the ready Pods of a release."""
    pods = [pod for pod in space.pods(app="cart") if is_ready(pod)]
    return {pod["metadata"]["name"] for pod in pods if pod["spec"]["containers"][0]["image"].endswith(f":{version}")}


def phases(space: Namespace) -> list[str]:
    """Return what each analysis came to, the oldest first."""
    return [run["status"]["phase"] for run in space.get("analysisruns", ANALYSES)]


def test_a_release_that_fails_is_rolled_back_by_itself(lab: Lab, pristine: set[str]) -> None:
    for _ in range(2):
        assert good("enable", "rollouts") == "rollouts: enabled\n"
    space = Namespace(lab, "k8s101-addon-test")
    lab.kubectl("create", "namespace", space.name)
    release(space, "2.0.0")
    comes_to(space, "Healthy")
    serves(lab, space, "2.0.0")
    assert phases(space) == [], "there is nothing yet to go back to"
    release(space, "2.1.0")
    comes_to(space, "Healthy")
    serves(lab, space, "2.1.0")
    assert phases(space) == ["Successful"]
    before = running(space, "2.1.0")
    release(space, "1.1.1")
    status = comes_to(space, "Degraded")
    assert status["abort"] is True
    assert "RolloutAborted: Rollout aborted update to revision 3" in status["message"]
    assert running(space, "2.1.0") & before, "the stable release serves meanwhile"
    serves(lab, space, "2.1.0")
    assert phases(space) == ["Successful", "Error"]
    (metric,) = space.get("analysisruns", ANALYSES)[-1]["status"]["metricResults"]
    assert "received non 2xx response code: 500" in metric["measurements"][-1]["message"]
    lab.kubectl("delete", "namespace", space.name)
    assert good("disable", "rollouts") == "rollouts: disabled\n"
    assert everything(lab) == pristine
