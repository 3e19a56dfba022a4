"""Module 01 on the real cluster: its checks, and what its questions find out while a part is away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101 import apply, component, fault, kubectl, show, wait_for
from k8s101.errors import Problem
from k8s101.lesson.api.session import Api, make_current
from k8s101.lesson.faults import symptoms
from k8s101.lesson.faults.questions import CACHED, LATEST, MADE, NEW, PLACED, REPLACED, STARTED, WRITE
from k8s101.lesson.faults.symptoms import OLD, READY, SYMPTOMS, WATCH
from k8s101.lesson.quiz import bank
from tests.notebooks.checking import clear, last_line, lesson, outcome

pytestmark = pytest.mark.cluster

MISSING_SCHEDULER, MISSING_CONTROLLERS = "riddle 1", "riddle 2"


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("architecture") as api:
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    for name in ("kube-controller-manager", "kube-scheduler"):
        component(name).start()
    clear(opened, "deployments")


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "by-hand") == "○ not attempted: there is no Pod first yet"
    assert last_line(api, "riddle") == "○ not attempted: there is no Deployment riddle yet"


def test_the_decision_of_the_solution_passes(api: Api) -> None:
    apply("by-hand.yaml", first="worker-1", second="worker-2")
    found = outcome(api, "by-hand")
    assert found.passed, list(found.lines())


BOUND_LATER = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: by-hand}}}}
spec:
  schedulerName: {scheduler}
  terminationGracePeriodSeconds: 0
  containers: [{{name: hello, image: k8s101.test/hello:1.0.0}}]
"""


def bind(api: Api, name: str, node: str) -> None:
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": {"kind": "Node", "name": node}}
    api.rest.call("POST", f"/api/v1/namespaces/{api.namespace}/pods/{name}/binding", body)


def test_a_binding_as_a_scheduler_writes_it_passes_too(api: Api) -> None:
    for name, node in (("first", "worker-3"), ("second", "worker-1")):
        apply(BOUND_LATER.format(name=name, scheduler="you"))
        bind(api, name, node)
    found = outcome(api, "by-hand")
    assert found.passed, list(found.lines())


@pytest.mark.parametrize(
    ("first", "second", "line"),
    [
        ("worker-1", "worker-1", "both are on worker-1: take two nodes"),
        ("worker-1", "worker-9", "second waits for worker-9: there is no such node, so no kubelet takes it"),
    ],
)
def test_a_wrong_decision_is_told(api: Api, first: str, second: str, line: str) -> None:
    apply("by-hand.yaml", first=first, second=second)
    assert last_line(api, "by-hand") == f"✗ not yet: {line}"


def test_pods_without_a_decision_are_told(api: Api) -> None:
    for name in ("first", "second"):
        apply(BOUND_LATER.format(name=name, scheduler="you"))
    line = "first has no node: the scheduler it names does not exist, so the decision is yours"
    assert last_line(api, "by-hand") == f"✗ not yet: {line}"


def test_pods_that_a_scheduler_placed_are_told(api: Api) -> None:
    for name in ("first", "second"):
        apply(BOUND_LATER.format(name=name, scheduler="default-scheduler"))
        wait_for(f"pod/{name}", "Ready")
    line = last_line(api, "by-hand")
    assert line.startswith("✗ not yet: a scheduler has placed ") or line.endswith("take two nodes")


def test_etcd_alone_tells_what_it_has_stored(api: Api) -> None:
    apply("note.yaml")
    stored = component("etcd").read_key(f"/registry/configmaps/{api.namespace}/note")
    assert stored.startswith(b"k8s\0") and b"written by you" in stored
    with pytest.raises(Problem, match="kube-scheduler cannot do this"):
        component("kube-scheduler").read_key("/registry/configmaps")


def ask_riddle(word: str) -> None:
    fault("component hidden", word)
    apply("riddle.yaml")


@pytest.mark.parametrize(
    ("word", "part"), [(MISSING_SCHEDULER, "kube-scheduler"), (MISSING_CONTROLLERS, "kube-controller-manager")]
)
def test_a_riddle_is_solved_by_starting_the_part(api: Api, word: str, part: str) -> None:
    ask_riddle(word)
    assert last_line(api, "riddle").startswith("○ not attempted: riddle waits")
    assert not component(part).running
    component(part).start()
    found = outcome(api, "riddle")
    assert found.passed, list(found.lines())


def test_another_size_does_not_solve_the_riddle(api: Api) -> None:
    ask_riddle(MISSING_CONTROLLERS)
    kubectl("scale deployment/riddle --replicas=3")
    line = last_line(api, "riddle")
    assert "no controller has looked at Deployment riddle: is kube-controller-manager there?" in line


def test_who_places_the_pods_himself_is_told_what_is_still_missing(api: Api) -> None:
    ask_riddle(MISSING_SCHEDULER)
    wait_for("deployment/riddle", "{.status.replicas}=2")
    first, second = (pod["metadata"]["name"] for pod in api.list("Pod", "app=riddle"))
    bind(api, first, "worker-1")
    wait_for(f"pod/{first}", "Ready")
    assert "is on no node, and no scheduler has said why: is kube-scheduler there?" in last_line(api, "riddle")
    bind(api, second, "worker-2")
    wait_for("deployment/riddle", "rolled out")
    line = last_line(api, "riddle")
    assert line.startswith("✗ not yet: riddle has 2 ready Pods, and a part of the cluster is still away")


EXPECTED = {
    "etcd": {WRITE, LATEST, MADE, REPLACED, PLACED, STARTED, NEW},
    "kube-apiserver": {*SYMPTOMS} - {OLD, READY},
    "kube-controller-manager": {MADE, REPLACED, NEW},
    "kube-scheduler": {PLACED},
    "kube-proxy": {NEW},
    "kubelet": {STARTED, READY},
    "containerd": {STARTED, READY},
}
"""What is found not to work without each part (DESIGN of the lesson, and the documentation of each component)."""


def test_the_table_of_symptoms(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    """The same faults as in the lesson, compared with what the components are documented to do."""
    apply("hello.yaml")
    wait_for("deployment/hello", "rolled out")
    with pytest.raises(Problem, match="etcd has not been away yet"):
        symptoms.seen("etcd", WRITE)
    show("symptoms")
    for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        with fault("component stopped", name) as gone:
            gone.evidence()
            assert f"{name} does not run" in capsys.readouterr().out
    with fault("component stopped", "worker-1/kube-proxy", "worker-2/kubelet", "worker-3/containerd"):
        wait_for("node/worker-2", "Ready=Unknown")
        wait_for("node/worker-3", "Ready=False")
    found = {part: {symptom for symptom in SYMPTOMS if symptoms.seen(part, symptom) is False} for part in EXPECTED}
    assert found == EXPECTED
    assert symptoms.seen("kube-apiserver", READY) is None
    assert symptoms.seen("etcd", CACHED) and symptoms.seen("etcd", WATCH)
    assert {symptoms.seen("nothing", symptom) for symptom in SYMPTOMS} == {True}
    for question in bank.module("architecture").QUESTIONS:  # type: ignore[union-attr]
        if question.name not in ("stored",) and not isinstance(question.right, str):
            assert question.answer(bank.Before({}, {}), api) in question.options
    wait_for("deployment/hello", "rolled out")
