"""Module 15, Service mesh: what it asks."""

from __future__ import annotations

from k8s101.lesson.api.session import Api
from k8s101.lesson.modules.service_mesh_exercises import EXERCISES, lookups
from k8s101.lesson.quiz.bank import Before, Option, Question

__all__ = ["EXERCISES", "QUESTIONS"]


def _injected(before: Before, api: Api) -> str:
    deployment = api.get("deployment/shop")
    if deployment and deployment["spec"]["template"]["spec"].get("initContainers"):
        return "template"
    return "pods" if any(pod["spec"].get("initContainers") for pod in api.list("Pod", "app=shop")) else "nothing"


def _cached(before: Before, api: Api) -> str:
    return "once" if len(set(lookups(api, "cached", "something/3", 2))) == 1 else "twice"


QUESTIONS = (
    Question(
        "injected",
        "The namespace has the label, and you restart the three Deployments. Where do you find the proxy afterwards?",
        {
            "template": Option(
                "in the Pod template of each Deployment",
                "Nobody has changed the Deployments. Their manifests are yours.",
            ),
            "pods": Option("in the Pods only", "the API server adds it to each Pod on its way into etcd"),
            "nothing": Option(
                "nowhere, because the manifests do not mention it",
                "Somebody else may complete an object before it is stored.",
            ),
        },
        _injected,
    ),
    Question(
        "spans",
        "hello needs 0.2 s for an answer, all others are fast. Which spans of the trace last 0.2 s or longer?",
        {
            "hello": Option("only hello's", "Who asks has to wait for the answer, and waiting counts."),
            "outermost": Option(
                "only the outermost, shop's", "The time is spent inside, so each span around it lasts as long."
            ),
            "all": Option("all of them", "each span contains those that it waits for"),
        },
        "all",
    ),
    Question(
        "drawn",
        "The weights are 90 and 10. Traefik took turns in module 13. How many of 400 requests get 2.0.0 from Envoy?",
        {
            "exactly": Option(
                "exactly 40", "For that, Envoy would have to take turns. It draws a random number for each request."
            ),
            "near": Option("about 40, another number each time", "Envoy draws a random number for each request"),
            "pods": Option("200, because each release has one Pod", "The weights decide, not the number of Pods."),
        },
        "near",
    ),
    Question(
        "retries",
        "One of four copies answers 500 each time. After an error, the proxy may now ask up to two other copies. "
        "How many of 100 requests fail for the user?",
        {
            "quarter": Option(
                "25, as before", "An error no longer goes to the user at once: another copy is asked first."
            ),
            "few": Option(
                "one or two",
                "It would be so if the next try could reach the bad copy again. Here it asks one it has not asked yet.",
            ),
            "none": Option("none", "the second try goes to one of the good copies"),
        },
        "none",
    ),
    Question(
        "open",
        "The only copy of release 1.1.1 has failed three times in a row. What does the next request for it get?",
        {
            "app": Option(
                "500 from the app, as before", "The proxy has counted, and it does not ask this copy any more."
            ),
            "waits": Option(
                "nothing until a timeout", "Waiting for something that is broken is what a circuit breaker avoids."
            ),
            "refused": Option("503 from the proxy at once", "there is no copy left that may be asked"),
        },
        "refused",
    ),
    Question(
        "around",
        "visitor asks the Pod of hello at its own address and the app's own port. It uses no Service and has no proxy. "
        "What does it get?",
        {
            "answer": Option(
                "an answer: the app listens on that port", "The app does listen, but the connection does not reach it."
            ),
            "closed": Option("no answer", "the redirect leads each connection from outside the Pod to the proxy"),
            "forbidden": Option("403", "A status needs a connection. This one fails before any HTTP is spoken."),
        },
        "closed",
    ),
    Question(
        "stranger",
        "shop has a valid certificate of the mesh. It asks hello, which it has never needed. What does it get?",
        {
            "answer": Option(
                "200: it has shown who it is", "That was enough before. The new rule asks what it may do."
            ),
            "unauthorized": Option("401", "401 means: I do not know who you are. The certificate has told that."),
            "forbidden": Option("403", "it is known, and it may not do this"),
        },
        "forbidden",
    ),
    Question(
        "cached",
        "You ask cached twice for the same page, at the port of the app. How often does the app look it up?",
        {
            "never": Option("not at all", "The cache is empty at first, so it has to ask the app once."),
            "once": Option("once", "the second answer comes from the cache, which the app does not know"),
            "twice": Option(
                "twice, because the Service leads to the app's port",
                "The Service does, but inside the Pod a rule leads elsewhere.",
            ),
        },
        _cached,
    ),
)
