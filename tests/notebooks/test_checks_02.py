"""Module 02 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101 import apply, kubectl, wait_for
from k8s101.lesson.api.rest import APPLY
from k8s101.lesson.api.session import Api, make_current
from k8s101.lesson.modules.objects_and_the_api import AUTOSCALER, FAMILIES, home
from tests.notebooks.checking import last_line, lesson, outcome

pytestmark = pytest.mark.cluster

HELLO = "k8s101.test/hello"


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("objects-and-the-api") as api:
        apply("hello.yaml")
        apply("shop.yaml")
        for name in ("hello", "hello-canary", "store"):
            wait_for(f"deployment/{name}", "rolled out")
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    """The lesson as its last step leaves it: the autoscaler alone says how many Pods of hello there are."""
    make_current(opened)
    apply("hello.yaml")
    autoscale(opened, 4)
    apply("hello-shared.yaml", version="1.0.0")
    wait_for("deployment/hello", "rolled out")
    yield opened
    kubectl("delete service front --ignore-not-found")


def autoscale(api: Api, replicas: int) -> None:
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hello"}}
    path = f"/apis/apps/v1/namespaces/{api.namespace}/deployments/hello"
    api.rest.call("PATCH", path, body | {"spec": {"replicas": replicas}}, APPLY, fieldManager=AUTOSCALER, force="true")


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "front") == "○ not attempted: there is no Service front yet"
    assert last_line(api, "release") == "○ not attempted: hello still asks for 1.0.0"


def test_the_service_of_the_solution_passes(api: Api) -> None:
    apply("front.yaml", app="hello", track="stable")
    found = outcome(api, "front")
    assert found.passed, list(found.lines())


def test_another_selector_for_the_same_pods_passes_too(api: Api) -> None:
    kubectl("create service clusterip front --tcp=8000")
    kubectl("set selector service front track=stable")
    found = outcome(api, "front")
    assert found.passed, list(found.lines())


@pytest.mark.parametrize(
    ("selector", "line"),
    [
        ("app=hello", "some of them are Pods of hello-canary"),
        ("app=hello,track=canary", "some of them are Pods of hello-canary"),
        ("app=store", "some of them are Pods of store"),
        ("app=helo", "Service front has no endpoints: its selector app=helo matches no Pod label"),
    ],
)
def test_what_is_wrong_with_the_selector_is_told(api: Api, selector: str, line: str) -> None:
    kubectl("create service clusterip front --tcp=8000")
    kubectl(f"set selector service front {selector}")
    assert last_line(api, "front") == f"✗ not yet: {line}"


@pytest.mark.parametrize("way", ["apply", "set image"])
def test_a_release_that_leaves_the_number_alone_passes(api: Api, way: str) -> None:
    if way == "apply":
        apply("hello-shared.yaml", version="1.1.0")
    else:
        kubectl(f"set image deployment/hello hello={HELLO}:1.1.0")
    found = outcome(api, "release")
    assert found.passed, list(found.lines())


def test_taking_the_number_back_is_told(api: Api) -> None:
    kubectl(f"set image deployment/hello hello={HELLO}:1.1.0")
    kubectl("scale deployment/hello --replicas=3")
    assert last_line(api, "release").startswith("✗ not yet: replicas belongs to kubectl now")


def test_claiming_the_number_as_well_is_told(api: Api) -> None:
    apply(api.manifest("hello.yaml").read_text().replace("replicas: 2", "replicas: 4").replace("1.0.0", "1.1.0"))
    autoscale(api, 4)
    assert last_line(api, "release").startswith("✗ not yet: k8s101 claims replicas, too")


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("2.0.0", "its Pods run 2.0.0, the task wants 1.1.0"),
        ("9.9.9", f"Pod hello-… cannot start: its node has no image {HELLO}:9.9.9 and cannot get it"),
    ],
)
def test_another_release_is_told(api: Api, version: str, line: str) -> None:
    apply("hello-shared.yaml", version=version)
    assert last_line(api, "release") == f"✗ not yet: {line}"


def test_a_number_that_is_not_the_autoscalers_wish_is_told(api: Api) -> None:
    apply("hello-shared.yaml", version="1.1.0")
    autoscale(api, 1)
    assert last_line(api, "release") == "✗ not yet: 1 Pods are ready, the autoscaler wants 4"


def test_each_kind_is_served_and_has_a_home(api: Api) -> None:
    kinds = [kind for family in FAMILIES.values() for kind in family]
    assert len(kinds) == 15 + 1  # and EndpointSlice, which took the place of Endpoints
    assert all(api.rest.resource(kind).kind == kind for kind in kinds)
    assert {home(kind) for kind in kinds} <= {f"{number:02}" for number in range(24)}
