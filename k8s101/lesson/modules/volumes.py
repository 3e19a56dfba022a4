"""Module 11, Volumes: what it asks."""

from __future__ import annotations

from k8s101.lesson.api.diagnose import pods_of
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.modules.volumes_exercises import EXERCISES, lines_of_diary
from k8s101.lesson.quiz.bank import Before, Option, Question, among
from k8s101.lesson.quiz.checking import existing

__all__ = ["EXERCISES", "QUESTIONS"]


def _new_pod(before: Before, api: Api) -> str:
    return among(min(lines_of_diary(api), 3), {1: "one", 2: "two", 3: "three"})


def _archive(api: Api) -> Object:
    return dict(existing(api, "persistentvolumeclaim/archive")["status"])


def _size(before: Before, api: Api) -> str:
    claim = _archive(api)
    if claim.get("phase") != "Bound":
        return "waits"
    return "part" if claim["capacity"]["storage"] == "50Mi" else "whole"


def _again(before: Before, api: Api) -> str:
    return "bound" if _archive(api).get("phase") == "Bound" else "waits"


def _second(before: Before, api: Api) -> str:
    first, second = (api.get(f"pod/{name}") for name in ("writer", "reader"))
    if first is None or second is None:
        return "refused"
    nodes = {pod["spec"].get("nodeName") for pod in (first, second)}
    return "same-node" if len(nodes) == 1 and ready(second) else "waits"


def _dead_node(before: Before, api: Api) -> str:
    pods = pods_of(api, existing(api, "deployment/ledger"))
    staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    if not any(pod["metadata"]["uid"] not in before.pods for pod in staying):
        return "nothing"
    return "elsewhere" if any(pod["spec"].get("nodeName") for pod in staying) else "waits"


QUESTIONS = (
    Question(
        "new-pod",
        "The file in the volume has two lines. You delete Pod diary and apply the same manifest again. "
        "How many lines does the file then have, with the one that the new Pod writes?",
        {
            "one": Option("one", "an emptyDir ends with its Pod, and a new Pod gets a new one, which is empty"),
            "two": Option("two", "It would have to lose one of the earlier lines and keep the other."),
            "three": Option(
                "three",
                "Two Pods with the same name are two Pods. An emptyDir belongs to one of them and is deleted with it.",
            ),
        },
        _new_pod,
    ),
    Question(
        "size",
        "The claim requests 50Mi. The only volume of this class has 100Mi. What does the claim get?",
        {
            "waits": Option(
                "nothing: it waits for a volume of 50Mi", "A request is a minimum, as it is for CPU and memory."
            ),
            "part": Option("50Mi of the 100Mi", "A volume is never divided. It belongs to one claim, or to none."),
            "whole": Option("all 100Mi", "a claim gets a whole volume that has at least what it requests"),
        },
        _size,
    ),
    Question(
        "again",
        "The claim was deleted, and the volume is Released. You create the same claim again. What happens?",
        {
            "bound": Option(
                "it is bound to the volume, with the data",
                "It has the same name, but it is another claim, and it might be somebody else's.",
            ),
            "emptied": Option(
                "it is bound to the volume, which has been emptied",
                "Nobody empties a volume whose reclaim policy is Retain. That is left to people.",
            ),
            "waits": Option("it stays Pending", "a Released volume still names the claim that it belonged to"),
        },
        _again,
    ),
    Question(
        "second",
        "Claim notes is ReadWriteOnce, and Pod writer uses it. You create Pod reader with the same claim, and say "
        "nothing about its node. What happens?",
        {
            "refused": Option("the API server refuses it", "The API server does not compare Pods with each other."),
            "waits": Option(
                "it waits until writer has ended", "“Once” counts nodes, not Pods. One Pod only is ReadWriteOncePod."
            ),
            "same-node": Option(
                "it runs on the node of writer",
                "“once” allows several Pods on one node, and only that node reaches the volume",
            ),
        },
        _second,
    ),
    Question(
        "dead-node",
        "The node with the volume dies without a word. Two other nodes are idle. "
        "What do you find after the control plane has reacted?",
        {
            "nothing": Option(
                "nothing has changed: the Deployment waits for its node",
                "A ReplicaSet replaces Pods that are evicted, whatever volumes they use.",
            ),
            "elsewhere": Option(
                "a new Pod on another node", "The data is on the disk of one node. Nobody has copied it anywhere."
            ),
            "waits": Option(
                "a new Pod that is Pending", "the volume may be used on one node only, and this node is dead"
            ),
        },
        _dead_node,
    ),
    Question(
        "once",
        "An app uses a claim that is ReadWriteOnce. What does “once” limit?",
        {
            "node": Option("the nodes on which the volume is mounted", "several Pods on one node may share it"),
            "pod": Option("the Pods that use it", "That is ReadWriteOncePod."),
            "write": Option("how often it may be written", "It is about who may mount the volume, not about writing."),
        },
        "node",
    ),
    Question(
        "reclaim",
        "You delete a claim whose volume has the reclaim policy Delete. What happens to the data?",
        {
            "deleted": Option("it is deleted with the volume", "the default of classes that make volumes on demand"),
            "released": Option("it stays, and the volume is Released", "That is what the policy Retain does."),
            "namespace": Option(
                "it stays until the namespace is deleted", "Volumes belong to no namespace; the policy alone decides."
            ),
        },
        "deleted",
    ),
)
