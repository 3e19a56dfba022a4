"""Module 12, StatefulSets: what it asks."""

from __future__ import annotations

from datetime import datetime

from k8s101.lesson.api.names import condition, ready, version
from k8s101.lesson.api.session import Api
from k8s101.lesson.modules.statefulsets_exercises import EXERCISES
from k8s101.lesson.quiz.bank import Before, Option, Question
from k8s101.lesson.quiz.checking import existing

__all__ = ["EXERCISES", "QUESTIONS"]

WRONG_TAG = "3.77"
"""The release that the page asks for by mistake."""


def _order(before: Before, api: Api) -> str:
    first, second = (existing(api, f"pod/etcd-{number}") for number in (0, 1))
    begun = datetime.fromisoformat(condition(first, "Ready")["lastTransitionTime"])
    return "ready" if datetime.fromisoformat(second["metadata"]["creationTimestamp"]) >= begun else "together"


def _claim(before: Before, api: Api) -> str:
    if api.get("pod/etcd-2"):
        return "first"
    return "last-kept" if api.get("persistentvolumeclaim/data-etcd-2") else "last-deleted"


def _partition(before: Before, api: Api) -> str:
    pods = [existing(api, f"pod/etcd-{number}") for number in range(3)]
    probed = ["readinessProbe" in pod["spec"]["containers"][0] for pod in pods]
    if probed == [False, False, True]:
        return "last"
    return "all" if all(probed) else "two"


def _undo(before: Before, api: Api) -> str:
    pod = api.get("pod/etcd-2")
    return "stays" if pod and version(pod) == WRONG_TAG else "replaced"


def _back(before: Before, api: Api) -> str:
    running = [pod for pod in api.list("Pod", "app=etcd") if ready(pod)]
    if len(running) == 3:
        return "three"
    return "waits" if api.get("pod/etcd-1") is None else "empty"


QUESTIONS = (
    Question(
        "copies",
        "You write a key once, through the Service. How many of the three Pods have it afterwards?",
        {
            "none": Option("none", "The Service passes the request on to one of them, and that one stores the key."),
            "one": Option("one", "a Deployment starts copies of a program; it does not copy their data"),
            "three": Option(
                "all three", "etcd copies data between members, but nobody has told these three of each other."
            ),
        },
        "one",
    ),
    Question(
        "order",
        "The StatefulSet wants three Pods. When does it create etcd-1?",
        {
            "together": Option(
                "together with etcd-0", "A ReplicaSet does that. This set takes one step after the other."
            ),
            "ready": Option("once etcd-0 is ready", "by default, each Pod waits for the one before it"),
            "claims": Option(
                "once all three claims are bound", "A claim is created together with its Pod, so the third comes last."
            ),
        },
        _order,
    ),
    Question(
        "claim",
        "You scale the set from three to two. Which Pod ends, and what happens to its claim?",
        {
            "first": Option(
                "etcd-0, the oldest; its claim stays",
                "The set keeps the numbers from 0 on, so the highest number goes first.",
            ),
            "last-deleted": Option(
                "etcd-2; its claim is deleted",
                "Data is worth more than disk space, so nobody deletes it unless you ask for that.",
            ),
            "last-kept": Option("etcd-2; its claim stays", "the highest number goes first, and claims are kept"),
        },
        _claim,
    ),
    Question(
        "partition",
        "The template changes, and the partition is 2. Which Pods are replaced?",
        {
            "all": Option(
                "all three, two at a time", "The partition is not the size of a step. It is the number of a Pod."
            ),
            "two": Option(
                "etcd-0 and etcd-1", "Updates begin at the other end: the partition holds back lower numbers."
            ),
            "last": Option("etcd-2", "only Pods with this number or a higher one"),
        },
        _partition,
    ),
    Question(
        "undo",
        "etcd-2 waits for an image that does not exist. You undo the rollout. What happens to etcd-2?",
        {
            "replaced": Option(
                "it is replaced by a Pod of the old revision",
                "A Deployment would do that. This set first waits until etcd-2 is ready, which never happens.",
            ),
            "stays": Option("nothing", "an ordered set waits for a Pod that is not ready; it does not replace it"),
            "deleted": Option(
                "it is deleted, and two members stay", "The set still wants three. An undo changes the template only."
            ),
        },
        _undo,
    ),
    Question(
        "back",
        "One member is left, and it is not ready. You scale back to three, and the claims are all there. "
        "What do you find after a while?",
        {
            "three": Option(
                "three members, ready",
                "Two of them must be created first, and the set creates one only when the one before is ready.",
            ),
            "empty": Option(
                "three members, two of them without data",
                "A claim that stayed still has its data. But does the set create the Pods?",
            ),
            "waits": Option("still one member", "the set waits for etcd-0, and etcd-0 waits for the others"),
        },
        _back,
    ),
    Question(
        "sticky",
        "A Pod of a StatefulSet is deleted, and the set creates another one. What is the same as before?",
        {
            "address": Option("its name and its address", "The address is new. The DNS name leads to it."),
            "claim": Option("its name and its claim", "this is what a StatefulSet adds to a Deployment"),
            "nothing": Option("nothing but the template", "That is how a Deployment replaces its Pods."),
        },
        "claim",
    ),
    Question(
        "kept-claims",
        "You delete a StatefulSet that says nothing about its claims. What happens to them?",
        {
            "deleted": Option(
                "they are deleted with it", "Only with persistentVolumeClaimRetentionPolicy whenDeleted: Delete."
            ),
            "kept": Option("they stay, with the data", "until you delete them yourself"),
            "released": Option("they are Released", "Volumes can be Released. The claims are still there."),
        },
        "kept",
    ),
)
