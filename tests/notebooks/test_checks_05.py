"""Module 05 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101.lesson.api.session import Api, make_current
from tests.notebooks.checking import Page, assert_passes, clear, last_line, lesson

pytestmark = pytest.mark.cluster

PAGE = Page("05")
bash = PAGE.bash
changed = PAGE.changed
cell = PAGE.cell

RESERVED, SHUT = "worker-3", "worker-2"
"""The nodes that the page's cells choose: the last one, and the second."""


def open_nodes(api: Api) -> None:
    """Put the nodes back, as the page's clean-up does."""
    for node in (RESERVED, SHUT):
        body = {"metadata": {"labels": {"hardware": None}}, "spec": {"taints": None, "unschedulable": None}}
        api.core.patch_node(node, body)


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("scheduling") as api:
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    clear(opened, "deployments", "poddisruptionbudgets")
    open_nodes(opened)


@pytest.fixture
def reserved(api: Api) -> Api:
    """The last node kept for the video team, as the task asks for."""
    bash(f"kubectl label node {RESERVED} hardware=gpu\nkubectl taint node {RESERVED} team=video:NoSchedule")
    return api


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    for name in ("render", "vote", "depot"):
        assert last_line(api, name) == f"○ not attempted: there is no Deployment {name} yet"


TOLERATIONS = "      tolerations: [{key: team, operator: Equal, value: video, effect: NoSchedule}]   # may run there\n"
SELECTOR = "      nodeSelector: {hardware: gpu}                                                   # and nowhere else\n"


def test_the_render_of_the_solution_passes(api: Api) -> None:
    bash(cell("05-exercise-1-solution"))
    assert_passes(api, "render")


def test_another_way_onto_the_node_passes_too(reserved: Api) -> None:
    affinity = """      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms: [{matchExpressions: [{key: hardware, operator: Exists}]}]
"""
    changed("solution-render.yaml", (SELECTOR, affinity), ("operator: Equal, value: video", "operator: Exists"))
    assert_passes(reserved, "render")


def test_a_toleration_alone_is_told_so(reserved: Api) -> None:
    # the reserved node is the fullest, so that at least one of the two finds another node better
    bash(f"kubectl taint node {RESERVED} team- > /dev/null")
    changed("busy.yaml", ("replicas: 4", "replicas: 1"), ("spec:\n      cont", f"spec:\n{SELECTOR}      cont"))
    bash(f"kubectl taint node {RESERVED} team=video:NoSchedule")
    changed("solution-render.yaml", (SELECTOR, ""))
    line = last_line(reserved, "render")
    assert line.startswith("✗ not yet: some run on worker-")
    assert line.endswith("a toleration allows Pods on the reserved node, and does not keep them off others")


def test_neither_of_both_is_told_so(reserved: Api) -> None:
    changed("solution-render.yaml", (SELECTOR, ""), (TOLERATIONS, ""))
    assert last_line(reserved, "render").endswith("nothing assigns them to the reserved node")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ((TOLERATIONS, ""), "1 node(s) had untolerated taint(s)"),
        (("value: video", "value: lab"), "1 node(s) had untolerated taint(s)"),
        (("hardware: gpu", "hardware: cpu"), "3 node(s) didn't match Pod's node affinity/selector"),
    ],
    ids=["no toleration", "another value", "another label"],
)
def test_the_schedulers_reason_is_told(reserved: Api, change: tuple[str, str], cause: str) -> None:
    changed("solution-render.yaml", change)
    line = last_line(reserved, "render")
    assert line.startswith("✗ not yet: Pod render-… is on no node: 0/3 nodes are available")
    assert cause in line


def test_a_node_that_is_not_reserved_is_told(api: Api) -> None:
    bash(f"kubectl label node {RESERVED} hardware=gpu\nkubectl apply -f solution-render.yaml")
    assert last_line(api, "render") == "✗ not yet: no node has the taint team=video:NoSchedule"


def test_the_vote_of_the_solution_passes(api: Api) -> None:
    bash(cell("05-exercise-2-solution"))
    assert_passes(api, "vote")


PREFERRED = """      affinity:
        podAntiAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
            - weight: 100
              podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: vote}}}
"""
SPREAD = (
    (PAGE.files / "solution-vote.yaml")
    .read_text()
    .partition("spec:\n      topology")[2]
    .partition("      containers")[0]
)
SPREAD = f"      topology{SPREAD}"


def test_another_way_to_the_same_passes_too(api: Api) -> None:
    other = SPREAD.replace("matchLabels: {app: vote}", "matchExpressions: [{key: app, operator: In, values: [vote]}]")
    changed("solution-vote.yaml", (SPREAD, other), ("maxUnavailable: 1", "minAvailable: 3"))
    assert_passes(api, "vote")


NO_BUDGET = "no budget covers them: a drain may evict all Pods of a node at once"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ([("replicas: 4", "replicas: 3")], "there are 3 Pods, the task asks for 4"),
        ([("hello:1.1.0", "hello:1.0.0")], "its Pods run 1.0.0, the task wants 1.1.0"),
        ([(SPREAD, f"      nodeSelector: {{kubernetes.io/hostname: {SHUT}}}\n")], "none runs on worker-1, worker-3"),
        (
            [("            limits:", "            requests: {cpu: 10m}\n            limits:")],
            "they are Burstable: a request of CPU or memory differs from its limit, or a limit is missing",
        ),
        ([("maxUnavailable: 1", "minAvailable: 4")], "budget vote allows no disruption: their nodes could never be "),
        ([("maxUnavailable: 1", "maxUnavailable: 2")], "budget vote lets 2 Pods go at the same time"),
        (
            [("1\n  selector:\n    matchLabels: {app: vote}", "1\n  selector:\n    matchLabels: {app: votes}")],
            NO_BUDGET,
        ),
    ],
    ids=["three", "another release", "on one node", "Burstable", "none may go", "two may go", "another label"],
)
def test_what_is_wrong_with_vote_is_told(api: Api, changes: list[tuple[str, str]], line: str) -> None:
    changed("solution-vote.yaml", *changes)
    assert last_line(api, "vote").startswith(f"✗ not yet: {line}")


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("", "they are spread by luck"),
        (PREFERRED, "the template only prefers it"),
        (SPREAD.replace("DoNotSchedule  ", "ScheduleAnyway "), "the template only prefers it"),
    ],
    ids=["luck", "preferred anti-affinity", "ScheduleAnyway"],
)
def test_copies_that_no_rule_spreads_are_told(api: Api, rules: str, told: str) -> None:
    changed("solution-vote.yaml", (SPREAD, rules))
    assert told in last_line(api, "vote")


def test_the_cause_is_named_when_vote_does_not_fit(api: Api) -> None:
    changed("solution-vote.yaml", ("cpu: 50m", "cpu: 900m"))
    assert "Insufficient cpu" in last_line(api, "vote")


@pytest.fixture
def depot(api: Api) -> Api:
    """The fault of exercise 3, as the page prepares it."""
    bash(cell("05-exercise-3-fault"))
    return api


def test_the_repair_of_the_solution_passes(depot: Api) -> None:
    assert last_line(depot, "depot") == "○ not attempted: depot and the nodes are as your colleague left them"
    bash(cell("05-exercise-3-solution"))
    assert_passes(depot, "depot")


def test_half_a_repair_is_told_so(depot: Api) -> None:
    bash(f"kubectl uncordon {SHUT}")
    assert last_line(depot, "depot") == (
        "✗ not yet: 2 of 3 Pods are ready: one reason is away, and now the scheduler gives another"
    )


def test_the_other_half_is_told_so_without_the_cause(depot: Api) -> None:
    bash(f"kubectl taint node {SHUT} maintenance-")
    assert last_line(depot, "depot") == "✗ not yet: 2 of 3 Pods are ready: one still waits"


def test_fewer_copies_are_no_repair(depot: Api) -> None:
    bash("kubectl scale deployment/depot --replicas=2")
    assert last_line(depot, "depot") == "✗ not yet: depot asks for 2 Pods; it had three"


def test_giving_up_the_rule_is_no_repair(depot: Api) -> None:
    # the rule of the old Pods keeps new ones off their nodes, so that a rollout would not end
    bash("kubectl delete deployment/depot --cascade=foreground --timeout=60s")
    text = (PAGE.files / "depot.yaml").read_text()
    rule = text[text.index("      affinity:") : text.index("      containers:")]
    changed("depot.yaml", (rule, ""))
    assert last_line(depot, "depot").startswith("✗ not yet: the rule that keeps its Pods apart is no longer kept")


def test_opening_the_node_for_depot_only_is_no_repair(depot: Api) -> None:
    tolerations = '{"spec": {"template": {"spec": {"tolerations": [{"operator": "Exists", "effect": "NoSchedule"}]}}}}'
    bash(f"kubectl patch deployment/depot --patch '{tolerations}'")
    bash("kubectl rollout status deployment/depot --timeout=60s")
    line = last_line(depot, "depot")
    assert line == f"✗ not yet: depot runs, but {SHUT} still keeps other Pods off: the next app will wait, too"
