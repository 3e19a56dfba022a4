"""Module 19 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s101.errors import Problem
from k8s101.lesson.api.control import component
from k8s101.lesson.api.session import Api, make_current
from tests.notebooks.checking import Page, assert_passes, last_line, lesson

pytestmark = pytest.mark.cluster

PAGE = Page("19")
bash = PAGE.bash
changed = PAGE.changed
cell = PAGE.cell

USER = "test-checks-19"
ADDONS_SECONDS = 600
"""Where a program is not there yet, it is made."""


def addons(verb: str) -> None:
    command = (sys.executable, "-m", "k8s101.cli", "addons", verb, "metrics", "prometheus", "--for", USER)
    subprocess.run(command, check=True, capture_output=True, timeout=ADDONS_SECONDS)


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    addons("enable")
    with lesson("observe-and-operate") as api:
        bash("kubectl apply -f hello.yaml\nkubectl rollout status deployment/hello --timeout=60s")
        yield api
    addons("disable")


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    bash("kubectl delete hpa hello --ignore-not-found\nkubectl delete deployment shop --ignore-not-found")


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "hello") == "○ not attempted: there is no HorizontalPodAutoscaler hello"
    bash("kubectl apply -f hpa.yaml")
    assert last_line(api, "hello") == "○ not attempted: the autoscaler hello is as it was before"
    assert last_line(api, "shop") == "○ not attempted: there is no Deployment shop yet"
    assert last_line(api, "tickets") == "○ not attempted: there is no tickets yet"


def test_the_autoscaler_of_the_solution_passes(api: Api) -> None:
    bash(cell("19-exercise-1-solution"))
    assert_passes(api, "hello")


def test_another_autoscaler_passes_too(api: Api) -> None:
    changed("solution-hello.yaml", ("scaleDown:", "scaleDown:\n      stabilizationWindowSeconds: 300"))
    assert_passes(api, "hello")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("minReplicas: 2", "minReplicas: 1"), "it allows 1 to 6 Pods, the task says 2 to 6"),
        (
            ("averageUtilization: 70", "averageUtilization: 50"),
            "its target is 50 % of the requested CPU, the task says 70",
        ),
        (
            ("type: Utilization, averageUtilization: 70", 'type: AverageValue, averageValue: "70m"'),
            "it has no target for CPU in percent",
        ),
        (
            ("scaleDown:", "scaleDown:\n      stabilizationWindowSeconds: 0"),
            "it looks back 0 s only before it removes a Pod, the task says five minutes",
        ),
        (
            ("type: Pods, value: 1", "type: Percent, value: 1"),
            "its policies for the way down say 1 Percent in 60 s; the task allows one Pod a minute",
        ),
        (("kind: Deployment, name: hello", "kind: Deployment, name: helo"), "it scales Deployment helo, not hello"),
    ],
)
def test_what_is_wrong_with_the_autoscaler_is_told(api: Api, change: tuple[str, str], line: str) -> None:
    changed("solution-hello.yaml", change)
    assert last_line(api, "hello") == f"✗ not yet: {line}"


def test_the_shop_of_the_solution_passes(api: Api) -> None:
    bash(cell("19-exercise-2-solution"))
    assert_passes(api, "shop")


def test_a_shop_without_a_port_passes_if_its_manifest_names_one(api: Api) -> None:
    changed("solution-shop.yaml", ('        prometheus.io/port: "8000"\n', ""))
    assert_passes(api, "shop")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ([("replicas: 2", "replicas: 1")], "it has 1 Pods, the task asks for 2"),
        ([("hello:2.0.0", "hello:1.0.0")], "its Pods run 1.0.0, the task wants 2.0.0"),
        (
            [
                ("  name: shop\n", '  name: shop\n  annotations: {prometheus.io/scrape: "true"}\n'),
                ("      annotations:\n", "      annotations: {}\n"),
                ('        prometheus.io/scrape: "true"\n', ""),
                ('        prometheus.io/port: "8000"\n', ""),
            ],
            "the annotation is at the Deployment; Prometheus looks at Pods",
        ),
        ([("prometheus.io/scrape", "prometheus.io/scrap")], "its Pods have no annotation prometheus.io/scrape"),
        ([('"true"', '"yes"')], 'the annotation prometheus.io/scrape is "yes", and not "true"'),
        (
            [('"8000"', '"8080"')],
            "2 of 2 addresses that Prometheus asks do not answer: is it the right port?",
        ),
    ],
)
def test_what_is_wrong_with_the_shop_is_told(api: Api, changes: list[tuple[str, str]], line: str) -> None:
    changed("solution-shop.yaml", *changes)
    assert last_line(api, "shop") == f"✗ not yet: {line}"


@pytest.fixture
def tickets(api: Api) -> Iterator[Api]:
    """The fault of exercise 3, as the page prepares it."""
    bash(cell("19-exercise-3-fault"))
    yield api
    bash("kubectl delete hpa,deployment tickets --ignore-not-found")


def test_the_fault_is_not_given_away_and_the_repair_passes(tickets: Api) -> None:
    assert last_line(tickets, "tickets") == "○ not attempted: tickets is as your colleagues left it"
    bash(cell("19-exercise-3-solution"))
    assert_passes(tickets, "tickets")


def test_a_target_for_one_container_passes_too(tickets: Api) -> None:
    changed(
        "tickets.yaml",
        ("type: Resource\n      resource:\n        name: cpu", "type: ContainerResource\n      containerResource:\n"
         "        container: tickets\n        name: cpu"),
    )  # fmt: skip
    assert_passes(tickets, "tickets")


def test_a_container_less_is_no_repair(tickets: Api) -> None:
    bash(
        """
        kubectl patch deployment tickets --type=json \
          --patch '[{"op": "remove", "path": "/spec/template/spec/containers/1"}]'
        """
    )
    assert last_line(tickets, "tickets") == "✗ not yet: a container of tickets is missing"


def test_a_copy_of_etcd_is_for_its_owner_only(api: Api, tmp_path: Path) -> None:
    component("etcd").save(str(tmp_path / "backup.db"))
    assert (tmp_path / "backup.db").stat().st_mode & 0o777 == 0o600
    bash(f"etcdutl snapshot status {tmp_path}/backup.db")
    with pytest.raises(Problem, match="kube-scheduler cannot do this"):
        component("kube-scheduler").save(str(tmp_path / "other.db"))
    assert not (tmp_path / "other.db").exists()
