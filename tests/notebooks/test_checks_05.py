"""Module 05 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from k8s101 import apply, kubectl
from k8s101.lesson.api.session import Api, make_current
from tests.notebooks.checking import clear, last_line, lesson, outcome

pytestmark = pytest.mark.cluster

HERE = "worker-3"


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("scheduling") as api:
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    clear(opened, "deployments", "poddisruptionbudgets")
    opened.core.patch_node(HERE, {"metadata": {"labels": {"dedicated": None}}, "spec": {"taints": None}})


@pytest.fixture
def kept(api: Api) -> Api:
    """The last node kept for lab, as the exercise does it."""
    kubectl(f"taint node {HERE} dedicated=lab:NoSchedule")
    kubectl(f"label node {HERE} dedicated=lab")
    return api


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "lab") == "○ not attempted: there is no Deployment lab yet"
    assert last_line(api, "vote") == "○ not attempted: there is no Deployment vote yet"


def lab(api: Api, key: str = "dedicated", effect: str = "NoSchedule", label: str = "dedicated") -> str:
    apply("lab.yaml", key=key, effect=effect, label=label)
    return last_line(api, "lab")


@pytest.mark.alone
def test_the_lab_of_the_solution_passes(kept: Api) -> None:
    assert lab(kept) == f"✓ all run on {HERE}, and only they may"


@pytest.mark.alone
def test_another_way_onto_the_node_passes_too(kept: Api) -> None:
    required = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "dedicated", "operator": "Exists"}]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    apply(deployment("lab", 2, affinity=affinity, tolerations=[{"operator": "Exists"}]))
    assert outcome(kept, "lab").passed


@pytest.mark.alone
def test_a_toleration_alone_is_told_so(kept: Api) -> None:
    # ten copies: at least one of them finds another node better
    apply(deployment("lab", 10, tolerations=[{"key": "dedicated", "operator": "Exists"}]))
    line = last_line(kept, "lab")
    assert line.startswith("✗ not yet: some run on worker-")
    assert line.endswith("a toleration lets a Pod onto the kept node, it does not send it there")


@pytest.mark.alone
@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({"effect": "NoExecute"}, "1 node(s) had untolerated taint(s)"),
        ({"key": "lab"}, "1 node(s) had untolerated taint(s)"),
        ({"label": "disk"}, "3 node(s) didn't match Pod's node affinity/selector"),
    ],
)
def test_the_schedulers_reason_is_told(kept: Api, wrong: dict[str, str], cause: str) -> None:
    line = lab(kept, **wrong)
    assert line.startswith("✗ not yet: Pod lab-… is on no node: 0/3 nodes are available")
    assert cause in line


@pytest.mark.alone
def test_a_node_without_the_taint_is_told_so(api: Api) -> None:
    kubectl(f"label node {HERE} dedicated=lab")
    assert lab(api) == "✗ not yet: no node is kept for lab: none has the taint dedicated"


def deployment(name: str, replicas: int = 4, release: str = "1.1.0", resources: object = None, **spec: object) -> str:
    """Return a Deployment as JSON, which is YAML too."""
    labels = {"app": name}
    image = f"k8s101.test/hello:{release}"
    pod = {"containers": [{"name": name, "image": image, "resources": resources or {}}], **spec}
    template = {"metadata": {"labels": labels}, "spec": pod}
    body = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return json.dumps(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body}, indent=1
    )


def budget(app: str = "vote", **how: int) -> str:
    spec = {"selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": [app]}]}, **how}
    metadata = {"name": "vote"}
    body = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}
    return json.dumps(body, indent=1)


EXACT = {"limits": {"cpu": "50m", "memory": "32Mi"}}
SPREAD = [
    {
        "topologyKey": "kubernetes.io/hostname",
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "vote"}},
    }
]


def vote(release: str = "1.1.0", replicas: int = 4, resources: object = EXACT, **spec: object) -> str:
    return deployment("vote", replicas, release, resources, **({"topologySpreadConstraints": SPREAD} | spec))


def test_the_vote_of_the_solution_passes(api: Api) -> None:
    apply("solution-vote.yaml")
    found = outcome(api, "vote")
    assert found.passed, list(found.lines())


def test_another_way_to_the_same_passes_too(api: Api) -> None:
    apply(vote())
    apply(budget(minAvailable=3))
    found = outcome(api, "vote")
    assert found.passed, list(found.lines())


@pytest.mark.parametrize(
    ("manifest", "line"),
    [
        (vote(replicas=3), "there are 3 Pods, the task wants 4"),
        (vote(release="1.0.0"), "they run 1.0.0, the task wants 1.1.0"),
        (vote(topologySpreadConstraints=[], nodeName="worker-1"), "none runs on worker-2, worker-3"),
        (
            vote(resources={"requests": {"cpu": "10m"}, **EXACT}),
            "they are Burstable: a request of CPU or memory differs from its limit, or a limit is missing",
        ),
        (vote(), "no budget covers them: a drain may take all Pods of a node at once"),
    ],
    ids=["three", "another release", "on one node", "Burstable", "no budget"],
)
def test_what_is_wrong_with_vote_is_told(api: Api, manifest: str, line: str) -> None:
    apply(manifest)
    assert last_line(api, "vote") == f"✗ not yet: {line}"


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (budget(minAvailable=4), "budget vote lets no Pod go: their nodes could never be drained"),
        (budget(maxUnavailable=2), "budget vote lets 2 Pods go at the same time"),
        (budget(app="votes", maxUnavailable=1), "no budget covers them: a drain may take all Pods of a node at once"),
    ],
    ids=["none may go", "two may go", "another label"],
)
def test_what_is_wrong_with_the_budget_is_told(api: Api, wrong: str, line: str) -> None:
    apply(vote())
    apply(wrong)
    assert last_line(api, "vote") == f"✗ not yet: {line}"


@pytest.mark.alone
def test_the_cause_is_named_when_vote_does_not_fit(api: Api) -> None:
    apply(vote(resources={"limits": {"cpu": "900m", "memory": "32Mi"}}))
    assert "Insufficient cpu" in last_line(api, "vote")
