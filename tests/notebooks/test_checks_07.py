"""Module 07 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101.lesson.api.session import Api, make_current
from tests.notebooks.checking import Page, assert_passes, clear, last_line, lesson

pytestmark = pytest.mark.cluster

PAGE = Page("07")
bash = PAGE.bash
changed = PAGE.changed
cell = PAGE.cell

FAST, RESERVED = "worker-1", "worker-3"
"""The nodes that the page's cells choose: the first one, and the last."""

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
    for node in (FAST, RESERVED):
        opened.core.patch_node(node, {"metadata": {"labels": {"disk": None}}, "spec": {"taints": None}})


@pytest.fixture
def labelled(api: Api) -> Api:
    """One node with a fast disk, as the task asks for."""
    bash(f"kubectl label node {FAST} disk=fast")
    return api


@pytest.fixture
def reserved(api: Api) -> Api:
    """One node that keeps Pods off."""
    bash(f"kubectl taint node {RESERVED} {TAINT}")
    return api


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    for name in ("slow", "audit", "metrics"):
        assert last_line(api, name) == f"○ not attempted: there is no DaemonSet {name} yet"


SOLUTION = (PAGE.files / "solution-slow.yaml").read_text()
RULE = SOLUTION[SOLUTION.index("      affinity:") : SOLUTION.index("      containers:")]


def test_the_slow_of_the_solution_passes(api: Api) -> None:
    bash(cell("07-exercise-1-solution"))
    assert_passes(api, "slow")


def test_a_label_that_is_absent_passes_too(labelled: Api) -> None:
    changed("solution-slow.yaml", ("operator: NotIn, values: [fast]", "operator: DoesNotExist"))
    assert_passes(labelled, "slow")


PREFERENCE = """      affinity:
        nodeAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
            - weight: 100
              preference: {matchExpressions: [{key: disk, operator: NotIn, values: [fast]}]}
"""


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("      nodeSelector: {disk: fast}\n", f"it runs on {FAST}, whose disk is fast"),
        (PREFERENCE, f"it runs on {FAST}, whose disk is fast"),
        ("      nodeSelector: {disk: slow}\n", "slow has no Pod on worker-2, worker-3: nobody has labelled"),
        ("      nodeSelector: {kubernetes.io/hostname: worker-2}\n", "slow has no Pod on worker-3"),
    ],
    ids=["unchanged", "a preference", "another label", "one node only"],
)
def test_what_is_wrong_with_slow_is_told(labelled: Api, rule: str, line: str) -> None:
    changed("solution-slow.yaml", (RULE, rule))
    assert last_line(labelled, "slow").startswith(f"✗ not yet: {line}")


def test_a_missing_label_is_told(api: Api) -> None:
    bash("kubectl apply -f solution-slow.yaml")
    assert last_line(api, "slow") == "✗ not yet: no node has the label disk=fast"


def test_the_audit_of_the_solution_passes(api: Api) -> None:
    bash(cell("07-exercise-2-draft") + "\nrm audit.yaml")
    bash(cell("07-exercise-2-solution"))
    assert_passes(api, "audit")


def test_a_toleration_for_everything_passes_too(reserved: Api) -> None:
    changed("solution-audit.yaml", ("{key: dedicated, operator: Exists, effect: NoSchedule}", "operator: Exists"))
    assert_passes(reserved, "audit")


TOLERATIONS = "      tolerations:\n        - {key: dedicated, operator: Exists, effect: NoSchedule}\n"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ((TOLERATIONS, ""), f"{RESERVED} has no Pod of audit: it has the taint {TAINT}"),
        (
            (TOLERATIONS, f"{TOLERATIONS}      nodeSelector: {{kubernetes.io/hostname: worker-1}}\n"),
            "worker-2 has no Pod",
        ),
        (("hello:1.1.0", "hello:1.0.0"), "its Pods run 1.0.0, the task wants 1.1.0"),
        (("hello:1.1.0", "hello:9.9.9"), "Pod audit-… cannot start: its node has no image k8s101.test/hello:9.9.9"),
        (("{path: /var/log}", "{path: /tmp}"), "no volume of type hostPath shows /var/log of the node"),
        ((", readOnly: true", ""), "it may write to /node/log, so an intruder"),
        (("kind: DaemonSet", "kind: Deployment"), "audit is a Deployment: it counts copies, the task asks for nodes"),
    ],
    ids=["no toleration", "one node", "old release", "no image", "another path", "writable", "Deployment"],
)
def test_what_is_wrong_with_audit_is_told(reserved: Api, change: tuple[str, str], line: str) -> None:
    changed("solution-audit.yaml", change)
    assert last_line(reserved, "audit").startswith(f"✗ not yet: {line}")


@pytest.fixture
def metrics(api: Api) -> Api:
    """The fault of exercise 3, as the page prepares it."""
    bash(cell("07-exercise-3-fault"))
    return api


def test_the_metrics_of_the_solution_pass(metrics: Api) -> None:
    assert last_line(metrics, "metrics") == "○ not attempted: the DaemonSet and its neighbours are as you found them"
    bash(cell("07-exercise-3-solution"))
    assert_passes(metrics, "metrics")


def test_another_port_for_the_trial_passes_too(metrics: Api) -> None:
    changed("last-week.yaml", ("hostPort: 9100", "hostPort: 9101"))
    assert_passes(metrics, "metrics")


ASKED = "the monitoring asks for port 9100 of each node, and the port that leads to metrics is: "


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("hostPort: 9100", "hostPort: 9101"), f"{ASKED}9101"),
        ((", hostPort: 9100", ""), f"{ASKED}none"),
    ],
    ids=["another port", "no port"],
)
def test_what_is_no_repair_is_told(metrics: Api, change: tuple[str, str], line: str) -> None:
    changed("metrics.yaml", change)
    assert last_line(metrics, "metrics").startswith(f"✗ not yet: {line}")


def test_one_node_is_no_repair(metrics: Api) -> None:
    bash("kubectl delete deployment trial")  # it runs on any node, perhaps on this one
    changed(
        "metrics.yaml",
        ("operator: Exists}]", "operator: Exists}]\n      nodeSelector: {kubernetes.io/hostname: worker-2}"),
    )
    assert last_line(metrics, "metrics").startswith("✗ not yet: metrics is not ready on worker-1, worker-3")
