"""Module 20, Security: what it asks."""

from __future__ import annotations

from k8s101.lesson.api.names import ready
from k8s101.lesson.api.session import Api
from k8s101.lesson.modules.security_exercises import EXERCISES, LAB, app_may, may
from k8s101.lesson.quiz.bank import Before, Option, Question

__all__ = ["EXERCISES", "QUESTIONS"]

SHOP = ("shop", "system:authenticated")
"""The groups of anna's certificate."""


def _logs(before: Before, api: Api) -> str:
    return "yes" if may(api, "anna", "get", "pods/log", api.namespace, groups=SHOP) else "no"


def _as_anna(before: Before, api: Api) -> str:
    return "yes" if may(api, "anna", "create", "deployments.apps", api.namespace) else "no"


def _old_token(before: Before, api: Api) -> str:
    if app_may(api, "admin-user", api.namespace, "delete", "nodes", "kube-system"):
        return "everything"
    return "reads" if app_may(api, "admin-user", api.namespace, "list", "pods") else "nothing"


def _running(before: Before, api: Api) -> str:
    pods = api.rest.list("Pod", LAB, "app=intruder")
    if not pods:
        return "deleted"
    return "runs" if any(ready(pod) for pod in pods) else "stopped"


QUESTIONS = (
    Question(
        "user-object",
        "A new colleague, anna, should use this cluster. Which object do you create, so that the cluster knows her?",
        {
            "user": Option("a User", "There is no such kind. The API server keeps no list of people."),
            "account": Option(
                "a ServiceAccount", "That is an identity for programs. It lives in a namespace, and Pods use it."
            ),
            "none": Option("none", "her name comes with each request, in something that the API server can verify"),
            "role": Option("a Role", "A Role says what may be done. It does not say who somebody is."),
        },
        "none",
    ),
    Question(
        "first-day",
        "Anna's certificate is valid. What may she do?",
        {
            "all": Option("everything", "That holds for the group system:masters. Her group is shop."),
            "read": Option("read, but change nothing", "Reading must be granted, too."),
            "nothing": Option("almost nothing", "the API server knows who she is, and nobody has granted her anything"),
        },
        "nothing",
    ),
    Question(
        "logs",
        "The Role lets the team get, list and watch Pods. May anna read the log of a Pod?",
        {
            "yes": Option("yes", "The log is a resource of its own, pods/log, and the Role does not name it."),
            "own": Option(
                "only of Pods that she created", "RBAC knows kinds and names. It does not ask who created an object."
            ),
            "no": Option("no", "the log is a subresource, pods/log, and needs a rule of its own"),
        },
        _logs,
    ),
    Question(
        "as-anna",
        "Anna has created a Deployment. What does `kubectl auth can-i create deployments --as=anna` say?",
        {
            "yes": Option("yes", "Her right comes from the group shop, and this command names no group."),
            "no": Option("no", "her right comes from the group shop, and --as=anna alone names no group"),
            "refused": Option(
                "an error, because only Anna may ask that",
                "An administrator may act as anybody, and a Role can allow it to others.",
            ),
        },
        _as_anna,
    ),
    Question(
        "no-account",
        "`kubectl run client` says nothing about accounts. With which identity does the program in this Pod call the "
        "API?",
        {
            "you": Option(
                "that of whoever created the Pod", "A Pod goes on when you have left. It never gets your identity."
            ),
            "nobody": Option("with none", "Every Pod gets an identity, unless its manifest says otherwise."),
            "node": Option("that of its node", "The kubelet has an identity of its own, and does not lend it to Pods."),
            "default": Option(
                "that of the ServiceAccount default",
                "every namespace has one, and Pods without an account of their own use it",
            ),
        },
        "default",
    ),
    Question(
        "bound",
        "A token is valid for an hour and bound to Pod client. You delete the Pod. Does the token still work?",
        {
            "hour": Option(
                "yes, until the hour is over", "The API server also looks for the Pod that the token names."
            ),
            "others": Option(
                "yes, in the account's other Pods", "It names one Pod, and each Pod has a token of its own."
            ),
            "nothing": Option("no", "the API server looks for the Pod that the token names, and finds none"),
        },
        "nothing",
    ),
    Question(
        "old-token",
        "You delete the ClusterRoleBinding. Somebody has copied the account's token, which is valid for an hour. What "
        "can they still do?",
        {
            "everything": Option(
                "everything, for an hour", "A token says only who somebody is. Rights are looked up at each request."
            ),
            "reads": Option("read, for an hour", "A token holds no rights, so it can't keep some of them."),
            "nothing": Option(
                "nothing that the binding allowed", "rights are not in the token: they are looked up at each request"
            ),
        },
        _old_token,
    ),
    Question(
        "unsaid",
        "The manifest of Pod usual says nothing about users. As which user does its program run?",
        {
            "you": Option("as you", "The container does not know who you are on your machine."),
            "nobody": Option(
                "as a user without rights", "Only if the image or the manifest says so. Here neither does."
            ),
            "root": Option("as root", "unless image or manifest name another user, it is user 0"),
        },
        "root",
    ),
    Question(
        "running",
        "Pod intruder runs. Now its namespace enforces the level restricted. What happens to the Pod?",
        {
            "deleted": Option("it is deleted", "Admission checks requests. It does not look at what exists already."),
            "stopped": Option("its container is stopped", "The kubelet does not know about the label."),
            "runs": Option("it runs on", "the level is checked when a Pod is created"),
        },
        _running,
    ),
    Question(
        "audit-name",
        "You are kubernetes-admin and ask for Secrets with --as=anna. Which name does the audit log have?",
        {
            "you": Option("yours only", "The log also notes as whom you acted."),
            "anna": Option("anna's only", "Then the log would blame anna for what you did."),
            "both": Option("both", "the log notes who sent the request, and as whom"),
        },
        "both",
    ),
)
