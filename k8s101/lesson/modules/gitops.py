"""Module 18, GitOps: what it asks."""

from __future__ import annotations

from k8s101.lesson.api.names import condition, version
from k8s101.lesson.api.session import Api
from k8s101.lesson.modules.gitops_exercises import EXERCISES, REPLICAS
from k8s101.lesson.quiz.bank import Before, Option, Question, among

__all__ = ["EXERCISES", "QUESTIONS"]

SCALED = 5
"""Replicas that somebody sets with kubectl."""


def _second(before: Before, api: Api) -> str:
    return among(version(api.existing("deployment/shop")), {"1.1.0": "nothing", "1.0.0": "apply"})


def _drift(before: Before, api: Api) -> str:
    return among(api.existing("deployment/shop")["spec"]["replicas"], {SCALED: "five", REPLICAS: "two"})


def _pruned(before: Before, api: Api) -> str:
    return "stays" if api.get("service/shop-old") else "deleted"


def _bad(before: Before, api: Api) -> str:
    if version(api.existing("deployment/shop")) != "1.1.1":
        return "back"
    ready = condition(api.existing("kustomization/shop"), "Ready")
    return "tells" if ready.get("status") == "False" else "success"


def _gone(before: Before, api: Api) -> str:
    return "runs" if api.existing("deployment/shop")["status"].get("readyReplicas") else "stops"


QUESTIONS = (
    Question(
        "second",
        "You change the image in your clone to 1.1.0, commit and push. What else must you do so that 1.1.0 runs?",
        {
            "apply": Option("kubectl apply", "That is pushing. Here something in the cluster looks for commits."),
            "annotate": Option(
                "tell Flux that there is a new commit",
                "That would be quicker, but Flux also looks by itself.",
            ),
            "nothing": Option("nothing", "the controllers fetch the branch and apply what is in it"),
        },
        _second,
    ),
    Question(
        "drift",
        "Somebody scales shop to five with kubectl. Git says two. What do you find a few seconds later?",
        {
            "five": Option(
                "five, until the next commit", "Flux does not wait for a commit: it compares again and again."
            ),
            "two": Option("two", "Flux compares the cluster with Git on a schedule, and applies what differs"),
            "refused": Option(
                "kubectl was refused", "kubectl has the rights as before. But Flux changes back what it changed."
            ),
        },
        _drift,
    ),
    Question(
        "pruned",
        "You delete the file old-name.yaml in the repository. What becomes of Service shop-old?",
        {
            "stays": Option(
                "it stays: nobody deleted it", "kubectl apply would leave it. Flux remembers what it has applied."
            ),
            "back": Option(
                "it is deleted and comes back",
                "That happens to a Service that somebody deletes by hand while Git still has it.",
            ),
            "deleted": Option("it is deleted", "with prune: true, what is no longer in Git is deleted"),
        },
        _pruned,
    ),
    Question(
        "bad",
        "You push release 1.1.1, which never becomes ready. What does Flux do?",
        {
            "back": Option(
                "it rolls back to 1.1.0", "Then the cluster would differ from Git. Undoing a release is a commit, too."
            ),
            "tells": Option(
                "it applies 1.1.1, and reports that it does not become ready",
                "Git decides what runs, and the condition Ready tells whether it works",
            ),
            "success": Option(
                "it applies 1.1.1, and reports success", "It would do so without wait: true in the Kustomization."
            ),
        },
        _bad,
    ),
    Question(
        "gone",
        "The Git server stops. What becomes of the app?",
        {
            "stops": Option("it stops", "Its Pods need a node and an image, but no Git server."),
            "removed": Option(
                "Flux deletes it, because it finds no files",
                "Flux keeps what it fetched until it fetches something new.",
            ),
            "runs": Option("it runs on", "only new commits do not arrive; what was fetched stays in force"),
        },
        _gone,
    ),
)
