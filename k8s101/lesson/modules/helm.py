"""Module 17, Helm: what it asks."""

from __future__ import annotations

from k8s101.lesson.api.session import Api
from k8s101.lesson.modules.helm_exercises import EXERCISES, releases
from k8s101.lesson.quiz.bank import Before, Option, Question, among

__all__ = ["EXERCISES", "QUESTIONS"]

ASKED, SCALED = 3, 5
"""Replicas: what production asks for, and what a colleague set with kubectl."""


def _typed(before: Before, api: Api) -> str:
    found = releases(api, "shop")
    if not found:
        return "helm"
    return "server" if found[-1].status == "failed" else "nobody"


def _memory(before: Before, api: Api) -> str:
    return "secret" if releases(api, "shop") else "files"


def _missing(before: Before, api: Api) -> str:
    return "helm" if api.get("service/shop") else "nobody"


def _set_only(before: Before, api: Api) -> str:
    replicas = api.existing("deployment/shop")["spec"]["replicas"]
    return "kept" if replicas == ASKED else "defaults"


def _deployed(before: Before, api: Api) -> str:
    status = releases(api, "shop")[-1].status
    return among(status, {"deployed": "deployed", "failed": "failed", "pending-upgrade": "pending"})


def _scaled(before: Before, api: Api) -> str:
    if releases(api, "shop")[-1].status == "failed":
        return "refused"
    return "five" if api.existing("deployment/shop")["spec"]["replicas"] == SCALED else "three"


def _overlay(before: Before, api: Api) -> str:
    sets = [item for item in api.list("ReplicaSet") if item["metadata"]["name"].startswith("production-plain-")]
    return "replaced" if len(sets) > 1 else "old"


QUESTIONS = (
    Question(
        "typed",
        "You install the chart with replicas=three. Who notices the mistake?",
        {
            "helm": Option("Helm, before it sends anything", "this chart says of which type each value must be"),
            "server": Option("the API server", "It would, but the Deployment never gets there."),
            "nobody": Option(
                "nobody: the chart's default is used",
                "A default stands in for a value that is missing.",
            ),
        },
        _typed,
    ),
    Question(
        "memory",
        "Tomorrow a colleague will undo an upgrade of yours, from another machine. Where does Helm keep what it needs "
        "for that?",
        {
            "files": Option("in files on your machine", "Then your colleague's Helm could not know of it."),
            "server": Option(
                "in a Helm server that runs in the cluster",
                "Helm 2 had one, named Tiller. Since Helm 3 nothing of Helm runs in the cluster.",
            ),
            "secret": Option("in Secrets, beside the app", "one Secret for each revision of the release"),
        },
        _memory,
    ),
    Question(
        "missing",
        "Somebody deletes the Service of the release. Who creates it again?",
        {
            "helm": Option("Helm, after some seconds", "Helm is a command. Between two calls nothing of it runs."),
            "deployment": Option(
                "the Deployment's controller",
                "It takes care of Pods, through a ReplicaSet. It does not own the Service.",
            ),
            "nobody": Option("nobody, until the next upgrade", "no controller watches over a release"),
        },
        _missing,
    ),
    Question(
        "set-only",
        "Now you upgrade with --set image.tag=1.1.0 and nothing else. What happens to the three replicas and the "
        "greeting of production?",
        {
            "kept": Option(
                "they stay", "They would stay if you gave no value at all. As soon as you give one, you give them all."
            ),
            "defaults": Option(
                "they are lost: the chart's defaults apply again",
                "the values of an upgrade are the chart's defaults and what you give this time",
            ),
            "refused": Option("Helm refuses, because values are missing", "None is required: each has a default."),
        },
        _set_only,
    ),
    Question(
        "deployed",
        "The Pods of release 1.1.1 never become ready. You upgrade to it without any further option. What does Helm "
        "report?",
        {
            "deployed": Option(
                "STATUS: deployed", "without --wait, it means that the API server has accepted everything"
            ),
            "failed": Option("STATUS: failed", "For that, Helm must wait and see. It does so only if you ask for it."),
            "pending": Option(
                "STATUS: pending-upgrade, until the Pods are ready", "That is the status while the command runs."
            ),
        },
        _deployed,
    ),
    Question(
        "scaled",
        "A colleague scales shop to five with kubectl. The values say three, and you run the same upgrade again. What "
        "happens?",
        {
            "three": Option("Helm sets three again", "Helm 3 did so. Helm 4 asks the server who owns the field."),
            "five": Option(
                "five stay, because the values have not changed",
                "Helm sends what it wants in any case, and the server compares.",
            ),
            "refused": Option(
                "the upgrade fails", "another manager owns the field, and Helm does not take it by force"
            ),
        },
        _scaled,
    ),
    Question(
        "watches",
        "A release is installed. At night somebody deletes its Service with kubectl. What puts the Service back?",
        {
            "helm": Option("Helm", "Helm is a command. Between two calls nothing of it runs."),
            "nobody": Option("nothing, until somebody calls Helm again", "no controller watches over a release"),
            "server": Option("the API server", "It does as it is told, and was told to delete."),
        },
        "nobody",
    ),
    Question(
        "overlay",
        "The Pods read the greeting as a variable. You change it in the overlay and apply the overlay again. What do "
        "they say?",
        {
            "old": Option(
                "the old greeting, until somebody restarts them",
                "That was so in module 09, where the ConfigMap kept its name.",
            ),
            "replaced": Option(
                "the new greeting, because they are replaced",
                "the ConfigMap has a new name, so the Pod template has changed",
            ),
            "refused": Option(
                "nothing new: a ConfigMap that is in use can't be changed",
                "It can, unless it is marked as immutable.",
            ),
        },
        _overlay,
    ),
)
