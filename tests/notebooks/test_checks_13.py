"""Module 13 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s101.lesson.api.session import Api, make_current
from k8s101.lesson.modules.ingress_and_gateway_exercises import EDGE, TICKETS
from tests.notebooks.checking import Page, addons, assert_passes, last_line, lesson

pytestmark = pytest.mark.cluster

PAGE = Page("13")
bash = PAGE.bash
changed = PAGE.changed
cell = PAGE.cell


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with addons("test-checks-13", "ingress", "gateway"):
        with lesson("ingress-and-gateway") as api:
            bash(
                """
                kubectl apply -f apps.yaml -f next.yaml -f gateway.yaml -f routes.yaml > /dev/null
                kubectl label namespace k8s101-ingress-and-gateway door=open
                kubectl rollout status deployment/hello --timeout=60s
                kubectl rollout status deployment/next --timeout=60s
                """
            )
            yield api
        bash(f"kubectl delete namespace {EDGE} {TICKETS} --ignore-not-found --timeout=60s")


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    bash(
        """
        kubectl delete httproute beta --ignore-not-found
        kubectl delete ingress team --ignore-not-found
        kubectl delete secret team-tls --ignore-not-found
        """
    )


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "beta") == "○ not attempted: there is no HTTPRoute beta yet"
    assert last_line(api, "team") == "○ not attempted: there is no Ingress team yet"
    assert last_line(api, "tickets") == "○ not attempted: there is no tickets yet"


def test_the_beta_of_the_solution_passes(api: Api) -> None:
    bash(cell("13-exercise-1-solution"))
    assert_passes(api, "beta")


def test_another_beta_passes_too(api: Api) -> None:
    changed("solution-beta.yaml", ("weight: 3", "weight: 75"), ("weight: 1}", "weight: 25}"), ("X-Beta", "x-beta"))
    assert_passes(api, "beta")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            [("weight: 3", "weight: 90"), ("weight: 1}", "weight: 10}")],
            "4 of 40 requests go to 2.0.0, the task asks for a quarter",
        ),
        ([("X-Beta", "X-Tester")], "with the header X-Beta: 2, not every request goes to 2.0.0"),
        (
            [('name: X-Beta, value: "2"', 'name: X-Beta, type: RegularExpression, value: ".*"')],
            "requests with X-Beta: 1 count as testers', too",
        ),
        ([(f", namespace: {EDGE}", "")], "no Gateway knows of beta: its parentRefs lead to none"),
        ([("name: next", "name: nest")], "beta names a backend that cannot be had: BackendNotFound"),
    ],
)
def test_what_is_wrong_with_beta_is_told(api: Api, changes: list[tuple[str, str]], line: str) -> None:
    changed("solution-beta.yaml", *changes)
    assert last_line(api, "beta") == f"✗ not yet: {line}"


def certificate(folder: Path, name: str = "team.test", days: int = 30, signed_by: str = "our own CA") -> None:
    """Make the Secret as the page does, in a folder of its own."""
    bash(
        f"""
        cd {folder}
        new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc'
        openssl req -x509 $new -keyout ca.key -out ca.crt -subj '/CN={signed_by}' -days 30 2> /dev/null
        openssl req -new $new -keyout a.key -out a.csr -subj /CN={name} -addext subjectAltName=DNS:{name} 2> /dev/null
        openssl x509 -req -in a.csr -CA ca.crt -CAkey ca.key -copy_extensions copy -days {days} -out a.crt 2> /dev/null
        kubectl create secret tls team-tls --cert=a.crt --key=a.key
        """
    )


def test_the_team_of_the_solution_passes(api: Api, tmp_path: Path) -> None:
    certificate(tmp_path)
    bash("kubectl delete secret team-tls")
    bash(f"cp *.yaml {tmp_path}\ncd {tmp_path}\n{cell('13-exercise-2-solution')}")
    assert_passes(api, "team")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("Name: traefik", "Name: nginx"), "team has the class nginx: nobody serves it"),
        (("pathType: Exact", "pathType: Prefix"), "next also gets /healthz/more; the task says exactly /healthz"),
        (("name: next", "name: hello"), "/healthz is answered by release 1.1.0, not by next"),
        (("number: 8000", "number: 80"), "http://team.test/ is answered 404, by Traefik itself"),
        (("team-tls", "teams-tls"), "Traefik shows its default certificate: for team.test it has found none"),
    ],
)
def test_what_is_wrong_with_team_is_told(api: Api, tmp_path: Path, change: tuple[str, str], line: str) -> None:
    certificate(tmp_path)
    changed("solution-team.yaml", change)
    assert last_line(api, "team") == f"✗ not yet: {line}"


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"days": -1}, "its certificate has expired"),
        ({"signed_by": "another CA"}, "its certificate was not signed by the CA of this lesson"),
    ],
)
def test_what_is_wrong_with_its_certificate_is_told(
    api: Api, tmp_path: Path, wrong: dict[str, str | int], line: str
) -> None:
    certificate(tmp_path, **wrong)  # type: ignore[arg-type]
    changed("solution-team.yaml")
    assert last_line(api, "team") == f"✗ not yet: {line}"


@pytest.fixture
def tickets(api: Api) -> Iterator[Api]:
    """The fault of exercise 3, as the page prepares it."""
    bash(cell("13-exercise-3-fault").partition("kubectl get")[0])
    yield api
    bash(
        f"""
        kubectl delete deployment tickets -n {TICKETS} --wait=false
        kubectl delete pods -n {TICKETS} --all --now
        kubectl delete namespace {TICKETS} --timeout=60s
        kubectl replace -f gateway.yaml
        """
    )


def test_the_fault_is_not_given_away_and_the_repair_passes(tickets: Api) -> None:
    assert last_line(tickets, "tickets") == "○ not attempted: tickets is as your colleague left it"
    bash(f"kubectl annotate -n {TICKETS} deployment/tickets looked=yes\nkubectl label namespace {TICKETS} door=shut")
    assert last_line(tickets, "tickets") == "✗ not yet: a request for tickets.test is answered 404"
    bash(f"kubectl label namespace {TICKETS} door-")
    bash(cell("13-exercise-3-solution"))
    assert_passes(tickets, "tickets")


def door(selection: str) -> None:
    """Let the Gateway take routes of other namespaces."""
    listener = f'{{"name": "http", "protocol": "HTTP", "port": 80, "allowedRoutes": {{"namespaces": {selection}}}}}'
    patch = f'{{"spec": {{"listeners": [{listener}]}}}}'
    bash(f"kubectl patch gateway door -n {EDGE} --type merge --patch '{patch}'")


def test_what_is_no_repair_is_told(tickets: Api) -> None:
    door('{"from": "All"}')
    line = "the Gateway now takes routes from every namespace, and the edge team wants to decide that"
    assert last_line(tickets, "tickets") == f"✗ not yet: {line}"
    door('{"from": "Selector", "selector": {"matchLabels": {"doors": "open"}}}')
    line = "old.test is answered 404 now, and it worked before"
    assert last_line(tickets, "tickets") == f"✗ not yet: {line}"
