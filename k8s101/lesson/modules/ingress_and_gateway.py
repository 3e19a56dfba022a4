"""Module 13, Ingress and Gateway: what it asks."""

from __future__ import annotations

from k8s101.lesson.api.session import Api
from k8s101.lesson.modules.ingress_and_gateway_exercises import EXERCISES, GATEWAY, INGRESS, NEXT, STABLE, asker
from k8s101.lesson.quiz.bank import Before, Option, Question, among

__all__ = ["EXERCISES", "QUESTIONS"]

CALLS = 100
WEIGHT = 10
"""The weight of the canary, of a hundred."""


def _no_controller(before: Before, api: Api) -> str:
    if api.get("ingress/echo") is None:
        return "refused"
    return "served" if api.list("IngressClass") else "nothing"


def _prefix(before: Before, api: Api) -> str:
    ((_, version),) = asker(INGRESS)("shop.test", path="/somethingelse")
    if version == NEXT:
        return "next"
    return "hello" if version == STABLE else "nobody"


def _empty(before: Before, api: Api) -> str:
    ((status, _),) = asker(INGRESS)("empty.test")
    return among(status, {404: "404", 502: "502", 503: "503"})


def _dialect(before: Before, api: Api) -> str:
    ((status, version),) = asker(INGRESS)("old.test", path="/app")
    if status == 200:
        return "cut"
    return "whole" if version else "refused"


def _weights(before: Before, api: Api) -> str:
    answers = asker(GATEWAY)("shop.test", CALLS)
    share = sum(version == NEXT for _, version in answers)
    if abs(share - WEIGHT) <= 1:
        return "exact"
    return "pods" if share > 2 * WEIGHT else "chance"


def _copies(before: Before, api: Api) -> str:
    failed = sum(status >= 500 for status, _ in asker(GATEWAY)("dark.test", WEIGHT))
    if not failed:
        return "none"
    return "all" if failed == WEIGHT else "half"


QUESTIONS = (
    Question(
        "no-controller",
        "Nothing in this cluster serves Ingresses yet. You apply one. What happens?",
        {
            "refused": Option(
                "the API server refuses it", "The API server knows the kind. It does not ask whether anybody serves it."
            ),
            "served": Option(
                "it works, because kube-proxy forwards the requests",
                "kube-proxy forwards connections to Services. It never looks at a host name.",
            ),
            "nothing": Option(
                "it is stored, and nothing else happens", "an Ingress is only data until a controller reads it"
            ),
        },
        _no_controller,
    ),
    Question(
        "prefix",
        "The rule for /something has the type Prefix. Which app gets a request for /somethingelse?",
        {
            "next": Option(
                "next, because the path begins with /something",
                "Prefix compares the parts between slashes, and somethingelse is another word than something.",
            ),
            "hello": Option("hello, by the rule for /", "Prefix compares whole parts between slashes, not letters"),
            "nobody": Option("none: the controller answers 404", "The rule for / matches every path of this host."),
        },
        _prefix,
    ),
    Question(
        "empty",
        "Behind empty.test is a Service that selects no Pod. With which status is a request answered?",
        {
            "404": Option("404, not found", "There is a rule for this host, so the controller knows where to go."),
            "502": Option("502, bad gateway", "For that, the controller must have tried to reach a Pod."),
            "503": Option("503, unavailable", "the rule leads to a Service, and no Pod is there to be asked"),
        },
        _empty,
    ),
    Question(
        "renew",
        "The certificate has expired. You put a new one into the Secret. What must be restarted?",
        {
            "controller": Option("the ingress controller", "It watches Secrets, as it watches Ingresses and Services."),
            "app": Option("the Pods of hello", "They never see the certificate: the controller ends the encryption."),
            "nothing": Option("nothing", "the controller watches the Secret and uses the new certificate at once"),
        },
        "nothing",
    ),
    Question(
        "dialect",
        "Traefik now serves the Ingress old, whose annotation says that /app is cut off. You ask for /app. Which path "
        "does Traefik ask hello for?",
        {
            "cut": Option("/, as the annotation says", "That annotation belongs to ingress-nginx."),
            "whole": Option("/app, as you asked", "a controller passes over annotations that are not its own"),
            "refused": Option(
                "nothing, because Traefik refuses the Ingress",
                "An annotation is free text. Nobody has to understand it.",
            ),
        },
        _dialect,
    ),
    Question(
        "weights",
        "hello has three Pods and the weight 90, next one Pod and the weight 10. How many of 400 requests reach it?",
        {
            "exact": Option("40", "weights count requests, and the proxy takes turns by weight"),
            "pods": Option(
                "100, one in four", "That is how a Service shares out connections: by the number of its Pods."
            ),
            "chance": Option(
                "somewhere between 25 and 55, by chance",
                "Some proxies draw for each request. This one takes turns, in proportion to the weights.",
            ),
        },
        _weights,
    ),
    Question(
        "copies",
        "Release 1.1.1 gets a copy of each request for dark.test and answers with 500. How many of the users see that?",
        {
            "all": Option("all", "The answer that a user gets comes from hello."),
            "half": Option("half of them", "Requests are copied, not shared out: each user is answered by hello."),
            "none": Option("none", "the proxy throws the answers to copies away"),
        },
        _copies,
    ),
)
