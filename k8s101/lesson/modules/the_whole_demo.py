"""Module 21, the whole demo: what it asks."""

from __future__ import annotations

from kubernetes.client.exceptions import ApiException

from k8s101.lesson.api.names import condition
from k8s101.lesson.api.session import Api
from k8s101.lesson.modules.the_whole_demo_exercises import EXERCISES, may
from k8s101.lesson.quiz.bank import Before, Option, Question, among

__all__ = ["EXERCISES", "QUESTIONS"]


def _reached(before: Before, api: Api) -> str:
    (pod,) = api.list("Pod", "app=cached")
    log = api.core.read_namespaced_pod_log(pod["metadata"]["name"], api.namespace, container="app")
    return among(log.count("GET /something/"), {1: "one", 2: "two", 4: "four"})


def _viewer(before: Before, api: Api) -> str:
    if not may(api, "viewer", "list", "pods"):
        return "nothing"
    return "all" if may(api, "viewer", "list", "secrets") else "not-secrets"


def _bad_release(before: Before, api: Api) -> str:
    hello = api.get("deployment/hello") or {}
    done = condition(hello, "Progressing").get("reason") == "NewReplicaSetAvailable"
    try:
        api.core.connect_get_namespaced_service_proxy("hello:8000", api.namespace)
    except ApiException as error:
        if error.status != 500:
            raise
        return "all" if done else "stuck"
    return "none"


QUESTIONS = (
    Question(
        "logs",
        "hello has three Pods, and all of them have answered. Whose lines does `kubectl logs deployment/hello` show?",
        {
            "all": Option("those of all three", "It reads the log of one Pod. For all, add --all-pods."),
            "one": Option("those of one Pod", "kubectl looks for the Deployment's Pods and takes one of them"),
            "none": Option(
                "none, because a Deployment has no log",
                "That is true of the Deployment, so kubectl chooses one of its Pods.",
            ),
        },
        "one",
    ),
    Question(
        "reached",
        "You ask for page 1, page 2, page 1 and page 2, all within a second. How many requests reach the app?",
        {
            "one": Option("1", "The cache keeps each page by itself."),
            "two": Option("2", "the first request for each page; the others are answered from memory"),
            "four": Option("4", "The cache asks the app only for what it does not have."),
        },
        _reached,
    ),
    Question(
        "viewer",
        "viewer has the role view. It may list Pods and ConfigMaps. May it list Secrets?",
        {
            "all": Option("yes: view reads everything", "A Secret may hold the token of somebody with more rights."),
            "not-secrets": Option("no", "view leaves Secrets out on purpose"),
            "nothing": Option(
                "no, and no ConfigMaps either, before somebody restarts the API server",
                "A new binding counts from the next request on.",
            ),
        },
        _viewer,
    ),
    Question(
        "bad-release",
        "Release 2.1.1 answers 500, and hello has no probe any more. What happens when you release it?",
        {
            "stuck": Option(
                "the rollout gets stuck, and users notice nothing",
                "The probe noticed 1.1.1, and now there is none.",
            ),
            "none": Option(
                "the rollout succeeds, and users get good answers from the old Pods",
                "Once it has succeeded, no old Pod is left.",
            ),
            "all": Option(
                "the rollout succeeds, and users get errors",
                "without a probe a Pod counts as ready as soon as its container runs",
            ),
        },
        _bad_release,
    ),
)
