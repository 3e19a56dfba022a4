"""Module 05, Scheduling: what it asks and how its exercises are checked."""

from __future__ import annotations

from collections.abc import Iterator

from k8s101.lesson.api.diagnose import pods_of
from k8s101.lesson.api.names import ready, version
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import poll
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Option, Question, among
from k8s101.lesson.quiz.checking import begun, existing, expect, settles

TAINT = "dedicated"
BUDGET_SECONDS = 15


def _node_of(pod: Object) -> str:
    return str(pod["spec"].get("nodeName", ""))


def _one_too_many(before: Before, api: Api) -> str:
    pods = pods_of(api, existing(api, "deployment/busy"))
    placed = sum(bool(_node_of(pod)) for pod in pods)
    if placed == len(pods):
        return "all"
    return "each" if placed else "none"


def _class_of_steady(before: Before, api: Api) -> str:
    classes = {"Guaranteed": "guaranteed", "Burstable": "burstable", "BestEffort": "best-effort"}
    return among(existing(api, "pod/steady")["status"]["qosClass"], classes)


def _over_limit(before: Before, api: Api) -> str:
    two = existing(api, "pod/two")
    old = before.pods.get(two["metadata"]["uid"])
    if old is None:
        return "moves"
    known = _restarts(old)
    anew = [name for name, count in _restarts(two).items() if count > known[name]]
    if not anew:
        return "waits"
    return "killed" if anew == ["small"] else "whole-pod"


def _restarts(pod: Object) -> dict[str, int]:
    return {entry["name"]: entry["restartCount"] for entry in pod["status"]["containerStatuses"]}


def _selector(before: Before, api: Api) -> str:
    node = _node_of(existing(api, "pod/fast"))
    if not node:
        return "recreated"
    labelled = existing(api, f"node/{node}")["metadata"]["labels"].get("disk") == "fast"
    return "starts" if labelled else "anywhere"


def _taint(before: Before, api: Api) -> str:
    kept = _kept(api)
    old = {pod["metadata"]["uid"] for pod in before.pods.values() if _node_of(pod) in kept and ready(pod)}
    now = {pod["metadata"]["uid"] for pod in api.list("Pod") if not pod["metadata"].get("deletionTimestamp")}
    return "stays" if old and old <= now else "replaced"


def _kept(api: Api) -> list[str]:
    """Return the nodes that a taint keeps for somebody."""
    return [
        node["metadata"]["name"]
        for node in api.rest.list("Node", "")
        if any(taint["key"] == TAINT for taint in node["spec"].get("taints") or [])
    ]


def _preemption(before: Before, api: Api) -> str:
    if not _node_of(existing(api, "pod/urgent")):
        return "waits"
    ran = {uid for uid, pod in before.pods.items() if _node_of(pod)}
    lost = ran - {pod["metadata"]["uid"] for pod in api.list("Pod") if not pod["metadata"].get("deletionTimestamp")}
    return "preempted" if lost else "shared"


def _drain(before: Before, api: Api) -> str:
    cordoned = {node["metadata"]["name"] for node in api.rest.list("Node", "") if node["spec"].get("unschedulable")}
    shop = {uid: pod for uid, pod in before.pods.items() if pod["metadata"].get("labels", {}).get("app") == "shop"}
    now = {pod["metadata"]["uid"] for pod in api.list("Pod", "app=shop") if ready(pod)}
    if now >= {uid for uid, pod in shop.items() if _node_of(pod) in cordoned}:
        return "refused"
    return "evicted" if len(now) < len(shop) else "moved"


QUESTIONS = (
    Question(
        "one-too-many",
        "Each copy asks for six tenths of a node's CPU, and there is one copy more than nodes. All nodes are idle. "
        "How many copies run?",
        {
            "all": Option("all: the processors are idle", "The scheduler counts what is promised, not what is used."),
            "each": Option("one on each node", "a node cannot promise 60 % twice; one copy waits"),
            "none": Option(
                "none: together they ask for too much", "Each Pod is placed by itself; only the last one finds no room."
            ),
        },
        _one_too_many,
    ),
    Question(
        "qos",
        "Pod steady has limits for CPU and memory and no requests. In which class is it?",
        {
            "guaranteed": Option(
                "Guaranteed", "who sets a limit only, requests as much; equal requests and limits make the class"
            ),
            "burstable": Option("Burstable", "So it would be with requests below its limits."),
            "best-effort": Option("BestEffort", "That is for Pods that say nothing at all."),
        },
        _class_of_steady,
    ),
    Question(
        "over-limit",
        "Container small may have 32 MiB of memory and takes 64. What happens to it?",
        {
            "waits": Option(
                "it waits until there is memory", "That is how CPU works: it comes back every moment. Memory does not."
            ),
            "killed": Option(
                "it is killed and starts anew", "the kernel kills in its cgroup only, the kubelet restarts it"
            ),
            "whole-pod": Option(
                "the whole Pod starts anew", "Each container has a cgroup and a restart count of its own."
            ),
            "moves": Option(
                "its Pod moves to a node with more memory", "The node has memory; the limit is about this container."
            ),
        },
        _over_limit,
    ),
    Question(
        "selector",
        "No node bears the label disk=fast. You create the Pod, and label a node later. What happens to the Pod?",
        {
            "anywhere": Option("it runs on any node", "A node selector is a rule, not a wish."),
            "starts": Option(
                "it waits, and starts when a node bears the label", "the scheduler tries again when something changes"
            ),
            "recreated": Option("it waits, and has to be made anew", "A waiting Pod stays in the scheduler's queue."),
        },
        _selector,
    ),
    Question(
        "taint",
        "A node that runs one of the Pods gets a taint with the effect NoSchedule. What happens to its Pod?",
        {
            "stays": Option("it stays where it is", "this effect keeps new Pods off; NoExecute would end it"),
            "replaced": Option("it is ended, and another one starts elsewhere", "The effect NoExecute does that."),
            "no-requests": Option(
                "it stays, but gets no requests any more", "A taint is about where Pods are placed, not about Services."
            ),
        },
        _taint,
    ),
    Question(
        "preemption",
        "Each node has promised six tenths of its CPU. Pod urgent asks for as much, but matters more. What happens?",
        {
            "waits": Option("it waits until a node has room", "So would a Pod that matters as little as the others."),
            "preempted": Option(
                "a Pod that matters less has to go", "the scheduler ends one; its Deployment makes another, which waits"
            ),
            "shared": Option("the node takes it in, and all get less", "No node promises more than it has."),
        },
        _preemption,
    ),
    Question(
        "drain",
        "You drain a node. One copy of shop runs there, and a budget says that all copies must stay. What happens?",
        {
            "refused": Option(
                "it is refused, and the Pod serves on", "the API server asks the budget before it lets a Pod be evicted"
            ),
            "evicted": Option(
                "the Pod goes, and the promise is broken", "A drain asks politely: it evicts, it does not delete."
            ),
            "moved": Option(
                "another copy starts elsewhere first",
                "Nobody moves Pods ahead: a new one comes only after one has gone.",
            ),
        },
        _drain,
    ),
)


def _lab(api: Api) -> Iterator[Finding]:
    kept = _kept(api)
    yield expect(bool(kept), "one node is kept for lab", f"no node is kept for lab: none has the taint {TAINT}")
    yield settles("deployment/lab", "the Pods of lab run")
    nodes = sorted({_node_of(pod) for pod in pods_of(api, existing(api, "deployment/lab")) if ready(pod)})
    others = [node for node in nodes if node not in kept]
    wrong = f"some run on {', '.join(others)}: a toleration lets a Pod onto the kept node, it does not send it there"
    yield expect(bool(nodes) and not others, f"all run on {', '.join(nodes)}, and only they may", wrong)


def _vote(api: Api) -> Iterator[Finding]:
    yield settles("deployment/vote", "the Pods of vote are ready")
    pods = [pod for pod in pods_of(api, existing(api, "deployment/vote")) if ready(pod)]
    yield expect(len(pods) == 4, "there are 4", f"there are {len(pods)} Pods, the task wants 4")
    others = sorted({version(pod) for pod in pods} - {"1.1.0"})
    yield expect(not others, "they run 1.1.0", f"they run {', '.join(others)}, the task wants 1.1.0")
    names = {node["metadata"]["name"] for node in api.rest.list("Node", "") if not node["spec"].get("taints")}
    empty = sorted(names - {_node_of(pod) for pod in pods})
    yield expect(not empty, f"all {len(names)} nodes run some", f"none runs on {', '.join(empty)}")
    classes = sorted({pod["status"]["qosClass"] for pod in pods} - {"Guaranteed"})
    wrong = f"they are {', '.join(classes)}: a request of CPU or memory differs from its limit, or a limit is missing"
    yield expect(not classes, "they are Guaranteed", wrong)
    yield _budget(api, pods)


def _budget(api: Api, pods: list[Object]) -> Finding:
    """Tell how many of these Pods the budgets let go at once."""
    budgets = [item for item in api.list("PodDisruptionBudget") if _covers(api, item, pods)]
    if not budgets:
        return Finding(False, "no budget covers them: a drain may take all Pods of a node at once")
    name = budgets[0]["metadata"]["name"]
    may_go = _may_go(f"poddisruptionbudget/{name}", len(pods))
    if may_go == 0:
        return Finding(False, f"budget {name} lets no Pod go: their nodes could never be drained")
    return expect(
        may_go == 1, "a drain may take one of them at a time", f"budget {name} lets {may_go} Pods go at the same time"
    )


def _covers(api: Api, budget: Object, pods: list[Object]) -> bool:
    chosen = {pod["metadata"]["uid"] for pod in api.list("Pod", _as_text(budget["spec"].get("selector") or {}))}
    return {pod["metadata"]["uid"] for pod in pods} <= chosen


def _as_text(selector: Object) -> str:
    """Return a label selector in the form that queries take."""
    forms = {
        "In": "{key} in ({values})",
        "NotIn": "{key} notin ({values})",
        "Exists": "{key}",
        "DoesNotExist": "!{key}",
    }
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for entry in selector.get("matchExpressions") or []:
        parts.append(forms[entry["operator"]].format(key=entry["key"], values=",".join(entry.get("values") or [])))
    return ",".join(parts)


def _may_go(reference: str, expected: int) -> int:
    """Wait until a budget's status speaks of these Pods, and return how many may go now."""

    def counted(item: Object | None) -> str | None:
        status = (item or {}).get("status", {})
        current = status.get("observedGeneration") == (item or {}).get("metadata", {}).get("generation")
        known = status.get("expectedPods") == status.get("currentHealthy") == expected
        return str(status["disruptionsAllowed"]) if current and known else None

    return int(poll(reference, counted, BUDGET_SECONDS, "up to date"))


EXERCISES = (
    Exercise(
        "lab",
        begun("Deployment", "lab"),
        _lab,
        (
            "Two doors: the taint keeps Pods out that do not tolerate it, the selector keeps these Pods in.",
            'kubectl("describe node …") shows the taint, written key=value:effect, and the labels.',
            'key="dedicated", effect="NoSchedule", label="dedicated"',
        ),
    ),
    Exercise(
        "vote",
        begun("Deployment", "vote"),
        _vote,
        (
            "Four wishes, four fields: copies, resources, spread, and a second object for drains.",
            "even.yaml spreads copies, classes.yaml shows what makes a class, shop.yaml has a budget.",
            "requests equal to limits for CPU and memory; a spread constraint on kubernetes.io/hostname; "
            "a PodDisruptionBudget with maxUnavailable 1 and the labels of vote.",
        ),
    ),
)
