"""Module 04, Health checks: what it asks."""

from __future__ import annotations

from k8s101.lesson.api.diagnose import pods_of, ready_endpoints
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.modules.health_checks_exercises import EXERCISES, restarts
from k8s101.lesson.quiz.bank import Before, Option, Question
from k8s101.lesson.quiz.checking import existing

__all__ = ["EXERCISES", "QUESTIONS"]


def _restarted(before: Before, pods: list[Object]) -> list[Object]:
    """Return the Pods of which a container was started again since the question was asked."""
    known = {uid: restarts(pod) for uid, pod in before.pods.items()}
    return [pod for pod in pods if restarts(pod) > known.get(pod["metadata"]["uid"], 0)]


def _not_ready(before: Before, api: Api) -> str:
    pods = pods_of(api, existing(api, "deployment/hello"))
    if {pod["metadata"]["uid"] for pod in pods} - before.pods.keys():
        return "replaced"
    if _restarted(before, pods):
        return "restarted"
    served = ready_endpoints(api, existing(api, "service/hello"))
    return "no-requests" if served < len(pods) else "failing"


def _unhealthy(before: Before, api: Api) -> str:
    pods = pods_of(api, existing(api, "deployment/hello"))
    if {pod["metadata"]["uid"] for pod in pods} - before.pods.keys():
        return "replaced"
    return "restarted" if _restarted(before, pods) else "no-requests"


def _noticed(before: Before, api: Api) -> str:
    found = {pod["metadata"]["name"] for pod in _restarted(before, api.list("Pod", "app=asked"))}
    three = {"asked-exec", "asked-grpc", "asked-http"}
    if found == three | {"asked-tcp"}:
        return "all"
    return "three" if found == three else "http"


def _slow_start(before: Before, api: Api) -> str:
    deployment = existing(api, "deployment/hello")
    fresh = [pod for pod in pods_of(api, deployment) if pod["metadata"]["uid"] not in before.pods]
    old = [pod for pod in pods_of(api, deployment) if pod["metadata"]["uid"] in before.pods and ready(pod)]
    if not fresh:
        return "undone"
    if not any(ready(pod) for pod in fresh) and any(restarts(pod) for pod in fresh) and old:
        return "killed"
    return "ends" if all(ready(pod) for pod in fresh) else "failing"


def _in_flight(before: Before, api: Api) -> str:
    totals = api.rest.call("GET", f"/api/v1/namespaces/{api.namespace}/services/loop:8001/proxy/totals")
    if totals["failed"] == 0:
        return "none"
    return "all" if totals["failed"] == totals["requests"] else "some"


def _neighbour(before: Before, api: Api) -> str:
    pods = pods_of(api, existing(api, "deployment/web"))
    if {pod["metadata"]["uid"] for pod in pods} - before.pods.keys():
        return "replaced"
    if pods and len(_restarted(before, pods)) == len(pods):
        return "restarted"
    return "nothing" if all(ready(pod) for pod in pods) else "no-requests"


QUESTIONS = (
    Question(
        "endpoints",
        "A Pod's readiness probe fails. What happens to it?",
        {
            "restarted": Option("it is restarted", "That is what a failing liveness probe does."),
            "endpoints": Option(
                "it leaves the endpoints of its Services", "it gets no requests until the probe passes again"
            ),
            "deleted": Option("it is deleted and replaced", "A Pod that is not ready still counts as running."),
        },
        "endpoints",
    ),
    Question(
        "not-ready",
        "One of three Pods says that it can't take requests now. What happens to it?",
        {
            "restarted": Option(
                "its container is restarted", "This probe restarts nothing: the app may be busy, not broken."
            ),
            "replaced": Option(
                "it is deleted and another one is created", "The Pod exists and runs; nothing has to be replaced."
            ),
            "no-requests": Option(
                "it runs on, without requests", "it has left the endpoints of the Service, and may come back"
            ),
            "failing": Option("it runs on, and requests to it fail", "The Service no longer sends any request to it."),
        },
        _not_ready,
    ),
    Question(
        "unhealthy",
        "The same Pod now says that it does not work any more. What happens to it?",
        {
            "restarted": Option(
                "its container is restarted",
                "the kubelet restarts it where it is; the Pod keeps name, node and address",
            ),
            "replaced": Option(
                "it is deleted and another one is created", "The Pod stays: only its container is broken."
            ),
            "no-requests": Option("it runs on, without requests", "That is readiness; liveness goes further."),
        },
        _unhealthy,
    ),
    Question(
        "noticed",
        "All four apps say that they do not work any more, and all four keep listening on their port. Which probes "
        "notice?",
        {
            "all": Option("all four", "One of them never asks the app anything: it only opens a connection."),
            "http": Option("only the HTTP probe", "A gRPC call and a command can ask the app as well."),
            "three": Option("all but the TCP probe", "a stuck app still accepts connections: the kernel does it"),
        },
        _noticed,
    ),
    Question(
        "slow-start",
        "A new release needs four seconds to start, and the liveness probe gives up after two. What becomes of its "
        "rollout?",
        {
            "ends": Option("it ends after four seconds", "No container gets four seconds: it is killed before."),
            "killed": Option(
                "its containers are killed again and again", "none lives long enough to start; the old Pods serve on"
            ),
            "failing": Option("requests fail until it has started", "Old Pods stay until new ones are ready."),
            "undone": Option("Kubernetes undoes it", "Kubernetes waits and reports; to undo it is your decision."),
        },
        _slow_start,
    ),
    Question(
        "in-flight",
        "All three Pods are replaced, step by step, while ten requests are in flight. How many requests fail?",
        {
            "none": Option("none", "A rolling update waits for new Pods to be ready, not for requests to end."),
            "some": Option("some", "this app drops what is in flight, and nodes still send it new requests"),
            "all": Option("all", "New Pods are ready before old ones stop."),
        },
        _in_flight,
    ),
    Question(
        "neighbour",
        "The database db is away for a few seconds. All three copies of web work as before. What happens to them?",
        {
            "nothing": Option("nothing: web works", "The probe does not ask web, it asks db."),
            "no-requests": Option(
                "they leave the endpoints until db is back",
                "A readiness probe would do that; this is a liveness probe.",
            ),
            "restarted": Option(
                "all three are restarted", "each liveness probe fails, and no restart of web brings db back"
            ),
            "replaced": Option(
                "one after the other is replaced", "Probes know nothing of each other, and they replace no Pod."
            ),
        },
        _neighbour,
    ),
)
