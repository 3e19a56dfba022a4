"""Module 16 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s101.lesson.api.session import Api, make_current
from k8s101.lesson.modules import controllers_and_operators_exercises as exercises
from k8s101.lesson.modules.controllers_and_operators_exercises import TICKETS
from tests.notebooks.checking import Page, assert_passes, last_line, lesson

pytestmark = pytest.mark.cluster

PAGE = Page("16")
bash = PAGE.bash
changed = PAGE.changed
cell = PAGE.cell

NAMESPACE = "k8s101-controllers-and-operators"
START = f"""
mkdir -p tmp
TMPDIR=tmp kopf run site_operator.py --namespace {NAMESPACE} --standalone > operator.log 2>&1 &
echo $! > operator.pid
"""
FREE = """
for site in $(kubectl get sites -o name); do
  kubectl patch $site --type=merge --patch '{"metadata": {"finalizers": null}}'
done
kubectl delete sites --all --timeout=30s
"""
FIELD = ("readyReplicas: {type: integer}", "readyReplicas: {type: integer}\n                url: {type: string}")
COLUMN = ("Columns:  ", "Columns:\n        - {name: URL, type: string, jsonPath: .status.url}  ")


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("controllers-and-operators") as api:
        bash(
            """
            kubectl apply -f site-kind.yaml
            kubectl wait crd/sites.k8s101.test --for=condition=Established --timeout=60s
            kubectl create configmap names
            kubectl create serviceaccount night-shift
            """
        )
        yield api
        bash("kubectl delete crd sites.k8s101.test --timeout=60s")


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    bash(
        """
        kubectl delete rolebindings night-shift edit --ignore-not-found
        kubectl delete role night-shift --ignore-not-found
        """
    )


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing comes, nobody needs to wait for it long."""
    monkeypatch.setattr(exercises, "FOLLOWS_SECONDS", 3)


@pytest.fixture
def operator(api: Api, tmp_path: Path) -> Iterator[Path]:
    """A folder in which the operator of the page runs."""
    folder = tmp_path / "files"
    shutil.copytree(PAGE.files, folder)
    bash(f"cd {folder}\n{START}")
    yield folder
    bash(f"kill -9 $(cat {folder}/operator.pid)\n{FREE}\nkubectl apply -f site-kind.yaml")


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "url") == "○ not attempted: there is no Site party yet"
    assert last_line(api, "night-shift") == "○ not attempted: there is no RoleBinding night-shift yet"
    assert last_line(api, "tickets") == "○ not attempted: there is no tickets yet"


def test_the_operator_of_the_solution_passes(api: Api, operator: Path) -> None:
    bash(f"cd {operator}\n{cell('16-exercise-1-solution')}")
    assert_passes(api, "url")


def test_an_operator_without_the_kind_is_told(api: Api, operator: Path, impatient: None) -> None:
    bash("kubectl apply -f party.yaml\nkubectl wait site/party --for=condition=Ready --timeout=60s")
    dropped = (
        "the status of a Site has no field url in its schema, so the API server drops what an operator writes there"
    )
    assert last_line(api, "url") == f"✗ not yet: {dropped}"
    changed("site-kind.yaml", FIELD)
    nobody = "no operator has written party's url: the one that runs is an older one, or none runs"
    assert last_line(api, "url") == f"✗ not yet: {nobody}"


def test_an_address_by_hand_is_told(api: Api, operator: Path, impatient: None) -> None:
    changed("site-kind.yaml", FIELD, COLUMN)
    bash(
        """
        kubectl apply -f party.yaml
        kubectl wait site/party --for=condition=Ready --timeout=60s
        kubectl patch site party --subresource=status --type=merge --patch '{"status": {"url": "http://party.test/"}}'
        """
    )
    assert last_line(api, "url") == "✗ not yet: the url was removed, and no operator has written it again"


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("https://{site['spec']['host']}/", "party's url is https://party.test/, the task asks for http://party.test/"),
        ("http://{site['spec']['host']}/", "kubectl get sites has no column for the url"),
    ],
)
def test_a_wrong_address_and_a_missing_column_are_told(api: Api, operator: Path, address: str, line: str) -> None:
    changed("site-kind.yaml", FIELD)
    program = operator / "site_operator.py"
    program.write_text(program.read_text().replace('"readyReplicas":', f'"url": f"{address}", "readyReplicas":'))
    bash(f"cd {operator}\nkill -9 $(cat operator.pid)\n{START}\nkubectl apply -f party.yaml")
    assert last_line(api, "url") == f"✗ not yet: {line}"


BIND = f"kubectl create rolebinding night-shift --role=night-shift --serviceaccount={NAMESPACE}:night-shift"


def test_the_role_of_the_solution_passes(api: Api) -> None:
    bash(f"kubectl apply -f solution-night-shift.yaml\n{BIND}")
    assert_passes(api, "night-shift")


def test_an_autoscalers_role_passes_too(api: Api) -> None:
    changed("solution-night-shift.yaml", ("[patch]", "[get, update, patch]"))
    bash(BIND)
    assert_passes(api, "night-shift")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("[get, list, watch]", "[get, list]"), "night-shift may not watch sites"),
        (("[patch]", "[get, update]"), "night-shift may not patch sites/scale, which kubectl scale does"),
        (
            ("[get, list, watch]", "[get, list, watch, patch]"),
            "night-shift may patch sites, which is more than it needs",
        ),
        (("[k8s101.test], resources: [sites]", "[apps], resources: [sites]"), "night-shift may not get sites"),
    ],
)
def test_what_is_wrong_with_the_role_is_told(api: Api, change: tuple[str, str], line: str) -> None:
    changed("solution-night-shift.yaml", change)
    bash(BIND)
    assert last_line(api, "night-shift") == f"✗ not yet: {line}"


def test_the_draft_and_too_many_rights_are_told(api: Api, tmp_path: Path) -> None:
    draft = cell("16-exercise-2-draft").replace("kubectl create serviceaccount night-shift", f"cd {tmp_path}")
    bash(f"{draft}\nkubectl apply -f night-shift.yaml\n{BIND}")
    line = "night-shift may patch sites, which is more than it needs"
    assert last_line(api, "night-shift") == f"✗ not yet: {line}"
    bash(f"kubectl apply -f solution-night-shift.yaml\nkubectl create rolebinding edit --clusterrole=edit "
         f"--serviceaccount={NAMESPACE}:night-shift")  # fmt: skip
    line = "night-shift may get secrets, which is more than it needs"
    assert last_line(api, "night-shift") == f"✗ not yet: {line}"


@pytest.fixture(scope="module")
def counter() -> Iterator[None]:
    yield
    bash(f"kubectl delete namespace {TICKETS} --ignore-not-found --timeout=60s")


@pytest.fixture
def tickets(api: Api, counter: None) -> Iterator[Api]:
    """The fault of exercise 3, as the page prepares it."""
    bash(cell("16-exercise-3-fault").replace("namespace $n\n", "namespace $n || true\n"))
    yield api
    bash(f"kubectl delete deployment tickets -n {TICKETS} --now\nkubectl delete -f tickets.yaml --ignore-not-found")


def test_the_fault_is_not_given_away_and_the_repair_passes(tickets: Api) -> None:
    assert last_line(tickets, "tickets") == "○ not attempted: tickets is as your colleague left it"
    bash(f"kubectl set env deployment/tickets -n {TICKETS} A=b")
    line = "the rollout does not finish: not all Pods run 2.0.0"
    assert last_line(tickets, "tickets") == f"✗ not yet: {line}"
    bash(cell("16-exercise-3-solution"))
    assert_passes(tickets, "tickets")


def test_what_is_no_repair_is_told(tickets: Api) -> None:
    bash(f"kubectl rollout undo deployment/tickets -n {TICKETS}")
    assert last_line(tickets, "tickets") == "✗ not yet: tickets asks for 1.1.0; the team wants 2.0.0"
    bash(
        f"""
        kubectl delete validatingadmissionpolicybinding k8s101-memory-limits
        try="kubectl run probe -n {TICKETS} --image=k8s101.test/hello:1.1.0 --dry-run=server"
        timeout 60 bash -c "until $try; do sleep 0.2; done" > /dev/null 2>&1
        kubectl set image deployment/tickets hello=k8s101.test/hello:2.0.0 -n {TICKETS}
        """
    )
    line = "the rule of the platform team is no longer in force for tickets"
    assert last_line(tickets, "tickets") == f"✗ not yet: {line}"
