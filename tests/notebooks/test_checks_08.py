"""Module 08 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101.lesson.api.session import Api, make_current
from tests.notebooks.checking import Page, assert_passes, last_line, lesson

pytestmark = pytest.mark.cluster

PAGE = Page("08")
bash = PAGE.bash
changed = PAGE.changed
cell = PAGE.cell


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("services") as api:
        bash(
            """
            kubectl apply -f hello.yaml -f client.yaml -f next.yaml
            kubectl rollout status deployment/hello --timeout=60s
            kubectl rollout status deployment/next --timeout=60s
            """
        )
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    bash("kubectl delete services front shop --ignore-not-found --timeout=60s")


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "front") == "○ not attempted: there is no Service front yet"
    assert last_line(api, "shop") == "○ not attempted: there is no Service shop yet"
    assert last_line(api, "checkout") == "○ not attempted: there is no Service checkout yet"


def test_the_way_in_of_the_solution_passes(api: Api) -> None:
    bash(cell("08-exercise-1-solution"))
    assert_passes(api, "front")


def test_another_way_in_passes_too(api: Api) -> None:
    changed("solution-front.yaml", ("NodePort", "LoadBalancer"), ("targetPort: http", "targetPort: 8000"))
    assert_passes(api, "front")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("type: NodePort", "type: ClusterIP"), "front is a ClusterIP: no node opens a port for it"),
        (
            ("targetPort: http", "targetPort: 8080"),
            "front sends requests to port 8080 of its Pods, where nobody listens; hello listens on 8000",
        ),
        (("targetPort: http", "targetPort: web"), "no container of its Pods has a port named web"),
        (("port: 8080", "port: 80"), "front listens on port 80, the task asks for 8080"),
        (("nodePort: 30088", "nodePort: 30089"), "the nodes open port 30089, the task asks for 30088"),
        (
            ("sessionAffinity: ClientIP", "sessionAffinity: None"),
            "the calls of one client go to any Pod: nothing keeps the client with one of them",
        ),
        (("app: hello", "app: front"), "Service front has no endpoints: its selector app=front matches no Pod label"),
    ],
)
def test_what_is_wrong_with_front_is_told(api: Api, change: tuple[str, str], line: str) -> None:
    more = [("\n      nodePort: 30088", "")] if change[1] == "type: ClusterIP" else []
    changed("solution-front.yaml", change, *more)
    assert last_line(api, "front") == f"✗ not yet: {line}"


def test_the_shop_of_the_solution_passes(api: Api) -> None:
    bash(cell("08-exercise-2-solution"))
    assert_passes(api, "shop")


def test_another_shop_passes_too(api: Api) -> None:
    bash("kubectl expose deployment hello --name=shop --selector=tier=web --port=80 --target-port=8000 --type=NodePort")
    assert_passes(api, "shop")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("tier: web", "app: hello"), "no Pod of next is behind shop: its selector app=hello leaves them out"),
        (("tier: web", "app: web"), "Service shop has no endpoints: its selector app=web matches no Pod label"),
        (("spec:", "spec:\n  clusterIP: None"), "it has no address: clusterIP is None"),
        (("port: 80", "port: 8000"), "it listens on port 8000, the task asks for 80"),
        (
            ("targetPort: http", "targetPort: 80"),
            "shop sends requests to port 80 of its Pods, where nobody listens; hello listens on 8000",
        ),
    ],
)
def test_what_is_wrong_with_shop_is_told(api: Api, change: tuple[str, str], line: str) -> None:
    changed("solution-shop.yaml", change)
    assert last_line(api, "shop") == f"✗ not yet: {line}"


@pytest.fixture
def checkout(api: Api) -> Iterator[Api]:
    """The fault of exercise 3, as the page prepares it."""
    bash(
        """
        kubectl apply -f checkout.yaml
        kubectl rollout status deployment/checkout --timeout=60s
        kubectl rollout status deployment/checkout-mails --timeout=60s
        """
    )
    yield api
    bash("kubectl delete -f checkout.yaml --ignore-not-found --wait=false\nkubectl delete pods -l app=checkout --now")


def select(selector: str) -> None:
    bash(f"kubectl set selector service/checkout {selector}")


def test_the_fault_is_not_given_away_and_several_repairs_pass(checkout: Api) -> None:
    assert last_line(checkout, "checkout") == "○ not attempted: checkout is as your colleague left it"
    bash("kubectl rollout restart deployment/checkout\nkubectl rollout status deployment/checkout --timeout=60s")
    assert last_line(checkout, "checkout") == "✗ not yet: some requests are still refused"
    bash(cell("08-exercise-3-solution"))
    assert_passes(checkout, "checkout")
    select("part=web")
    assert_passes(checkout, "checkout")


def test_what_is_no_repair_is_told(checkout: Api) -> None:
    select("app=checkout,part=shop")
    line = "nobody answers any more: Service checkout leads to no Pod"
    assert last_line(checkout, "checkout") == f"✗ not yet: {line}"
    select("part=mails")
    assert last_line(checkout, "checkout") == "✗ not yet: some requests are still refused"
    bash("kubectl delete service checkout")
    line = "there is no Service checkout: its clients do not find its name"
    assert last_line(checkout, "checkout") == f"✗ not yet: {line}"
    bash("kubectl expose deployment checkout --port=8000")
    line = "its clients call port 80, and it listens on 8000"
    assert last_line(checkout, "checkout") == f"✗ not yet: {line}"
    bash("kubectl scale deployment/checkout-mails --replicas=0")
    line = "checkout-mails has 0 ready Pods; it had 2, and both are needed"
    assert last_line(checkout, "checkout") == f"✗ not yet: {line}"
