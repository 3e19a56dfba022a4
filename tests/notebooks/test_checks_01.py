"""Module 01 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101 import component, fault
from k8s101.errors import Problem
from k8s101.lesson.api.session import MANIFESTS, Api, make_current
from tests.notebooks.checking import Page, assert_passes, clear, last_line, lesson

pytestmark = pytest.mark.cluster

bash = Page("01").bash

FILES = MANIFESTS / "01-architecture"
MISSING_SCHEDULER, MISSING_CONTROLLERS = "riddle 1", "riddle 2"
STATIC = "/host/etc/kubernetes/manifests"


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
    assert last_line(api, "web").startswith("○ not attempted: no Pod is called web yet")
    assert last_line(api, "riddle") == "○ not attempted: there is no Deployment riddle yet"


def by_hand(first: str, second: str) -> None:
    """Apply the two Pods of exercise 1, with these decisions."""
    text = (FILES / "solution-by-hand.yaml").read_text()
    text = text.replace("nodeName: worker-2", first).replace("nodeName: worker-3", second)
    bash(f"kubectl apply -f - <<'FILE'\n{text}\nFILE")


def test_the_decision_of_the_solution_passes(api: Api) -> None:
    bash("kubectl apply -f solution-by-hand.yaml")
    assert_passes(api, "by-hand")


def bind(api: Api, name: str, node: str) -> None:
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": {"kind": "Node", "name": node}}
    api.rest.call("POST", f"/api/v1/namespaces/{api.namespace}/pods/{name}/binding", body)


def test_a_binding_as_a_scheduler_writes_it_passes_too(api: Api) -> None:
    by_hand("", "")
    line = "first has no node: the scheduler it names does not exist, so the decision is yours"
    assert last_line(api, "by-hand") == f"✗ not yet: {line}"
    bind(api, "first", "worker-3")
    bind(api, "second", "worker-1")
    assert_passes(api, "by-hand")


@pytest.mark.parametrize(
    ("second", "line"),
    [
        ("nodeName: worker-2", "both are on worker-2, the task wants two nodes"),
        ("nodeName: worker-9", "second waits for worker-9: there is no such node, so no kubelet takes it"),
    ],
)
def test_a_wrong_decision_is_told(api: Api, second: str, line: str) -> None:
    by_hand("nodeName: worker-2", second)
    assert last_line(api, "by-hand") == f"✗ not yet: {line}"


def test_pods_that_a_scheduler_placed_are_told(api: Api) -> None:
    text = (FILES / "solution-by-hand.yaml").read_text().replace("schedulerName: you", "")
    text = text.replace("nodeName: worker-2", "nodeSelector: {kubernetes.io/hostname: worker-2}")
    bash(f"kubectl apply -f - <<'FILE'\n{text}\nFILE\nkubectl wait pod/first --for=condition=Ready --timeout=60s")
    assert last_line(api, "by-hand") == "✗ not yet: a scheduler has placed first"


@pytest.fixture
def nodes(api: Api) -> Iterator[Api]:
    """A Pod on worker-1 and one on worker-2, from which files can be written there."""
    for node in ("worker-1", "worker-2"):
        bash(f"kubectl debug node/{node} --profile=sysadmin --image=k8s101.test/toolbox:1.0 -- sleep infinity")
    bash("kubectl wait pods -l app.kubernetes.io/managed-by=kubectl-debug --for=condition=Ready --timeout=60s")
    yield api
    bash(
        f"""
        for pod in $(kubectl get pods -l app.kubernetes.io/managed-by=kubectl-debug -o name); do
          kubectl exec $pod -- sh -c 'rm -f {STATIC}/*.yaml'
        done
        for node in worker-1 worker-2; do
          kubectl wait pod/web-$node --for=delete --timeout=60s
          kubectl wait pod/web-$node -n default --for=delete --timeout=60s
        done
        """
    )


def web(node: str, text: str, namespace: str = "k8s101-architecture") -> None:
    """Give a kubelet a Pod in a file, and wait until the API server knows it."""
    bash(
        f"""
        inside=$(kubectl get pods -l app.kubernetes.io/managed-by=kubectl-debug -o name | grep {node})
        kubectl exec -i $inside -- tee {STATIC}/web.yaml > /dev/null <<'FILE'\n{text}\nFILE
        kubectl wait pod/web-{node} -n {namespace} --for=create --timeout=60s
        """
    )


def solution(**changes: str) -> str:
    """Return the solution of exercise 2 with some words replaced."""
    text = (FILES / "solution-web.yaml").read_text()
    for old, new in changes.items():
        words = {"version": "1.1.0", "label": "{app: web}", "place": "namespace: k8s101-architecture"}
        assert words[old] in text
        text = text.replace(words[old], new)
    return text


def test_the_static_pod_of_the_solution_passes(nodes: Api) -> None:
    web("worker-2", solution())
    assert_passes(nodes, "web")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"version": "1.0.0"}, "its Pods run 1.0.0, the task wants 1.1.0"),
        ({"label": "{run: web}"}, "its label app is missing, the task wants web"),
    ],
)
def test_a_file_that_is_not_complete_is_told_its_cause(nodes: Api, changes: dict[str, str], line: str) -> None:
    web("worker-2", solution(**changes))
    assert last_line(nodes, "web") == f"✗ not yet: {line}"


def test_a_static_pod_in_the_wrong_place_is_told(nodes: Api) -> None:
    web("worker-2", solution(place="creationTimestamp: null"), "default")
    assert last_line(nodes, "web").startswith("✗ not yet: web-worker-2 is in the namespace default")
    web("worker-1", solution())
    bash(
        f"""
        inside=$(kubectl get pods -l app.kubernetes.io/managed-by=kubectl-debug -o name | grep worker-2)
        kubectl exec $inside -- rm {STATIC}/web.yaml
        kubectl wait pod/web-worker-2 -n default --for=delete --timeout=60s
        """
    )
    assert last_line(nodes, "web") == "✗ not yet: web-worker-1 is on worker-1, the task wants worker-2"


def test_a_pod_created_through_the_api_server_is_told(api: Api) -> None:
    bash("kubectl apply -f solution-web.yaml")
    assert last_line(api, "web").startswith("✗ not yet: Pod web was created through the API server")
    bash("sed -e 's/name: web$/name: web-worker-2/' solution-web.yaml | kubectl apply -f -")
    assert last_line(api, "web") == "✗ not yet: web-worker-2 was created through the API server"


def test_etcd_alone_tells_what_it_has_stored(api: Api) -> None:
    bash("kubectl apply -f note.yaml")
    stored = component("etcd").read_key(f"/registry/configmaps/{api.namespace}/note")
    assert stored.startswith(b"k8s\0") and b"written by you" in stored
    with pytest.raises(Problem, match="kube-scheduler cannot do this"):
        component("kube-scheduler").read_key("/registry/configmaps")


def ask_riddle(word: str) -> None:
    fault("component hidden", word)
    bash("kubectl apply -f riddle.yaml")


@pytest.mark.parametrize(
    ("word", "part"), [(MISSING_SCHEDULER, "kube-scheduler"), (MISSING_CONTROLLERS, "kube-controller-manager")]
)
def test_a_riddle_is_solved_by_starting_the_part(api: Api, word: str, part: str) -> None:
    ask_riddle(word)
    assert last_line(api, "riddle").startswith("○ not attempted: riddle waits")
    assert not component(part).running
    bash(f"k8s101 start {part}")
    assert_passes(api, "riddle")


def test_another_size_does_not_solve_the_riddle(api: Api) -> None:
    ask_riddle(MISSING_CONTROLLERS)
    bash("kubectl scale deployment/riddle --replicas=3")
    line = last_line(api, "riddle")
    assert line == "✗ not yet: riddle has 0 ready Pods, and a part of the cluster is still stopped"


def test_who_places_the_pods_himself_is_told_what_is_still_missing(api: Api) -> None:
    ask_riddle(MISSING_SCHEDULER)
    bash("kubectl wait deployment/riddle --for=jsonpath='{.status.replicas}'=2 --timeout=60s")
    for pod, node in zip(api.list("Pod", "app=riddle"), ("worker-1", "worker-2"), strict=True):
        bind(api, pod["metadata"]["name"], node)
    bash("kubectl rollout status deployment/riddle --timeout=60s")
    line = last_line(api, "riddle")
    assert line == "✗ not yet: riddle has 2 ready Pods, and a part of the cluster is still stopped"
