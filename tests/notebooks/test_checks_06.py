"""Module 06 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101 import apply, kubectl, timeline, wait_for
from k8s101.errors import Problem
from k8s101.lesson.api.session import Api, make_current
from k8s101.lesson.pictures.timeline import RolloutPicture
from k8s101.lesson.quiz import checks
from tests.notebooks.checking import clear, last_line, lesson, outcome

pytestmark = pytest.mark.cluster

HELLO = "k8s101.test/hello"


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("deployments") as api:
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    clear(opened, "deployments")


@pytest.fixture
def five(api: Api) -> Api:
    """Five Pods of 1.1.0, as the lesson leaves them."""
    update(surge=1, unavailable=0, version="1.1.0")
    wait_for("deployment/hello", "rolled out")
    return api


def update(surge: int | str, unavailable: int | str, version: str) -> None:
    apply("zero-downtime.yaml", surge=surge, unavailable=unavailable, version=version)


def test_nothing_is_attempted_at_the_start(five: Api) -> None:
    assert last_line(five, "zero-downtime") == "○ not attempted: Deployment hello still asks for 1.1.0"
    assert last_line(five, "spread") == "○ not attempted: there is no Deployment web yet"


def test_the_update_of_the_solution_passes(five: Api) -> None:
    update(surge=1, unavailable=0, version="2.0.0")
    found = outcome(five, "zero-downtime")
    assert found.passed, list(found.lines())
    picture = timeline("deployment/hello")
    assert isinstance(picture, RolloutPicture)
    assert picture.inside_band


def test_another_way_to_update_passes_too(five: Api) -> None:
    strategy = {"rollingUpdate": {"maxSurge": "20%", "maxUnavailable": "0%"}}
    five.apps.patch_namespaced_deployment("hello", five.namespace, {"spec": {"strategy": strategy}})
    kubectl(f"set image deployment/hello hello={HELLO}:2.0.0")
    assert outcome(five, "zero-downtime").passed


def test_an_update_that_lets_one_go_is_told_so_and_can_be_tried_again(five: Api) -> None:
    update(surge=1, unavailable=1, version="2.0.0")
    line = last_line(five, "zero-downtime")
    assert line.startswith("✗ not yet: only 4 of 5 were ready at one moment: maxUnavailable 1 allows it")
    kubectl("rollout undo deployment/hello")
    wait_for("deployment/hello", "rolled out")
    update(surge=1, unavailable=0, version="2.0.0")
    assert outcome(five, "zero-downtime").passed


def test_an_update_with_too_many_pods_is_told_so(five: Api) -> None:
    update(surge="25%", unavailable=0, version="2.0.0")
    assert last_line(five, "zero-downtime").startswith("✗ not yet: 7 Pods existed at one moment: maxSurge 25%")


def test_another_release_than_asked_for_is_told_so(five: Api) -> None:
    update(surge=1, unavailable=0, version="2.1.0")
    assert last_line(five, "zero-downtime") == "✗ not yet: hello asks for 2.1.0, the task for 2.0.0"


def test_an_update_that_cannot_move_is_refused_in_one_sentence(five: Api) -> None:
    with pytest.raises(Problem, match="may not be 0 when `maxSurge` is 0"):
        update(surge=0, unavailable=0, version="2.0.0")


WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {replicas}
  revisionHistoryLimit: {history}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      {where}
      containers:
        - name: web
          image: {image}
          readinessProbe: {{httpGet: {{path: /, port: 8000}}, periodSeconds: 1}}
"""
SPREAD = (
    "topologySpreadConstraints: [{topologyKey: kubernetes.io/hostname, maxSkew: 1, "
    "whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: web}}}]"
)
PINNED = "nodeSelector: {kubernetes.io/hostname: worker-1}"


def web(replicas: int = 5, history: int = 2, where: str = SPREAD, version: str = "1.1.0", image: str = HELLO) -> None:
    apply(WEB.format(replicas=replicas, history=history, where=where, image=f"{image}:{version}"))


def test_the_spread_of_the_solution_passes(api: Api) -> None:
    apply("solution-web.yaml")
    found = outcome(api, "spread")
    assert found.passed, list(found.lines())


def test_another_way_to_spread_passes_too(api: Api) -> None:
    web()
    found = outcome(api, "spread")
    assert found.passed, list(found.lines())


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"where": PINNED}, "worker-1 runs 5 of 5 Pods: without it only 0 stay ready"),
        ({"replicas": 4}, "web has 4 ready Pods, the task wants 5"),
        ({"version": "1.0.0"}, "its Pods run 1.0.0, the task wants 1.1.0"),
        ({"history": 10}, "10 old revisions are kept: look at revisionHistoryLimit"),
    ],
)
def test_what_is_wrong_with_web_is_told(api: Api, wrong: dict[str, object], line: str) -> None:
    web(**wrong)  # type: ignore[arg-type]
    assert last_line(api, "spread") == f"✗ not yet: {line}"


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({"version": "1.1.1"}, "Readiness probe failed: HTTP probe failed with statuscode: 500"),
        ({"version": "9.9.9"}, f"its node has no image {HELLO}:9.9.9 and cannot get it"),
        ({"where": "nodeSelector: {disk: fast}"}, "didn't match Pod's node affinity/selector"),
    ],
)
def test_the_cause_is_named_when_web_does_not_get_ready(api: Api, wrong: dict[str, object], cause: str) -> None:
    web(**wrong)  # type: ignore[arg-type]
    line = last_line(api, "spread")
    assert line.startswith("✗ not yet: Pod web-… ")
    assert cause in line


def test_a_learner_sees_the_finding_and_everybody_else_an_error(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    web(history=10)
    with pytest.raises(Problem, match="look at revisionHistoryLimit"):
        checks.check("spread")
    monkeypatch.setenv("K8S101_INTERACTIVE", "1")
    monkeypatch.setattr("k8s101.lesson.quiz.progress.record", lambda *entry: None)
    checks.check("spread")
    assert 'help: hint("spread")' in capsys.readouterr().out
