"""Module 07, DaemonSets: what it asks."""

from __future__ import annotations

import requests

from k8s101.lesson.api.diagnose import pods_of
from k8s101.lesson.api.names import version
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.modules.daemonsets_exercises import EXERCISES, node_names, node_of
from k8s101.lesson.quiz.bank import Before, Option, Question
from k8s101.lesson.quiz.checking import existing

__all__ = ["EXERCISES", "QUESTIONS"]

CALLS = 40
CALL_SECONDS = 5
NEWCOMER = "worker-4"


def _staying(api: Api, name: str) -> list[Object]:
    """Return the Pods of a DaemonSet that are not about to stop."""
    pods = pods_of(api, existing(api, f"daemonset/{name}"))
    return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]


def _places(api: Api, name: str) -> list[str]:
    return sorted(node_of(pod) for pod in _staying(api, name))


def _how_many(before: Before, api: Api) -> str:
    places = _places(api, "agent")
    if places == node_names(api):
        return "each"
    return "one" if len(places) == 1 else "none"


def _newcomer(before: Before, api: Api) -> str:
    # the lesson has written nothing since the node came
    return "nobody" if NEWCOMER in _places(api, "agent") else "you"


def _removed(before: Before, api: Api) -> str:
    places = _places(api, "agent")
    if NEWCOMER in places:
        return "listed"
    return "elsewhere" if len(places) > len(set(places)) else "deleted"


def _no_label(before: Before, api: Api) -> str:
    places = _places(api, "fast")
    if not places:
        return "none"
    return "anywhere" if all(places) else "pending"


def _cordoned(before: Before, api: Api) -> str:
    shut = {node["metadata"]["name"] for node in api.rest.list("Node", "") if node["spec"].get("unschedulable")}
    places = _places(api, "fast")
    if not shut & set(places):
        return "pending" if "" in places else "missing"
    return "starts"


def _who_answers(before: Before, api: Api) -> str:
    service = existing(api, "service/agent")
    node = api.rest.list("Node", "")[0]
    address = next(entry["address"] for entry in node["status"]["addresses"] if entry["type"] == "InternalIP")
    url = f"http://{address}:{service['spec']['ports'][0]['nodePort']}/"
    hosts = {requests.get(url, timeout=CALL_SECONDS).headers["X-Hello-Host"] for _ in range(CALLS)}
    if len(hosts) > 1:
        return "all"
    here = node_of(existing(api, f"pod/{hosts.pop()}")) == node["metadata"]["name"]
    return "own" if here else "same"


def _on_delete(before: Before, api: Api) -> str:
    wanted = version(existing(api, "daemonset/exporter"))
    fresh = [pod for pod in _staying(api, "exporter") if version(pod) == wanted]
    if not fresh:
        return "none"
    return "deleted" if len(fresh) == 1 else "all"


def _bad_release(before: Before, api: Api) -> str:
    daemonset = existing(api, "daemonset/exporter")
    status = daemonset["status"]
    if status.get("conditions"):
        return "condition"
    if version(daemonset) != "1.1.1":
        return "undone"
    left = status["desiredNumberScheduled"] - status.get("updatedNumberScheduled", 0)
    return "silent" if left else "replaced"


QUESTIONS = (
    Question(
        "how-many",
        "The manifest names no number. How many Pods does the DaemonSet create?",
        {
            "one": Option("one, until you scale it", "That is a Deployment. A DaemonSet cannot be scaled at all."),
            "each": Option("one on each node", "the nodes are counted, and each gets one"),
            "none": Option(
                "none: the number is missing", "A DaemonSet has no such field. Its number follows from the nodes."
            ),
        },
        _how_many,
    ),
    Question(
        "newcomer",
        "A new node joins. Who must act so that it gets an agent?",
        {
            "you": Option(
                "you, by applying the manifest again", "What you want is stored already, for future nodes as well."
            ),
            "nobody": Option("nobody", "the DaemonSet's controller watches nodes as well as Pods"),
            "never": Option(
                "nobody can: the agents were placed when you applied the manifest",
                "A controller never stops comparing.",
            ),
        },
        _newcomer,
    ),
    Question(
        "removed",
        "The fourth node is removed from the cluster. What happens to the Pod of its agent within the next "
        "two minutes?",
        {
            "elsewhere": Option("it is replaced on another node", "Every other node has its own agent already."),
            "deleted": Option(
                "it is deleted and not replaced", "a garbage collector deletes Pods of nodes that are gone"
            ),
            "listed": Option(
                "it stays listed until you delete it",
                "That would be so if only the kubelet could delete it. But the control plane cleans up as well.",
            ),
        },
        _removed,
    ),
    Question(
        "no-label",
        "No node has the label disk=fast yet. You create DaemonSet fast. What happens to its Pods?",
        {
            "pending": Option(
                "they are Pending",
                "Those of a Deployment would be. Here the nodes come first, and none of them matches.",
            ),
            "none": Option("there are none, and that is no error", "no node matches, so 0 of 0 is complete"),
            "anywhere": Option("they run on any node", "A node selector is a rule, not a preference."),
        },
        _no_label,
    ),
    Question(
        "cordoned",
        "You cordon a node and then delete the Pod of fast that runs there. What follows?",
        {
            "missing": Option("the node stays without one", "It would, if the Pod belonged to a Deployment."),
            "pending": Option("a new Pod is Pending until the node is uncordoned", "That needs a rule it can't pass."),
            "starts": Option("a new Pod starts there", "Pods of a DaemonSet tolerate the taint of a cordoned node"),
        },
        _cordoned,
    ),
    Question(
        "who-answers",
        "You call port 30007 of one node, many times. Who answers?",
        {
            "own": Option("the agent of that node", "A node port belongs to the Service, not to the Pods of the node."),
            "all": Option("the agents of all nodes", "each node sends requests to any ready Pod of the Service"),
            "same": Option("always the same one, on any node", "A Pod is chosen for each new connection."),
        },
        _who_answers,
    ),
    Question(
        "on-delete",
        "The strategy is OnDelete. You set release 1.1.0 and delete one agent. Which agents run 1.1.0 then?",
        {
            "all": Option(
                "all agents, one after the other", "That is RollingUpdate. Now the controller waits for you."
            ),
            "deleted": Option(
                "only the one that replaces the deleted agent", "it is made from the new template; the others stay"
            ),
            "none": Option(
                "none: the replacement is a copy of what was there", "A new Pod always comes from the current template."
            ),
        },
        _on_delete,
    ),
    Question(
        "bad-release",
        "Release 1.1.1 answers every request with status 500. What happens to its rollout?",
        {
            "replaced": Option("all agents are replaced", "The next node waits until the agent of this one is ready."),
            "silent": Option(
                "it stops at the first node, without a word", "one node has no working agent, and no condition says so"
            ),
            "condition": Option(
                "it stops, and a condition says so", "A Deployment has the condition Progressing, a DaemonSet has none."
            ),
            "undone": Option("it is undone", "Kubernetes never rolls back by itself."),
        },
        _bad_release,
    ),
    Question(
        "number",
        "What decides how many Pods a DaemonSet has?",
        {
            "replicas": Option("its field replicas", "It has no such field."),
            "nodes": Option("the nodes that match its rules", "one Pod for each of them, whenever they come or go"),
            "load": Option("the load of the nodes", "An autoscaler can't scale a DaemonSet."),
        },
        "nodes",
    ),
)
