"""Module 02 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101.errors import CommandFailed
from k8s101.lesson.api.session import MANIFESTS, Api, make_current
from k8s101.lesson.modules.objects_and_the_api import KINDS
from k8s101.lesson.modules.objects_and_the_api_exercises import AUTOSCALER
from tests.notebooks.checking import Page, assert_passes, last_line, lesson
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

PAGE = Page("02")
bash = PAGE.bash
cell = PAGE.cell

FILES = MANIFESTS / "02-objects-and-the-api"
HELLO = "k8s101.test/hello"


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("objects-and-the-api") as api:
        bash("kubectl apply -f shop.yaml")
        for name in ("hello-canary", "store"):
            bash(f"kubectl rollout status deployment/{name} --timeout=60s")
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    """The lesson as its last step leaves it: the autoscaler alone says how many Pods of hello there are."""
    make_current(opened)
    bash("kubectl delete deployment hello --ignore-not-found\nkubectl apply -f hello.yaml")
    autoscale(opened, 4)
    bash(
        """
        kubectl apply --server-side -f hello-shared.yaml
        kubectl rollout status deployment/hello --timeout=60s
        """
    )
    yield opened
    bash("kubectl delete service/front service/market deployment/market --ignore-not-found")


def autoscale(api: Api, replicas: int) -> None:
    """Do what the page's function does."""
    body = {"spec": {"replicas": replicas}}
    api.apps.patch_namespaced_deployment_scale("hello", api.namespace, body, field_manager=AUTOSCALER)


def release(*changes: tuple[str, str], how: str = "--server-side") -> None:
    """Apply the solution of exercise 1, changed like this."""
    text = (FILES / "solution-release.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    bash(f"kubectl apply {how} -f - <<'FILE'\n{text}\nFILE")


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "release") == "○ not attempted: hello still asks for 1.0.0"
    assert last_line(api, "front") == "○ not attempted: there is no Service front yet"
    assert last_line(api, "market") == "○ not attempted: there is no Deployment market yet"


def test_the_release_of_the_solution_passes(api: Api) -> None:
    bash(cell("02-exercise-1-solution"))
    assert_passes(api, "release")


def test_plain_apply_of_a_file_without_the_number_passes_too(api: Api) -> None:
    release(how="")
    assert_passes(api, "release")


def test_commands_without_any_file_pass_too(api: Api) -> None:
    labels = '{"spec": {"template": {"metadata": {"labels": {"tier": "web"}}}}}'
    bash(f"kubectl set image deployment/hello hello={HELLO}:1.1.0\nkubectl patch deployment/hello --patch '{labels}'")
    assert_passes(api, "release")


def test_taking_the_number_is_told_and_can_be_undone(api: Api) -> None:
    release()
    bash("kubectl scale deployment/hello --replicas=3")
    assert last_line(api, "release").startswith("✗ not yet: replicas belongs to kubectl now, and it is 3")
    autoscale(api, 4)
    assert_passes(api, "release")


def test_claiming_the_number_as_well_is_told(api: Api) -> None:
    release(("spec:\n  selector", "spec:\n  replicas: 4\n  selector"))
    assert last_line(api, "release").startswith("✗ not yet: kubectl has set replicas, too")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("1.1.0", "2.0.0"), "its Pods run 2.0.0, the task wants 1.1.0"),
        (("1.1.0", "9.9.9"), f"Pod hello-… cannot start: its node has no image {HELLO}:9.9.9 and cannot get it"),
        ((", tier: web", ""), "4 of 4 Pods lack the label tier=web"),
    ],
)
def test_what_is_wrong_with_the_release_is_told(api: Api, change: tuple[str, str], line: str) -> None:
    release(change)
    assert last_line(api, "release") == f"✗ not yet: {line}"


def test_labels_that_the_next_pod_will_lack_are_told(api: Api) -> None:
    release((", tier: web", ""))
    bash("kubectl rollout status deployment/hello --timeout=60s")
    eventually("four Pods are left", lambda: len(api.list("Pod", "app=hello,track=stable")) == 4, 60)
    bash("kubectl label pods -l app=hello,track=stable tier=web")
    assert last_line(api, "release").startswith("✗ not yet: these Pods have the label, but the template lacks it")


def test_a_number_that_the_autoscaler_did_not_mean_is_told(api: Api) -> None:
    release()
    autoscale(api, 1)
    assert last_line(api, "release") == "✗ not yet: 1 Pods are ready, the task wants 4"


def test_the_service_of_the_solution_passes(api: Api) -> None:
    bash(cell("02-exercise-2-solution"))
    assert_passes(api, "front")


def test_another_selector_for_the_same_pods_passes_too(api: Api) -> None:
    front("track=stable")
    assert_passes(api, "front")


def front(selector: str, note: str = "annotate service front example.com/contact=me", port: str = "8000") -> None:
    bash(
        f"""
        kubectl create service clusterip front --tcp={port}
        kubectl set selector service front {selector}
        kubectl {note}
        """
    )


@pytest.mark.parametrize(
    ("selector", "line"),
    [
        ("app=front", "Service front has no endpoints: its selector app=front matches no Pod label"),
        ("app=hello", "some of them are Pods of hello-canary"),
        ("app=hello,track=canary", "some of them are Pods of hello-canary"),
        ("app=store", "some of them are Pods of store"),
    ],
)
def test_what_is_wrong_with_the_selector_is_told(api: Api, selector: str, line: str) -> None:
    front(selector)
    assert last_line(api, "front") == f"✗ not yet: {line}"


@pytest.mark.parametrize(
    ("port", "line"),
    [
        ("80", "Service front listens on [80], not on 8000"),
        ("8000:80", "it sends requests on to port [80]; hello listens on 8000"),
    ],
)
def test_a_wrong_port_is_told(api: Api, port: str, line: str) -> None:
    front("track=stable", port=port)
    assert last_line(api, "front") == f"✗ not yet: {line}"


def test_a_label_instead_of_an_annotation_is_told(api: Api) -> None:
    front("track=stable", "label service front example.com/contact=me")
    assert last_line(api, "front") == (
        "✗ not yet: there is no annotation example.com/contact; what you have written is a label"
    )


@pytest.fixture
def market(api: Api) -> Api:
    """The fault of exercise 3, as the page prepares it."""
    bash(cell("02-exercise-3-fault"))
    return api


def repair(*changes: tuple[str, str]) -> None:
    text = (FILES / "market.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    bash(f"kubectl apply -f - <<'FILE'\n{text}\nFILE")


REPLICAS, LABEL, TIER = ("replica:", "replicas:"), ("markt", "market"), ("tier: front\n", "tier: frontend\n")


def test_the_market_of_the_solution_passes(market: Api) -> None:
    assert last_line(market, "market") == "○ not attempted: there is no Deployment market yet"
    bash(cell("02-exercise-3-solution"))
    assert_passes(market, "market")


def test_other_labels_that_match_pass_too(market: Api) -> None:
    repair(REPLICAS, LABEL, ("tier: frontend", "tier: front"))
    assert_passes(market, "market")


def test_a_half_repaired_market_is_refused_by_the_cluster(market: Api) -> None:
    with pytest.raises(CommandFailed):
        repair(REPLICAS)
    assert last_line(market, "market") == "○ not attempted: there is no Deployment market yet"


def test_the_mistake_that_nobody_refuses_is_told(market: Api) -> None:
    repair(REPLICAS, LABEL)
    assert last_line(market, "market") == (
        "✗ not yet: Service market has no endpoints: its selector app=market,tier=front matches no Pod label"
    )


def test_leaving_out_the_number_is_told(market: Api) -> None:
    repair(("  replica: 3\n", ""), LABEL, TIER)
    assert last_line(market, "market") == "✗ not yet: ready Pods: 1, and the task wants three"


def test_each_kind_is_served(api: Api) -> None:
    assert len(KINDS) == 15 + 1  # and EndpointSlice, which took the place of Endpoints
    assert all(api.rest.resource(kind).kind == kind for kind in KINDS)
