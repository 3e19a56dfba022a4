"""Module 05, Scheduling: what it asks."""

from __future__ import annotations

from k8s101.lesson.api.diagnose import pods_of
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.modules.scheduling_exercises import EXERCISES, TEAM, closed, node_of
from k8s101.lesson.quiz.bank import Before, Option, Question, among
from k8s101.lesson.quiz.checking import existing

__all__ = ["EXERCISES", "QUESTIONS"]


def _staying(pods: list[Object]) -> set[str]:
    """Return the uids of the Pods that are not about to stop."""
    return {pod["metadata"]["uid"] for pod in pods if not pod["metadata"].get("deletionTimestamp")}


def _one_too_many(before: Before, api: Api) -> str:
    pods = pods_of(api, existing(api, "deployment/busy"))
    placed = sum(bool(node_of(pod)) for pod in pods)
    if placed == len(pods):
        return "all"
    return "each" if placed else "none"


def _class_of_steady(before: Before, api: Api) -> str:
    found = existing(api, "pod/steady")["status"]["qosClass"]
    return among(found, {"Guaranteed": "guaranteed", "Burstable": "burstable", "BestEffort": "best-effort"})


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


def _crew(before: Before, api: Api) -> str:
    pods = [pod for pod in api.rest.list("Pod", TEAM, "app=crew") if node_of(pod)]
    return among(len(pods), {0: "none", 3: "three", 4: "four"})


def _no_label(before: Before, api: Api) -> str:
    # later both run, because a node has got the label
    events = api.rest.list("Event", api.namespace, "reason=FailedScheduling")
    waited = {event["involvedObject"]["name"] for event in events}
    if "rule" not in waited:
        return "both"
    return "neither" if "preference" in waited else "preference"


def _label_gone(before: Before, api: Api) -> str:
    rule = api.get("pod/rule")
    if rule is None or not node_of(rule):
        return "ends"
    node = existing(api, f"node/{node_of(rule)}")
    return "moves" if "disk" in node["metadata"]["labels"] else "stays"


def _taint(before: Before, api: Api) -> str:
    kept = closed(api, "dedicated")
    old = {pod["metadata"]["uid"] for pod in before.pods.values() if node_of(pod) in kept and ready(pod)}
    return "stays" if old and old <= _staying(api.list("Pod")) else "replaced"


def _preemption(before: Before, api: Api) -> str:
    if not node_of(existing(api, "pod/urgent")):
        return "waits"
    ran = {uid for uid, pod in before.pods.items() if node_of(pod)}
    return "preempted" if ran - _staying(api.list("Pod")) else "shared"


def _drain(before: Before, api: Api) -> str:
    cordoned = {node["metadata"]["name"] for node in api.rest.list("Node", "") if node["spec"].get("unschedulable")}
    shop = {uid: pod for uid, pod in before.pods.items() if pod["metadata"].get("labels", {}).get("app") == "shop"}
    now = {pod["metadata"]["uid"] for pod in api.list("Pod", "app=shop") if ready(pod)}
    if now >= {uid for uid, pod in shop.items() if node_of(pod) in cordoned}:
        return "stays"
    return "evicted" if len(now) < len(shop) else "moved"


QUESTIONS = (
    Question(
        "one-too-many",
        "Each of four copies requests 600m of the 1 CPU that a node offers, and uses next to nothing. "
        "How many copies run on the three idle nodes?",
        {
            "all": Option("all four: the processors are idle", "The scheduler counts what is requested, not used."),
            "each": Option("three, one on each node", "no node can reserve 600m twice, so one copy waits"),
            "none": Option(
                "none: together they request too much", "Each Pod is placed by itself. Only the last one finds no node."
            ),
        },
        _one_too_many,
    ),
    Question(
        "qos",
        "Pod steady has limits for CPU and memory and no requests. In which class is it?",
        {
            "guaranteed": Option("Guaranteed", "a container with a limit and no request requests as much as its limit"),
            "burstable": Option(
                "Burstable", "That would need a request below the limit, and a missing request is not 0."
            ),
            "best-effort": Option("BestEffort", "That is the class of Pods that name neither requests nor limits."),
        },
        _class_of_steady,
    ),
    Question(
        "over-limit",
        "Container small may use 32 MiB of memory and takes 64. What happens?",
        {
            "waits": Option(
                "it waits until memory is free",
                "It does for CPU, because there is more in the next moment. Memory can't be waited for.",
            ),
            "killed": Option("it is killed and started again", "the kernel kills inside its cgroup only"),
            "whole-pod": Option("both containers are restarted", "Each container has a cgroup and a restart count."),
            "moves": Option("its Pod moves to another node", "The node has memory. The limit is about this container."),
        },
        _over_limit,
    ),
    Question(
        "crew",
        "The team creates a Deployment with four copies, and its manifest says nothing about resources. How many run?",
        {
            "four": Option("four: whoever requests nothing stays within the quota", "They get the default request."),
            "three": Option("three", "each gets the default request of 50m, and three times 50m is all there is"),
            "none": Option(
                "none: the quota refuses Pods without a request",
                "It would, if there were no LimitRange, which gives each container a request.",
            ),
        },
        _crew,
    ),
    Question(
        "no-label",
        "No node has a label disk. You create both Pods. Which of them runs?",
        {
            "both": Option("both", "One of them has a rule, and no node meets it."),
            "preference": Option("only preference", "a rule leaves out nodes, a preference only compares those left"),
            "neither": Option("neither", "A preference leaves out no node. It only makes some better than others."),
        },
        _no_label,
    ),
    Question(
        "label-gone",
        "Later a node gets the label, and rule runs there. Then somebody removes the label. What happens to the Pod?",
        {
            "stays": Option("it keeps running there", "rules count at the moment when a Pod is assigned to a node"),
            "ends": Option("it is terminated", "Nobody compares running Pods with these rules again."),
            "moves": Option("it moves to another node", "A Pod never moves. At most another one replaces it."),
        },
        _label_gone,
    ),
    Question(
        "taint",
        "A node that runs one of the Pods gets a taint with the effect NoSchedule. What happens to that Pod?",
        {
            "stays": Option("it stays where it is", "this effect keeps new Pods off; NoExecute would evict it, too"),
            "replaced": Option("it is evicted, and another one starts elsewhere", "The effect NoExecute does that."),
            "no-requests": Option(
                "it stays, but gets no requests any more", "A taint is about where Pods are placed, not about Services."
            ),
        },
        _taint,
    ),
    Question(
        "preemption",
        "Each node has reserved 600m of its CPU. Pod urgent requests as much and has a higher priority. What happens?",
        {
            "waits": Option("it waits until a node has enough left", "It would, if its priority were the same."),
            "preempted": Option(
                "a Pod of lower priority is evicted", "and its Deployment creates another, which waits"
            ),
            "shared": Option("it runs, and the Pods on that node get less CPU", "No node reserves more than it has."),
        },
        _preemption,
    ),
    Question(
        "drain",
        "You drain the node with all three options. What happens to its copy of shop within the next few seconds?",
        {
            "stays": Option("it keeps running", "the API server asks the budget before it lets a Pod be evicted"),
            "evicted": Option("it is evicted", "A drain asks for an eviction, and a budget may refuse that."),
            "moved": Option(
                "it is evicted as soon as another copy is ready",
                "Nobody starts another copy first: a Deployment replaces a Pod only after it is lost.",
            ),
        },
        _drain,
    ),
    Question(
        "counts",
        "What does the scheduler compare with what a node has to offer?",
        {
            "used": Option("what the Pods on it use", "An idle node can be full, because use does not count."),
            "requests": Option("the requests of the Pods on it", "requests reserve, whether they are used or not"),
            "limits": Option("the limits of the Pods on it", "Limits may add up to more than a node has."),
        },
        "requests",
    ),
    Question(
        "toleration",
        "A Pod tolerates the taint of a node. What follows?",
        {
            "may": Option(
                "it may run on that node",
                "a toleration only allows it, and the Pod may still be assigned to another node",
            ),
            "must": Option("it runs on that node", "For that it needs a node selector or an affinity as well."),
            "stays": Option("it is never evicted from there", "A toleration is for one taint, not for every eviction."),
        },
        "may",
    ),
    Question(
        "unplaced",
        "A Pod is Pending, because no node was found for it. Where do you read why?",
        {
            "events": Option("in the Pod's events", "the scheduler says there what each node lacks"),
            "log": Option("in the Pod's log", "A container that has never started has no log."),
            "kubelet": Option("in the log of a kubelet", "A kubelet only sees Pods that are assigned to its node."),
        },
        "events",
    ),
)
