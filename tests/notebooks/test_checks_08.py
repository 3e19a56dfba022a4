"""Module 08 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101 import apply, kubectl, wait_for
from k8s101.lesson.api.session import Api, make_current
from tests.notebooks.checking import last_line, lesson, outcome

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("services") as api:
        apply("hello.yaml")
        apply("next.yaml")
        apply("client.yaml", name="early")
        for target in ("deployment/hello", "deployment/next"):
            wait_for(target, "rolled out")
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    kubectl("delete services front shop --ignore-not-found --wait=true --timeout=60s")


def front(kind: str = "NodePort", port: int = 80, target: int | str = "http") -> None:
    apply("front.yaml", kind=kind, port=port, target=target)


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "front") == "○ not attempted: there is no Service front yet"
    assert last_line(api, "shop") == "○ not attempted: there is no Service shop yet"


def test_the_way_in_of_the_solution_passes(api: Api) -> None:
    front()
    found = outcome(api, "front")
    assert found.passed, list(found.lines())


@pytest.mark.alone
def test_another_way_in_passes_too(api: Api) -> None:
    kubectl("expose deployment hello --name=front --type=LoadBalancer --port=80 --target-port=8000")
    found = outcome(api, "front")
    assert found.passed, list(found.lines())


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"kind": "ClusterIP"}, "front is a ClusterIP: no node opens a port for it"),
        ({"target": 80}, "front sends requests to port 80 of its Pods, where nobody listens; hello listens on 8000"),
        ({"port": 8000}, "front listens on port 8000, the task asks for 80"),
    ],
)
def test_what_is_wrong_with_front_is_told(api: Api, wrong: dict[str, object], line: str) -> None:
    front(**wrong)  # type: ignore[arg-type]
    assert last_line(api, "front") == f"✗ not yet: {line}"


SHOP = """
apiVersion: v1
kind: Service
metadata: {{name: shop}}
spec:
  selector: {{{selector}}}
  ports: [{{port: {port}, targetPort: {target}}}]
  {more}
"""


def shop(selector: str = "tier: web", port: int = 80, target: int | str = "http", more: str = "") -> None:
    apply(SHOP.format(selector=selector, port=port, target=target, more=more))


def test_the_shop_of_the_solution_passes(api: Api) -> None:
    apply("solution-shop.yaml")
    found = outcome(api, "shop")
    assert found.passed, list(found.lines())


def test_another_shop_passes_too(api: Api) -> None:
    kubectl("expose deployment hello --name=shop --selector=tier=web --port=80 --target-port=8000 --type=NodePort")
    found = outcome(api, "shop")
    assert found.passed, list(found.lines())


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"selector": "app: hello"}, "no Pod of next is behind shop: its selector app=hello leaves them out"),
        ({"selector": "app: web"}, "Service shop has no endpoints: its selector app=web matches no Pod label"),
        ({"more": "clusterIP: None"}, "it has no address: clusterIP is None"),
        ({"port": 8000}, "it listens on port 8000, the task asks for 80"),
        ({"target": 80}, "nobody answers: its Pods do not listen on port 80, hello listens on 8000"),
    ],
)
def test_what_is_wrong_with_shop_is_told(api: Api, wrong: dict[str, object], line: str) -> None:
    shop(**wrong)  # type: ignore[arg-type]
    assert last_line(api, "shop") == f"✗ not yet: {line}"
