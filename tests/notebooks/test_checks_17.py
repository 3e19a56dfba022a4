"""Module 17 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s101.lesson.api.session import Api, make_current
from k8s101.lesson.modules.helm_exercises import TICKETS
from tests.notebooks.checking import Page, assert_passes, last_line, lesson

pytestmark = pytest.mark.cluster

PAGE = Page("17")
cell = PAGE.cell

STAGE = "helm upgrade --install stage hello --reset-values --wait --timeout 60s"
TEAM = "helm upgrade --install team team --reset-values --wait --timeout 60s"


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("helm") as api:
        yield api


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The lesson's files, as a learner may change them."""
    return Path(shutil.copytree(PAGE.files, tmp_path / "files"))


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    for release in ("stage", "team"):
        PAGE.bash(f"helm uninstall {release} --ignore-not-found --wait > /dev/null 2>&1")


def bash(folder: Path, commands: str) -> None:
    PAGE.bash(f"cd {folder}\n{commands}")


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "stage") == "○ not attempted: there is no release stage yet"
    assert last_line(api, "team") == "○ not attempted: there is no release team yet"
    assert last_line(api, "tickets") == "○ not attempted: there is no release tickets yet"


def test_the_stage_of_the_solution_passes_from_a_directory_too(api: Api, folder: Path) -> None:
    bash(folder, f"{STAGE} --values solution-stage.yaml")
    assert_passes(api, "stage")


def test_what_is_wrong_with_stage_is_told(api: Api, folder: Path) -> None:
    bash(folder, f"{STAGE} --set replicas=1")
    assert last_line(api, "stage") == "✗ not yet: it has 1 ready Pods, the task asks for two"
    bash(folder, STAGE)
    assert last_line(api, "stage") == "✗ not yet: its Pods run 1.0.0, the task wants 1.1.0"
    bash(folder, f"{STAGE} --set image.tag=1.1.0")
    assert last_line(api, "stage").startswith("✗ not yet: it says")
    bash(folder, f"helm package hello --version 0.2.0 > /dev/null\n{STAGE.replace(' hello', ' hello-0.2.0.tgz')}")
    assert last_line(api, "stage") == "✗ not yet: stage was made from hello-0.2.0, the task asks for hello-0.1.0"


def test_a_stage_that_never_became_ready_is_told(api: Api, folder: Path) -> None:
    bash(folder, f"{STAGE.replace('60s', '3s')} --values solution-stage.yaml --set image.tag=1.1.1 || true")
    line = "✗ not yet: the last revision of stage, number 1, has the status failed"
    assert last_line(api, "stage") == line


def test_the_team_of_the_solution_passes(api: Api, folder: Path) -> None:
    bash(folder, f"{cell('17-exercise-2-draft')}\n{cell('17-exercise-2-solution')}")
    assert_passes(api, "team")


def test_what_is_wrong_with_team_is_told(api: Api, folder: Path) -> None:
    prepared = cell("17-exercise-2-solution").partition("helm upgrade")[0]
    bash(folder, f"helm create team\n{prepared}{TEAM} --set replicaCount=1")
    assert last_line(api, "team") == "✗ not yet: it has 1 ready Pods, the task asks for three"
    bash(folder, f"{TEAM} --set image.tag=1.0.0")
    assert last_line(api, "team") == "✗ not yet: its Pods run 1.0.0, the task wants 1.1.0"
    bash(folder, TEAM)
    assert last_line(api, "team") == "✗ not yet: nobody has run its test since the last upgrade: helm test team"
    bash(folder, f"sed -i 's/image.*toolbox.*/image: k8s101.test\\/nothing:1.0/' team/templates/tests/*.yaml\n{TEAM}")
    bash(folder, "helm test team --timeout 3s || true")
    assert last_line(api, "team") == "✗ not yet: its test has failed: helm test team --logs"
    bash(folder, f"rm -r team/templates/tests\n{TEAM}")
    line = "✗ not yet: its chart has no test any more, and the task wants one that succeeds"
    assert last_line(api, "team") == line


def test_a_chart_of_others_is_not_the_teams(api: Api, folder: Path) -> None:
    bash(folder, f"{TEAM.replace('team team', 'team hello')} --set replicas=3,image.tag=1.1.0")
    line = "✗ not yet: team was made from the chart hello, the task wants a chart of its own, named team"
    assert last_line(api, "team") == line


@pytest.fixture
def tickets(api: Api, folder: Path) -> Iterator[Api]:
    """The fault of exercise 3, as the page prepares it."""
    bash(folder, cell("17-exercise-3-fault"))
    yield api
    PAGE.bash(
        f"""
        kubectl delete deployments -n {TICKETS} --all --wait=false
        kubectl delete pods -n {TICKETS} --all --now --wait=false
        kubectl delete namespace {TICKETS} --timeout=60s
        """
    )


UPGRADE = f"helm upgrade tickets hello -n {TICKETS} --wait --timeout 60s"


def test_the_fault_is_not_given_away_and_the_repair_passes(tickets: Api, folder: Path) -> None:
    assert last_line(tickets, "tickets") == "○ not attempted: tickets is as your colleagues left it"
    PAGE.bash(f"kubectl set image deployment/tickets -n {TICKETS} hello=k8s101.test/hello:2.0.0")
    assert last_line(tickets, "tickets") == "✗ not yet: the pipeline of the team would still be refused"
    PAGE.bash(f"helm rollback tickets 1 -n {TICKETS} --force-conflicts --wait --timeout 60s")
    assert last_line(tickets, "tickets") == "✗ not yet: tickets asks for 1.0.0, the team wants 2.0.0"
    PAGE.bash(f"kubectl set image deployment/tickets -n {TICKETS} hello=k8s101.test/hello:2.0.0")
    line = "✗ not yet: the values of the last revision say nothing: the next upgrade would bring that back"
    assert last_line(tickets, "tickets") == line
    bash(folder, f"{UPGRADE} --set image.tag=2.0.0 --force-conflicts")
    assert_passes(tickets, "tickets")


def test_the_solution_passes(tickets: Api, folder: Path) -> None:
    bash(folder, cell("17-exercise-3-solution"))
    assert_passes(tickets, "tickets")


def test_without_the_secret_of_the_killed_revision_it_passes_too(tickets: Api, folder: Path) -> None:
    PAGE.bash(f"kubectl delete secret sh.helm.release.v1.tickets.v2 -n {TICKETS}")
    bash(folder, f"{UPGRADE} --set image.tag=2.0.0")
    assert_passes(tickets, "tickets")


def test_who_installs_it_anew_is_told_what_that_costs(tickets: Api, folder: Path) -> None:
    bash(folder, f"helm uninstall tickets -n {TICKETS} --wait\n{UPGRADE.replace('upgrade', 'install')}")
    line = "✗ not yet: tickets was installed anew: its users had no app meanwhile, and its history is lost"
    assert last_line(tickets, "tickets") == line
