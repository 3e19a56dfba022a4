"""Module 07 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101 import apply, kubectl, wait_for
from k8s101.errors import Problem
from k8s101.lesson.api.session import Api, make_current
from tests.notebooks.checking import clear, last_line, lesson, outcome

pytestmark = pytest.mark.cluster

RESERVED = "worker-3"
TAINT = "dedicated=database:NoSchedule"


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("daemonsets") as api:
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    clear(opened, "daemonsets", "deployments")


@pytest.fixture
def agent(api: Api) -> Api:
    """Agents of 1.1.0 on all nodes, as the lesson leaves them."""
    update(surge=0, unavailable=1, version="1.1.0")
    wait_for("daemonset/agent", "rolled out")
    return api


@pytest.fixture
def reserved(api: Api) -> Iterator[Api]:
    """One node keeps Pods away."""
    taint = {"key": "dedicated", "value": "database", "effect": "NoSchedule"}
    api.core.patch_node(RESERVED, {"spec": {"taints": [taint]}})
    yield api
    api.core.patch_node(RESERVED, {"spec": {"taints": []}})


def update(surge: int | str, unavailable: int | str, version: str) -> None:
    apply("surge.yaml", surge=surge, unavailable=unavailable, version=version)


def test_nothing_is_attempted_at_the_start(agent: Api) -> None:
    assert last_line(agent, "surge") == "○ not attempted: DaemonSet agent still asks for 1.1.0"
    assert last_line(agent, "audit") == "○ not attempted: there is no DaemonSet audit yet"


def test_an_update_that_leaves_a_node_alone_is_told_so_and_can_be_tried_again(agent: Api) -> None:
    update(surge=0, unavailable=1, version="2.0.0")
    line = last_line(agent, "surge")
    assert line.startswith("✗ not yet: at one moment only 2 of 3 nodes had a ready agent: maxUnavailable 1 allows it")
    kubectl("rollout undo daemonset/agent")
    wait_for("daemonset/agent", "rolled out")
    update(surge=1, unavailable=0, version="2.0.0")
    found = outcome(agent, "surge")
    assert found.passed, list(found.lines())


def test_another_way_to_update_passes_too(agent: Api) -> None:
    strategy = {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}
    agent.apps.patch_namespaced_daemon_set("agent", agent.namespace, {"spec": {"updateStrategy": strategy}})
    kubectl("set image daemonset/agent agent=k8s101.test/hello:2.0.0")
    assert outcome(agent, "surge").passed


def test_another_release_than_asked_for_is_told_so(agent: Api) -> None:
    update(surge=1, unavailable=0, version="2.1.0")
    assert last_line(agent, "surge") == "✗ not yet: agent asks for 2.1.0, the task for 2.0.0"


def test_an_update_that_cannot_move_is_refused_in_one_sentence(agent: Api) -> None:
    with pytest.raises(Problem, match="cannot be 0 when maxSurge is 0"):
        update(surge=0, unavailable=0, version="2.0.0")


AUDIT = """
apiVersion: apps/v1
kind: {kind}
metadata: {{name: audit}}
spec:
  selector: {{matchLabels: {{app: audit}}}}
  template:
    metadata: {{labels: {{app: audit}}}}
    spec:
      {where}
      containers:
        - name: audit
          image: k8s101.test/hello:{version}
          readinessProbe: {{httpGet: {{path: /, port: 8000}}, periodSeconds: 1}}
"""
EVERYWHERE = "tolerations: [{operator: Exists}]"


def audit(kind: str = "DaemonSet", where: str = EVERYWHERE, version: str = "1.1.0") -> None:
    apply(AUDIT.format(kind=kind, where=where, version=version))


@pytest.mark.alone
def test_the_agent_of_the_solution_passes(reserved: Api) -> None:
    apply("solution-audit.yaml")
    found = outcome(reserved, "audit")
    assert found.passed, list(found.lines())


@pytest.mark.alone
def test_another_way_to_tolerate_passes_too(reserved: Api) -> None:
    audit()
    found = outcome(reserved, "audit")
    assert found.passed, list(found.lines())


@pytest.mark.alone
@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"where": "terminationGracePeriodSeconds: 1"}, f"{RESERVED} has no audit Pod: it bears the taint {TAINT}"),
        ({"where": "nodeSelector: {kubernetes.io/hostname: worker-1}"}, "worker-2 has no audit Pod"),
        ({"version": "1.0.0"}, "its Pods run 1.0.0, the task wants 1.1.0"),
        ({"version": "1.1.1"}, "statuscode: 500"),
        ({"kind": "Deployment"}, "audit is a Deployment: it counts copies, the task asks for nodes"),
    ],
)
def test_what_is_wrong_with_audit_is_told(reserved: Api, wrong: dict[str, str], line: str) -> None:
    audit(**wrong)
    found = last_line(reserved, "audit")
    assert found.startswith("✗ not yet: ")
    assert line in found
