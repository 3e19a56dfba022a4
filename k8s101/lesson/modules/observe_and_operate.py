"""Module 19, Observe and operate: what it asks."""

from __future__ import annotations

from k8s101.lesson.api.session import Api
from k8s101.lesson.modules.observe_and_operate_exercises import EXERCISES
from k8s101.lesson.quiz.bank import Before, Option, Question

__all__ = ["EXERCISES", "QUESTIONS"]


def _replicas(api: Api) -> int:
    return int((api.get("deployment/hello") or {}).get("status", {}).get("replicas", 0))


def _no_metrics(before: Before, api: Api) -> str:
    if api.get("horizontalpodautoscaler/hello") is None:
        return "refused"
    return "most" if _replicas(api) > 1 else "nothing"


def _gone(before: Before, api: Api) -> str:
    images = [pod["spec"]["containers"][0]["image"] for pod in api.list("Pod", "app=hello")]
    return "kept" if any(image.endswith(":1.1.1") for image in images) else "nowhere"


QUESTIONS = (
    Question(
        "no-metrics",
        "You create an autoscaler for hello, from 1 to 4 Pods. Nobody measures CPU here. What does it do?",
        {
            "refused": Option(
                "the API server refuses it", "The API server checks the object, not whether somebody can serve it."
            ),
            "most": Option("it starts four Pods, to be on the safe side", "It never acts on a number that it lacks."),
            "nothing": Option(
                "it leaves hello as it is", "without a number it changes nothing, and its status says why"
            ),
        },
        _no_metrics,
    ),
    Question(
        "steps",
        "hello has one Pod, which uses 300 % of the CPU that it requests. Target: 50 %, maximum: 4. How many Pods "
        "will there be?",
        {
            "one": Option("2, then 3, then 4: one after the other", "It does not try. It computes what is needed."),
            "six": Option("6, because 300 ÷ 50 is 6", "That is the formula, and maxReplicas has the last word."),
            "four": Option("4, as fast as it can", "the formula gives 6, and maxReplicas has the last word"),
        },
        "four",
    ),
    Question(
        "typo",
        "In a PromQL query you write http_request_total for http_requests_total. What does Prometheus answer?",
        {
            "error": Option("an error: there is no such metric", "It does not know which metrics might come tomorrow."),
            "zero": Option("0", "A zero would be a number that somebody has measured."),
            "empty": Option("nothing: an empty result", "no series has that name, and that is a valid answer"),
        },
        "empty",
    ),
    Question(
        "gone",
        "After the rollback you want to read what the bad Pods wrote. Where does kubectl find their logs?",
        {
            "kept": Option(
                "kubectl logs --previous shows them",
                "That shows the container before, in the same Pod. These Pods are deleted.",
            ),
            "controller": Option(
                "kubectl logs deployment/hello shows them, too",
                "It looks for the Deployment's Pods of now, and reads the log of one.",
            ),
            "nowhere": Option("nowhere", "the kubelet deletes a Pod's log files together with the Pod"),
        },
        _gone,
    ),
    Question(
        "restored",
        "You have a snapshot of etcd from this morning. Since then, 200 objects have been created. What becomes of "
        "them in a restore?",
        {
            "kept": Option("they are kept, and only lost objects come back", "A restore replaces everything in etcd."),
            "lost": Option("they are lost", "etcd holds the cluster as it was at the moment of the snapshot"),
            "merged": Option(
                "their controllers create them again", "A controller only knows the objects that etcd holds."
            ),
        },
        "lost",
    ),
)
