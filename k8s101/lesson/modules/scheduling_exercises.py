"""Module 05, Scheduling: how its exercises are checked."""

from __future__ import annotations

from collections.abc import Iterator

from k8s101.cluster.values.deadline import until
from k8s101.lesson.api.diagnose import pods_of
from k8s101.lesson.api.names import ready, selects
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import poll
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import begun, existing, expect, same_version, settles, spread_by_rule

TEAM = "k8s101-scheduling-team"
"""A quota holds for all Pods of its namespace, so the team has one of its own."""

RESERVED, MAINTENANCE = "team", "maintenance"
"""The keys of the taints of exercises 1 and 3."""

BUDGET_SECONDS = 15
REPAIR_SECONDS = 6


def node_of(pod: Object) -> str:
    """Return the node that a Pod is assigned to, empty while there is none."""
    return str(pod["spec"].get("nodeName", ""))


def closed(api: Api, key: str) -> list[str]:
    """Return the nodes that have a taint with this key."""
    nodes = api.rest.list("Node", "")
    return [
        node["metadata"]["name"] for node in nodes if any(t["key"] == key for t in node["spec"].get("taints") or [])
    ]


def _ready_pods(api: Api, name: str) -> list[Object]:
    return [pod for pod in pods_of(api, existing(api, f"deployment/{name}")) if ready(pod)]


def _render(api: Api) -> Iterator[Finding]:
    kept = closed(api, RESERVED)
    yield expect(kept, "a node is reserved", f"no node has the taint {RESERVED}=video:NoSchedule")
    yield settles("deployment/render", "the Pods of render run")
    pods = _ready_pods(api, "render")
    yield expect(len(pods) == 2, "there are 2", f"there are {len(pods)} Pods, the task asks for 2")
    others = sorted({node_of(pod) for pod in pods} - set(kept))
    tolerates = bool(pods[0]["spec"].get("tolerations")) and RESERVED in str(pods[0]["spec"]["tolerations"])
    toleration = "a toleration allows Pods on the reserved node, and does not keep them off others"
    why = toleration if tolerates else "nothing assigns them to the reserved node"
    yield expect(not others, f"all run on {', '.join(kept)}", f"some run on {', '.join(others)}: {why}")
    rules = existing(api, "deployment/render")["spec"]["template"]["spec"]
    chosen = rules.get("nodeSelector") or rules.get("affinity", {}).get("nodeAffinity") or rules.get("nodeName")
    yield expect(
        chosen,
        "and a rule in the template keeps it so",
        "they are there by luck: nothing in the template says so, and the next rollout may place them differently",
    )


def _vote(api: Api) -> Iterator[Finding]:
    yield settles("deployment/vote", "the Pods of vote are ready")
    pods = _ready_pods(api, "vote")
    yield expect(len(pods) == 4, "there are 4", f"there are {len(pods)} Pods, the task asks for 4")
    yield same_version(pods, "1.1.0")
    names = {node["metadata"]["name"] for node in api.rest.list("Node", "") if not node["spec"].get("taints")}
    empty = sorted(names - {node_of(pod) for pod in pods})
    yield expect(not empty, f"all {len(names)} nodes run some", f"none runs on {', '.join(empty)}")
    yield spread_by_rule(existing(api, "deployment/vote"))
    classes = sorted({pod["status"]["qosClass"] for pod in pods} - {"Guaranteed"})
    wrong = f"they are {', '.join(classes)}: a request of CPU or memory differs from its limit, or a limit is missing"
    yield expect(not classes, "they are Guaranteed", wrong)
    yield _budget(api, pods)


def _budget(api: Api, pods: list[Object]) -> Finding:
    """Tell how many of these Pods the budgets let go at once."""
    budgets = [item for item in api.list("PodDisruptionBudget") if _covers(item, pods)]
    if not budgets:
        return Finding(False, "no budget covers them: a drain may evict all Pods of a node at once")
    name = budgets[0]["metadata"]["name"]
    may_go = _may_go(f"poddisruptionbudget/{name}", len(pods))
    if may_go == 0:
        return Finding(False, f"budget {name} allows no disruption: their nodes could never be drained")
    return expect(
        may_go == 1, "a drain may evict one of them at a time", f"budget {name} lets {may_go} Pods go at the same time"
    )


def _covers(budget: Object, pods: list[Object]) -> bool:
    return all(selects(budget["spec"].get("selector"), pod["metadata"].get("labels") or {}) for pod in pods)


def _may_go(reference: str, expected: int) -> int:
    """Wait until a budget's status speaks of these Pods, and return how many may go now."""

    def counted(item: Object | None) -> str | None:
        status = (item or {}).get("status", {})
        current = status.get("observedGeneration") == (item or {}).get("metadata", {}).get("generation")
        known = status.get("expectedPods") == status.get("currentHealthy") == expected
        return str(status["disruptionsAllowed"]) if current and known else None

    return int(poll(reference, counted, BUDGET_SECONDS, "up to date"))


def _cordoned(api: Api) -> list[str]:
    return [node["metadata"]["name"] for node in api.rest.list("Node", "") if node["spec"].get("unschedulable")]


def _depot_begun(api: Api) -> str | None:
    depot = api.get("deployment/depot")
    if depot is None:
        return "there is no Deployment depot yet"
    untouched = depot["metadata"]["generation"] == 1 and _cordoned(api) and closed(api, MAINTENANCE)
    waiting = [pod for pod in pods_of(api, depot) if not node_of(pod)]
    return "depot and the nodes are as your colleague left them" if untouched and waiting else None


def _repaired(api: Api) -> Iterator[Finding]:
    depot = existing(api, "deployment/depot")
    wanted = depot["spec"]["replicas"]
    yield expect(wanted >= 3, "depot asks for three Pods", f"depot asks for {wanted} Pods; it had three")
    until(lambda: len(_ready_pods(api, "depot")) >= wanted, REPAIR_SECONDS, every=0.2)
    pods = _ready_pods(api, "depot")
    still = "one reason is away, and now the scheduler gives another" if not _cordoned(api) else "one still waits"
    yield expect(len(pods) >= wanted, "all of them are ready", f"{len(pods)} of {wanted} Pods are ready: {still}")
    nodes = {node_of(pod) for pod in pods}
    apart = depot["spec"]["template"]["spec"].get("affinity", {}).get("podAntiAffinity", {})
    yield expect(
        len(nodes) == len(pods) and apart.get("requiredDuringSchedulingIgnoredDuringExecution"),
        "each runs on a node of its own",
        "the rule that keeps its Pods apart is no longer kept: if one node dies, more than one Pod may be lost",
    )
    shut = sorted({*_cordoned(api), *closed(api, MAINTENANCE)})
    yield expect(
        not shut,
        "and every node takes new Pods again",
        f"depot runs, but {', '.join(shut)} still keeps other Pods off: the next app will wait, too",
    )


EXERCISES = (
    Exercise(
        "render",
        begun("Deployment", "render"),
        _render,
        (
            "Two things are needed: something that allows these Pods on the reserved node, and something that keeps "
            "them off all other nodes.",
            "kubectl describe node shows Taints and Labels; visitor.yaml has both fields.",
            "In the template's spec: tolerations: [{key: team, operator: Equal, value: video, effect: NoSchedule}] and "
            "nodeSelector: {hardware: gpu}",
        ),
    ),
    Exercise(
        "vote",
        begun("Deployment", "vote"),
        _vote,
        (
            "The draft lacks three things: resources, a rule for the nodes, and a second object for drains.",
            "classes.yaml shows what makes a class, even.yaml spreads copies, shop.yaml has a budget; "
            "kubectl create poddisruptionbudget --help shows how to draft one.",
            "limits for CPU and memory (requests follow); a topologySpreadConstraint on kubernetes.io/hostname with "
            "maxSkew: 1 and DoNotSchedule; a PodDisruptionBudget with maxUnavailable: 1 and the label app: vote",
        ),
    ),
    Exercise(
        "depot",
        _depot_begun,
        _repaired,
        (
            "A Pod that waits has an event with the scheduler's reason for each node. Two of the nodes are as they "
            "should be.",
            "kubectl get nodes and kubectl describe node show what keeps new Pods off a node. Look again after each "
            "repair.",
            "kubectl uncordon NODE, then kubectl taint node NODE maintenance-",
        ),
    ),
)
