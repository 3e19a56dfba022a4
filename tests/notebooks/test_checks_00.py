"""Module 00, Start here: the checks of its exercises accept what is right and name what is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101.lesson.api.diagnose import ready_endpoints
from k8s101.lesson.api.session import Api, make_current
from k8s101.lesson.quiz.checking import existing
from tests.notebooks.checking import Page, assert_passes, clear, last_line, lesson
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

bash = Page("00").bash

APP = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels: {{app: {name}, {own}}}
spec:
  replicas: {copies}
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}, {pods}}}
    spec:
      containers: [{{name: {name}, image: "k8s101.test/hello:{version}"}}]
"""

SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {app}}}
  ports: [{{port: {port}, targetPort: {target}}}]
"""


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("start-here") as api:
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    clear(opened, "deployments", "services")


def apply(manifest: str) -> None:
    bash(f"kubectl apply -f - <<'EOF'\n{manifest}EOF")


def app(name: str, version: str, copies: int = 2, own: str = "part: one", pods: str = "part: one") -> None:
    apply(APP.format(name=name, version=version, copies=copies, own=own, pods=pods))


def service(name: str, app: str, port: int = 8000, target: int = 8000) -> None:
    apply(SERVICE.format(name=name, app=app, port=port, target=target))


def complete() -> None:
    app("mine", "1.1.0", pods="team: yours")
    bash("kubectl rollout status deployment/mine --timeout=60s")


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "four") == "○ not attempted: there is no Deployment hello yet"
    assert last_line(api, "mine") == "○ not attempted: there is no Deployment mine yet"
    assert last_line(api, "shop") == "○ not attempted: there is no Deployment shop yet"


def test_four_is_not_attempted_as_the_steps_leave_it(api: Api) -> None:
    app("hello", "1.0.0", copies=6)
    assert last_line(api, "four") == "○ not attempted: Deployment hello still asks for release 1.0.0"


@pytest.mark.parametrize(
    ("copies", "version", "line"),
    [
        (3, "1.1.0", "it has 3 ready Pods, the task wants 4"),
        (4, "1.0.0", "its Pods run 1.0.0, the task wants 1.1.0"),
    ],
)
def test_what_is_wrong_with_four_is_told(api: Api, copies: int, version: str, line: str) -> None:
    app("hello", version, copies=copies)
    assert last_line(api, "four") == f"✗ not yet: {line}"


def test_four_passes_by_commands_too(api: Api) -> None:
    app("hello", "1.0.0", copies=6)
    bash("kubectl scale deployment/hello --replicas=4")
    bash("kubectl set image deployment/hello hello=k8s101.test/hello:1.1.0")
    assert_passes(api, "four")


def test_mine_passes(api: Api) -> None:
    bash("kubectl apply -f solution-mine.yaml")
    bash("kubectl expose deployment mine --port=8000")
    assert_passes(api, "mine")


def test_a_label_that_pods_lack_is_told(api: Api) -> None:
    app("mine", "1.1.0")
    assert last_line(api, "mine") == "✗ not yet: 2 of 2 Pods lack the label team=yours"
    app("mine", "1.1.0", own="team: yours")
    missing = "2 of 2 Pods lack the label team=yours (the Deployment has it, but does not hand it down)"
    assert last_line(api, "mine") == f"✗ not yet: {missing}"
    bash("kubectl label pods -l app=mine team=yours")
    lost = "these Pods have the label, but the Deployment's template lacks it: the next Pod will be without it"
    assert last_line(api, "mine") == f"✗ not yet: {lost}"


def test_a_missing_service_is_told(api: Api) -> None:
    complete()
    line = "there is no Service mine, so nobody can call the app by this name"
    assert last_line(api, "mine") == f"✗ not yet: {line}"


@pytest.mark.parametrize(
    ("app", "port", "target", "line"),
    [
        ("min", 8000, 8000, "Service mine has no endpoints: its selector app=min matches no Pod label"),
        ("mine", 80, 8000, "it listens on port 80, not on 8000"),
        ("mine", 8000, 80, "nothing in its Pods listens on port 80 (targetPort); hello listens on 8000"),
    ],
)
def test_what_is_wrong_with_the_service_is_told(api: Api, app: str, port: int, target: int, line: str) -> None:
    complete()
    service("mine", app, port, target)
    if app == "mine":
        eventually("two endpoints", lambda: ready_endpoints(api, existing(api, "service/mine")) == 2, 10)
    assert last_line(api, "mine") == f"✗ not yet: {line}"


def test_shop_passes_once_both_faults_are_repaired(api: Api) -> None:
    bash("kubectl apply -f shop.yaml")
    assert last_line(api, "shop") == "○ not attempted: nothing in shop has changed yet"
    bash("kubectl set selector service/shop app=shop")
    image = "its node has no image k8s101.test/hello:1.1 and cannot get it"
    assert last_line(api, "shop").endswith(image)
    bash("kubectl set image deployment/shop shop=k8s101.test/hello:1.1.0")
    assert_passes(api, "shop")


def test_shop_passes_with_other_labels_too(api: Api) -> None:
    bash("kubectl apply -f shop.yaml")
    bash("kubectl set image deployment/shop shop=k8s101.test/hello:1.1.0")
    line = "Service shop has no endpoints: its selector app=store matches no Pod label"
    assert last_line(api, "shop") == f"✗ not yet: {line}"
    bash("kubectl delete service shop")
    bash("kubectl expose deployment shop --port=8000")
    assert_passes(api, "shop")
