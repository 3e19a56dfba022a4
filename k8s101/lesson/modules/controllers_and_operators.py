"""Module 16, Controllers and operators: what it asks."""

from __future__ import annotations

from k8s101.lesson.api.names import ready
from k8s101.lesson.api.session import Api
from k8s101.lesson.modules.controllers_and_operators_exercises import EXERCISES, is_ready
from k8s101.lesson.quiz.bank import Before, Option, Question

__all__ = ["EXERCISES", "QUESTIONS"]


def _missed(before: Before, api: Api) -> str:
    found = {item["metadata"]["name"] for item in api.list("Deployment", "loop=yes")}
    if found == {"blue", "green"}:
        return "all"
    return "new" if "green" in found else "none"


def _rebuilt(before: Before, api: Api) -> str:
    now = {pod["metadata"]["uid"] for pod in api.list("Pod", "site=shop") if ready(pod)}
    if not now:
        return "lost"
    return "same" if now & before.pods.keys() else "new"


def _finalizer(before: Before, api: Api) -> str:
    site = api.get("site/shop")
    if site is None:
        return "gone"
    return "waits" if "deletionTimestamp" in site["metadata"] else "refused"


def _crd(before: Before, api: Api) -> str:
    kind = api.rest.get("customresourcedefinition", "sites.k8s101.test", "")
    if kind is None:
        return "gone"
    return "stuck" if "deletionTimestamp" in kind["metadata"] else "refused"


def _verb(before: Before, api: Api) -> str:
    site = api.get("site/shop")
    if site is None:
        return "refused"
    if not any(ready(pod) for pod in api.list("Pod", "app=site-operator")):
        return "crashes"
    return "served" if is_ready(site) else "runs"


def _policy(before: Before, api: Api) -> str:
    site = api.get("site/lima")
    if site is None:
        return "deleted"
    return "stays" if site["spec"]["replicas"] == 1 else "scaled"


QUESTIONS = (
    Question(
        "missed",
        "The loop does not run. You delete Deployment blue and ConfigMap red, and create ConfigMap green. Then you "
        "start the loop again. What does it do?",
        {
            "none": Option(
                "nothing, because all three events are over",
                "It does not need the events. It compares what exists with what is wanted.",
            ),
            "new": Option(
                "it creates green, and knows nothing of the two deletions",
                "What was deleted shows in the comparison: something is missing, or nobody wants it any more.",
            ),
            "all": Option("it creates blue and green and deletes red", "it compares what is wanted with what exists"),
        },
        _missed,
    ),
    Question(
        "rebuilt",
        "You delete the Deployment of shop. The operator is running. What do you find a few seconds later?",
        {
            "lost": Option(
                "no Deployment: you deleted it yourself", "Nobody asks who deleted it. The Site still wants it."
            ),
            "same": Option(
                "the Deployment, with the same Pods",
                "Pods whose owner is deleted are deleted, too, and a deleted Pod never comes back.",
            ),
            "new": Option(
                "a new Deployment with new Pods", "the operator heard of a change, compared, and found one missing"
            ),
        },
        _rebuilt,
    ),
    Question(
        "finalizer",
        "The operator has crashed. You delete Site shop. What happens?",
        {
            "gone": Option(
                "the Site and all its parts are deleted",
                "Its finalizer is there, and only the operator removes it.",
            ),
            "refused": Option(
                "the API server refuses the deletion", "It accepts the deletion, and notes the time in the object."
            ),
            "waits": Option(
                "the Site is marked for deletion, and stays",
                "an object is deleted when its last finalizer is removed",
            ),
        },
        _finalizer,
    ),
    Question(
        "crd",
        "Somebody deletes the definition of the kind Site while the operator is not running. Then the operator starts "
        "again. What do you find?",
        {
            "refused": Option(
                "the deletion was refused, because there are Sites",
                "The API server accepts it. Deleting a kind deletes all its objects.",
            ),
            "gone": Option(
                "the operator removes the finalizers, and the kind is deleted",
                "It would, if it served the kind. Look at what kopf says, and at the verbs.",
            ),
            "stuck": Option(
                "the kind and its Sites stay, marked for deletion",
                "kopf serves only kinds that offer the verb patch; a kind that is being deleted no longer offers it",
            ),
        },
        _crd,
    ),
    Question(
        "verb",
        "The operator runs in the cluster, and its Role lacks one verb: it may create Services, but not patch them. "
        "What do you see?",
        {
            "refused": Option(
                "the API server refuses the Site",
                "You may create Sites. The operator's rights do not matter then.",
            ),
            "crashes": Option(
                "the operator's Pod does not start",
                "The kubelet starts it. Nobody checks beforehand which rights it needs.",
            ),
            "runs": Option(
                "the operator runs, and the Site does not become ready", "only the request itself is refused, with 403"
            ),
            "served": Option(
                "the Site becomes ready all the same", "Whoever applies an object needs both verbs, create and patch."
            ),
        },
        _verb,
    ),
    Question(
        "policy",
        "A policy now asks for at least two replicas of each Site. Site lima has one. What happens to it?",
        {
            "deleted": Option("it is deleted", "A policy deletes nothing. It looks at requests."),
            "scaled": Option("it is scaled to two", "A validating policy changes nothing: it accepts or refuses."),
            "stays": Option("it stays as it is", "admission looks at requests, and nobody has sent one for lima"),
        },
        _policy,
    ),
)
