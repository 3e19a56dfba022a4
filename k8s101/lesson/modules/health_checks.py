"""Module 04, Health checks: what it asks and how its exercises are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import requests

from k8s101.errors import Problem
from k8s101.lesson.api.diagnose import pods_of, ready_endpoints
from k8s101.lesson.api.forward import Forward, open_forward
from k8s101.lesson.api.names import ready, version
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import poll, rolled_out
from k8s101.lesson.modules.health_checks_leaving import leave
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Option, Question
from k8s101.lesson.quiz.checking import begun, existing, expect, fine, settles

START_SECONDS, REACTION_SECONDS = 40, 15
"""How long a slow start, and a probe's notice, may take."""

REPORT_SECONDS, SERVE_ON_SECONDS, MOST_GRACE_SECONDS = 6, 2, 15
KILLED = 128 + 9
"""What exercise 2 asks of a Pod that leaves."""


def _restarts(pod: Object) -> int:
    return sum(entry["restartCount"] for entry in pod["status"].get("containerStatuses") or [])


def _restarted(before: Before, pods: list[Object]) -> list[Object]:
    """Return the Pods of which a container was started anew since the question was asked."""
    known = {uid: _restarts(pod) for uid, pod in before.pods.items()}
    return [pod for pod in pods if _restarts(pod) > known.get(pod["metadata"]["uid"], 0)]


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


def _slow_start(before: Before, api: Api) -> str:
    deployment = existing(api, "deployment/hello")
    fresh = [pod for pod in pods_of(api, deployment) if pod["metadata"]["uid"] not in before.pods]
    old = [pod for pod in pods_of(api, deployment) if pod["metadata"]["uid"] in before.pods and ready(pod)]
    if not fresh:
        return "undone"
    if not any(ready(pod) for pod in fresh) and any(_restarts(pod) for pod in fresh) and old:
        return "killed"
    return "ends" if all(ready(pod) for pod in fresh) else "failing"


def _under_way(before: Before, api: Api) -> str:
    totals = api.rest.call("GET", f"/api/v1/namespaces/{api.namespace}/services/loop:8001/proxy/totals")
    if totals["failed"] == 0:
        return "none"
    return "all" if totals["failed"] == totals["requests"] else "some"


def _neighbour(before: Before, api: Api) -> str:
    pods = pods_of(api, existing(api, "deployment/web"))
    if {pod["metadata"]["uid"] for pod in pods} - before.pods.keys():
        return "replaced"
    if len(_restarted(before, pods)) == len(pods):
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
        "One of three Pods says that it cannot take requests now. What happens to it?",
        {
            "restarted": Option(
                "its container starts anew", "This probe kills nothing: the app may be busy, not broken."
            ),
            "replaced": Option(
                "it is deleted and another one comes", "The Pod exists and runs; nothing has to be replaced."
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
                "its container starts anew", "the kubelet restarts it where it is; the Pod keeps name, node and address"
            ),
            "replaced": Option("it is deleted and another one comes", "The Pod stays: only its container is broken."),
            "no-requests": Option("it runs on, without requests", "That is readiness; liveness goes further."),
        },
        _unhealthy,
    ),
    Question(
        "slow-start",
        "A new release needs five seconds to start; liveness gives up after two. What becomes of its rollout?",
        {
            "ends": Option("it ends after about five seconds", "No container gets five seconds: it is killed before."),
            "killed": Option(
                "its containers are killed again and again", "none lives long enough to start; the old Pods serve on"
            ),
            "failing": Option("requests fail until it has started", "Old Pods stay until new ones are ready."),
            "undone": Option("Kubernetes takes it back", "Kubernetes reports and waits; going back is your decision."),
        },
        _slow_start,
    ),
    Question(
        "under-way",
        "All three Pods are replaced while ten requests are under way. How many requests fail?",
        {
            "none": Option("none", "A rolling update waits for new Pods to be ready, not for old requests to end."),
            "some": Option("some", "this app drops what is under way, and nodes still sent it new requests"),
            "all": Option("all", "New Pods are ready before old ones go."),
        },
        _under_way,
    ),
    Question(
        "neighbour",
        "The database db goes away for a moment. What happens to the three copies of web, which are well?",
        {
            "nothing": Option("nothing: web is well", "The probe does not ask web, it asks db."),
            "no-requests": Option(
                "they leave the endpoints until db is back",
                "A readiness probe would do that; this is a liveness probe.",
            ),
            "restarted": Option(
                "all three start anew", "each liveness probe fails, and no restart of web brings db back"
            ),
            "replaced": Option(
                "one after the other is replaced", "Probes know nothing of each other, and they replace no Pod."
            ),
        },
        _neighbour,
    ),
)


def _slow(api: Api) -> Iterator[Finding]:
    trouble = _killed_at_start(api)
    yield fine(trouble, "slow starts in peace")
    pods = [pod for pod in pods_of(api, existing(api, "deployment/slow")) if ready(pod)]
    yield expect(len(pods) > 1, f"{len(pods)} Pods are ready", "there is one Pod, the task wants two")
    stuck, busy = pods[:2]
    with _told(stuck, "/healthz?healthy="), _told(busy, "/readyz?ready="):
        yield expect(
            _reacts(stuck, lambda pod: _restarts(pod) > _restarts(stuck)),
            "a container that is stuck starts anew",
            f"a container that is stuck does not start anew: its liveness probe asks {_asks(stuck, 'livenessProbe')}",
        )
        yield expect(
            _reacts(busy, lambda pod: not ready(pod) and _restarts(pod) == _restarts(busy)),
            "a Pod that is busy gets no requests, and is left alone",
            f"a Pod that is busy still gets requests: its readiness probe asks {_asks(busy, 'readinessProbe')}",
        )


def _killed_at_start(api: Api) -> str | None:
    """Wait until all Pods of slow are ready; return the cause if they do not get so far."""
    earlier = {pod["metadata"]["uid"]: _restarts(pod) for pod in pods_of(api, existing(api, "deployment/slow"))}

    def ended(item: Object | None) -> str | None:
        pods = pods_of(api, item) if item else []
        killed = any(_restarts(pod) > earlier.get(pod["metadata"]["uid"], 0) for pod in pods)
        return "killed" if killed else rolled_out(item)

    try:
        if poll("deployment/slow", ended, START_SECONDS, "ready") != "killed":
            return None
    except Problem as problem:
        return problem.found
    probe = existing(api, "deployment/slow")["spec"]["template"]["spec"]["containers"][0].get("startupProbe")
    if probe is None:
        return "its containers are killed while they start: there is no startup probe"
    seconds = probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)
    return f"its containers are killed while they start: the startup probe gives up after {seconds} s"


def _asks(pod: Object, probe: str) -> str:
    return str(pod["spec"]["containers"][0].get(probe, {}).get("httpGet", {}).get("path", "nothing"))


def _door(pod: Object) -> Forward:
    return open_forward(f"pod/{pod['metadata']['name']}", 8000)


@contextmanager
def _told(pod: Object, message: str) -> Iterator[None]:
    """Have the app in a Pod answer a probe with no, for as long as the block runs."""
    with _door(pod) as door:
        door.post(f"{message}false")
    try:
        yield
    finally:
        # a container that was started anew has forgotten it, and may not answer yet
        with suppress(Problem, requests.RequestException), _door(pod) as door:
            door.post(f"{message}true")


def _reacts(pod: Object, test: Callable[[Object], bool]) -> bool:
    """Tell whether the cluster reacts to what an app answers."""
    name = f"pod/{pod['metadata']['name']}"
    try:
        poll(name, lambda item: "yes" if item and test(item) else None, REACTION_SECONDS, "")
    except Problem:
        return False
    return True


def _report(api: Api) -> Iterator[Finding]:
    yield settles("deployment/report", "the Pods of report are ready")
    pods = [pod for pod in pods_of(api, existing(api, "deployment/report")) if ready(pod)]
    others = sorted({version(pod) for pod in pods} - {"1.1.0"})
    yield expect(not others, "they run 1.1.0", f"they run {', '.join(others)}, the task wants 1.1.0")
    yield expect(len(pods) > 1, f"there are {len(pods)}", "there is one Pod, the task wants two")
    grace = pods[0]["spec"]["terminationGracePeriodSeconds"]
    wrong = f"a Pod may take {grace} s to leave, the task allows {MOST_GRACE_SECONDS}"
    yield expect(grace <= MOST_GRACE_SECONDS, f"a Pod leaves within {grace} s", wrong)
    yield from _leaves(api, pods[0], grace)


def _leaves(api: Api, pod: Object, grace: int) -> Iterator[Finding]:
    """Delete a Pod while it works on reports; see whether they and new requests are answered."""
    left = leave(api, pod, REPORT_SECONDS)
    yield expect(
        left.served_on >= SERVE_ON_SECONDS,
        f"a Pod that leaves serves on for {SERVE_ON_SECONDS} s",
        "a Pod that leaves refuses new requests at once: nothing holds back the end of its app",
    )
    wrong = f"the report under way was cut off: preStop and the report together do not fit into {grace} s"
    if left.exit_code not in (0, KILLED):
        wrong = f"the report under way was cut off by the app itself (exit code {left.exit_code})"
    yield expect(left.exit_code == 0, "the report that was under way arrived", wrong)


EXERCISES = (
    Exercise(
        "slow",
        begun("Deployment", "slow"),
        _slow,
        (
            "Three questions: has it started, does it still work, can it take requests? Which path answers which?",
            "The startup probe asks once a second; how often may it fail before the app has had its four seconds? "
            "Leave some room for a busy machine.",
            'tries=30, alive="/healthz", ready="/readyz"',
        ),
    ),
    Exercise(
        "report",
        begun("Deployment", "report"),
        _report,
        (
            "Two things must not happen too early: the end of the app, and the end of the whole Pod's patience.",
            'kubectl("explain pod.spec.containers.lifecycle.preStop") and '
            'kubectl("explain pod.spec.terminationGracePeriodSeconds") name the two fields.',
            "preStop with sleep 3, and terminationGracePeriodSeconds 15: more than 3 + 6, not more than is allowed.",
        ),
    ),
)
