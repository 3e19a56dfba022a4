"""Module 04 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from k8s101 import apply
from k8s101.lesson.api.session import Api, make_current
from tests.notebooks.checking import assert_passes, clear, last_line, lesson, outcome

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("health-checks") as api:
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    clear(opened, "deployments")


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "slow") == "○ not attempted: there is no Deployment slow yet"
    assert last_line(api, "report") == "○ not attempted: there is no Deployment report yet"


def test_the_slow_start_of_the_solution_passes_twice(api: Api) -> None:
    apply("slow.yaml", tries=30, alive="/healthz", ready="/readyz")
    for _ in range(2):
        found = outcome(api, "slow")
        assert found.passed, list(found.lines())


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"tries": 2}, "its containers are killed while they start: the startup probe gives up after 2 s"),
        ({"alive": "/readyz"}, "a container that is stuck does not start anew: its liveness probe asks /readyz"),
        ({"ready": "/"}, "a Pod that is busy still gets requests: its readiness probe asks /"),
        ({"ready": "/healthz"}, "a Pod that is busy still gets requests: its readiness probe asks /healthz"),
    ],
)
def test_what_is_wrong_with_the_probes_is_told(api: Api, wrong: dict[str, str | int], line: str) -> None:
    right: dict[str, str | int] = {"tries": 30, "alive": "/healthz", "ready": "/readyz"}
    apply("slow.yaml", **right | wrong)
    assert last_line(api, "slow") == f"✗ not yet: {line}"


def test_a_patient_liveness_probe_instead_of_a_startup_probe_passes_too(api: Api) -> None:
    probe = {"httpGet": {"path": "/healthz", "port": 8000}, "periodSeconds": 1, "failureThreshold": 12}
    apply(slow(livenessProbe=probe))
    found = outcome(api, "slow")
    assert found.passed, list(found.lines())


def test_a_start_without_a_startup_probe_is_told_so(api: Api) -> None:
    probe = {"httpGet": {"path": "/healthz", "port": 8000}, "periodSeconds": 1, "failureThreshold": 2}
    apply(slow(livenessProbe=probe))
    assert last_line(api, "slow").endswith("killed while they start: there is no startup probe")


def slow(**container: Any) -> str:
    return deployment(
        "slow",
        env=[{"name": "HELLO_STARTUP_DELAY", "value": "6s"}],
        readinessProbe={"httpGet": {"path": "/readyz", "port": 8000}, "periodSeconds": 1},
        **container,
    )


def report(grace: int = 15, replicas: int = 2, release: str = "1.1.0", **container: Any) -> str:
    return deployment("report", grace, replicas, release, **container)


def deployment(name: str, grace: int = 30, replicas: int = 2, release: str = "1.1.0", **container: Any) -> str:
    """Return a Deployment as JSON, which is YAML too."""
    labels = {"app": name}
    spec = {
        "terminationGracePeriodSeconds": grace,
        "containers": [{"name": name, "image": f"k8s101.test/hello:{release}", **container}],
    }
    return json.dumps(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        },
        indent=1,
    )


PRE_STOP = {"preStop": {"sleep": {"seconds": 3}}}


def test_the_report_of_the_solution_passes(api: Api) -> None:
    apply("solution-report.yaml")
    assert_passes(api, "report")


@pytest.mark.parametrize(
    ("manifest", "line"),
    [
        (report(), "a Pod that leaves refuses new requests at once: nothing holds back the end of its app"),
        (
            report(env=[{"name": "HELLO_GRACE", "value": "1s"}], lifecycle=PRE_STOP),
            "the report under way was cut off by the app itself (exit code 1)",
        ),
        (
            report(grace=5, lifecycle=PRE_STOP),
            "the report under way was cut off: preStop and the report together do not fit into 5 s",
        ),
        (report(grace=30, lifecycle=PRE_STOP), "a Pod may take 30 s to leave, the task allows 15"),
        (report(release="1.0.0", lifecycle=PRE_STOP), "they run 1.0.0, the task wants 1.1.0"),
        (report(replicas=1, lifecycle=PRE_STOP), "there is one Pod, the task wants two"),
    ],
    ids=["no preStop", "an impatient app", "too little grace", "too much grace", "another release", "one Pod"],
)
def test_what_is_wrong_with_the_report_is_told(api: Api, manifest: str, line: str) -> None:
    apply(manifest)
    assert last_line(api, "report") == f"✗ not yet: {line}"


def test_the_cause_is_named_when_report_does_not_get_ready(api: Api) -> None:
    apply(report(release="9.9.9"))
    assert "its node has no image k8s101.test/hello:9.9.9" in last_line(api, "report")
