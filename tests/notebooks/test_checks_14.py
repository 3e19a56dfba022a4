"""Module 14 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101.lesson.api.session import Api, make_current
from tests.notebooks.checking import Page, assert_passes, last_line, lesson

pytestmark = pytest.mark.cluster

PAGE = Page("14")
bash = PAGE.bash
changed = PAGE.changed
cell = PAGE.cell
TEAM, SHOP = "k8s101-networking-team", "k8s101-networking-shop"


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("networking") as api:
        bash(
            f"""
            k8s101 addons enable network-policy
            kubectl apply -f pods.yaml -f everywhere.yaml -f team.yaml
            kubectl wait pod/front pod/api --for=condition=Ready --timeout=60s
            kubectl wait pod/front -n {TEAM} --for=condition=Ready --timeout=60s
            kubectl rollout status daemonset/agent --timeout=60s
            kubectl apply -f deny.yaml -f allow.yaml -f allow-team.yaml -f only-api.yaml -f dns.yaml
            """
        )
        yield api
        bash(f"k8s101 addons disable network-policy\nkubectl delete namespace {TEAM} {SHOP} --wait=false")


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    bash(
        """
        kubectl delete networkpolicy agents --ignore-not-found
        kubectl delete pod batch --ignore-not-found --now
        """
    )


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "agents") == "○ not attempted: there is no NetworkPolicy agents yet"
    assert last_line(api, "batch") == "○ not attempted: there is no Pod batch yet"
    assert last_line(api, "shop") == "○ not attempted: there is no shop yet"


def test_the_agents_of_the_solution_pass(api: Api) -> None:
    bash(cell("14-exercise-1-solution"))
    assert_passes(api, "agents")


def test_agents_in_two_rules_pass_too(api: Api) -> None:
    ports = "      ports:\n        - {protocol: TCP, port: 8000}\n"
    second = f"{ports}    - from:\n        - namespaceSelector:"
    changed("solution-agents.yaml", ("        - namespaceSelector:", second))
    assert_passes(api, "agents")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("matchLabels: {app: agent}", "matchLabels: {app: api}"), "agents is not for the Pods with app=agent"),
        (("app: api}\n        - names", "app: front}\n        - names"), "api gets no answer from agent"),
        (("port: 8000", "port: 80"), "api gets no answer from agent"),
        (("networking-team}", "networking-teams}"), "front of the other team gets no answer"),
        (
            ("networking-team}", "networking-team}\n          podSelector:\n            matchLabels: {app: front}"),
            "only some Pods of the other team may call it: an entry with two selectors asks for both",
        ),
        (("{app: api}", "{}"), "other Pods of your namespace get an answer, too"),
        (
            ("      ports:\n        - {protocol: TCP, port: 8000}\n", ""),
            "open are the ports: all; asked for is 8000",
        ),
    ],
)
def test_what_is_wrong_with_agents_is_told(api: Api, change: tuple[str, str], line: str) -> None:
    changed("solution-agents.yaml", change)
    assert last_line(api, "agents") == f"✗ not yet: {line}"


def batch(*changes: tuple[str, str]) -> None:
    changed("solution-batch.yaml", *changes)
    bash("kubectl wait pod/batch --for=condition=Ready --timeout=60s")


def test_the_batch_of_the_solution_passes(api: Api) -> None:
    bash(cell("14-exercise-2-solution"))
    assert_passes(api, "batch")


def test_another_batch_passes_too(api: Api) -> None:
    batch(("labels: {app: front}", "labels: {app: front, run: batch}"), ("options:", "searches: []\n    options:"))
    assert_passes(api, "batch")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (('value: "1"', 'value: "5"'), "its resolv.conf says ndots:5, so a full name is still completed first"),
        (
            ("labels: {app: front}", "labels: {run: batch}"),
            "api does not answer it: no policy allows calls from a Pod whose label app is none",
        ),
    ],
)
def test_what_is_wrong_with_batch_is_told(api: Api, change: tuple[str, str], line: str) -> None:
    batch(change)
    assert last_line(api, "batch") == f"✗ not yet: {line}"


def test_changed_policies_are_no_way(api: Api) -> None:
    batch(("labels: {app: front}", "labels: {app: batch}"))
    changed("allow.yaml", ("{app: front}", "{}"))
    line = "the policy allow was changed: change the Pod instead"
    assert last_line(api, "batch") == f"✗ not yet: {line}"
    bash("kubectl replace --force -f allow.yaml")


@pytest.fixture
def shop(api: Api) -> Iterator[Api]:
    """The fault of exercise 3, as the page prepares it."""
    bash(f"kubectl apply -f shop.yaml\nkubectl wait pods --all -n {SHOP} --for=condition=Ready --timeout=60s")
    yield api


def test_the_fault_is_not_given_away_and_several_repairs_pass(shop: Api) -> None:
    assert last_line(shop, "shop") == "○ not attempted: shop is as the other team left it"
    bash(f"kubectl delete networkpolicies --all -n {SHOP}")
    line = "stranger gets an answer, too: the shop is not protected any more"
    assert last_line(shop, "shop") == f"✗ not yet: {line}"
    bash("kubectl apply -f shop.yaml")
    bash(f"kubectl label pod stranger -n {SHOP} app=buyer --overwrite")
    assert last_line(shop, "shop") == "✗ not yet: buyer still gets no answer"
    bash(f"kubectl label pod stranger -n {SHOP} app=stranger --overwrite")
    bash(cell("14-exercise-3-solution"))
    assert_passes(shop, "shop")
    changed("shop.yaml", ("- {protocol: TCP, port: 80}", "- {protocol: TCP, port: http}"))
    assert_passes(shop, "shop")
    changed("shop.yaml", ("      ports:\n        - {protocol: TCP, port: 80}\n", ""))
    assert_passes(shop, "shop")


def test_who_enforces_nothing_is_told_so(shop: Api) -> None:
    bash(cell("14-exercise-3-solution"))
    bash("k8s101 addons disable network-policy")
    line = (
        "stranger gets an answer, too: the shop is not protected any more; "
        "nothing enforces policies here: k8s101 addons enable network-policy"
    )
    assert last_line(shop, "shop") == f"✗ not yet: {line}"
    bash("k8s101 addons enable network-policy")
