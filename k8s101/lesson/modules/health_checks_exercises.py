"""Module 04, Health checks: how its exercises are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import requests

from k8s101.errors import Problem
from k8s101.lesson.api.diagnose import pods_of
from k8s101.lesson.api.forward import Forward, open_forward
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import poll, rolled_out, settled
from k8s101.lesson.modules.health_checks_leaving import leave
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import begun, existing, expect, fine, same_version, settles

START_SECONDS, REACTION_SECONDS = 40, 20
"""How long a slow start, and what a probe leads to, may take."""

QUIET_SECONDS = 5
"""How long nothing may restart: more than the liveness probe of exercise 3 needs until it gives up."""

REPORT_SECONDS, SERVE_ON_SECONDS, MOST_GRACE_SECONDS = 3, 2, 10
"""What exercise 2 asks of a Pod that leaves."""

KILLED = 128 + 9

BASKET_FAULTS = (8080, "/health")
"""The port and the path that probes of exercise 3 ask for at first."""


def restarts(pod: Object) -> int:
    """Return how often containers of a Pod were started again."""
    return sum(entry["restartCount"] for entry in pod["status"].get("containerStatuses") or [])


def _slow(api: Api) -> Iterator[Finding]:
    yield fine(_killed_at_start(api), "slow starts without being killed")
    pods = [pod for pod in pods_of(api, existing(api, "deployment/slow")) if ready(pod)]
    yield expect(len(pods) > 1, f"{len(pods)} Pods are ready", "there is one Pod, the task wants two")
    stuck, busy = pods[:2]
    with _told(stuck, "/healthz?healthy="), _told(busy, "/readyz?ready="):
        yield expect(
            _is_restarted(stuck),
            "a container that is stuck is restarted",
            f"a container that is stuck is not restarted: its liveness probe asks {_asks(stuck, 'livenessProbe')}",
        )
        yield expect(
            _reacts(busy, lambda pod: not ready(pod) and restarts(pod) == restarts(busy)),
            "a Pod that is busy gets no requests, and is not restarted",
            f"a Pod that is busy still gets requests: its readiness probe asks {_asks(busy, 'readinessProbe')}",
        )


def _killed_at_start(api: Api) -> str | None:
    """Wait until all Pods of slow are ready; return the cause if they do not get so far."""
    earlier = {pod["metadata"]["uid"]: restarts(pod) for pod in pods_of(api, existing(api, "deployment/slow"))}

    def ended(item: Object | None) -> str | None:
        pods = pods_of(api, item) if item else []
        killed = any(restarts(pod) > earlier.get(pod["metadata"]["uid"], 0) for pod in pods)
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
        # a container that was restarted has forgotten it, and may not answer yet
        with suppress(Problem, requests.RequestException), _door(pod) as door:
            door.post(f"{message}true")


def _reacts(pod: Object, test: Callable[[Object], bool], seconds: float | None = None) -> bool:
    """Tell whether a Pod comes to be so before the deadline."""
    name = f"pod/{pod['metadata']['name']}"
    seconds = REACTION_SECONDS if seconds is None else seconds
    try:
        poll(name, lambda item: "yes" if item and test(item) else None, seconds, "")
    except Problem:
        return False
    return True


def _is_restarted(pod: Object) -> bool:
    return _reacts(pod, lambda now: restarts(now) > restarts(pod))


def _running(pod: Object) -> bool:
    """Tell whether no container waits: one that fails often is started again only after a pause."""
    return all("running" in entry["state"] for entry in pod["status"].get("containerStatuses") or [])


def _report(api: Api) -> Iterator[Finding]:
    yield settles("deployment/report", "the Pods of report are ready")
    pods = [pod for pod in pods_of(api, existing(api, "deployment/report")) if ready(pod)]
    yield same_version(pods, "1.1.0")
    yield expect(len(pods) > 1, f"there are {len(pods)}", "there is one Pod, the task wants two")
    probe = pods[0]["spec"]["containers"][0].get("readinessProbe")
    yield expect(probe, "a readiness probe asks them", "no probe asks whether the app can take requests")
    grace = pods[0]["spec"]["terminationGracePeriodSeconds"]
    wrong = f"a Pod may take {grace} s to leave, the task allows {MOST_GRACE_SECONDS}"
    yield expect(grace <= MOST_GRACE_SECONDS, f"a Pod leaves within {grace} s", wrong)
    yield from _leaves(api, pods[0], grace)


def _leaves(api: Api, pod: Object, grace: int) -> Iterator[Finding]:
    """Delete a Pod while it works on reports; see whether they and new requests are answered."""
    left = leave(api, pod, REPORT_SECONDS)
    yield expect(
        left.served_on >= SERVE_ON_SECONDS,
        f"a Pod that leaves serves for {SERVE_ON_SECONDS} more seconds",
        "a Pod that leaves refuses new requests at once: nothing holds back the end of its app",
    )
    wrong = f"a report in flight was cut off: preStop and the report together do not fit into {grace} s"
    if left.exit_code not in (0, KILLED):
        wrong = f"a report in flight was cut off by the app itself (exit code {left.exit_code})"
    yield expect(left.exit_code == 0, "the reports in flight arrived", wrong)


def _basket_begun(api: Api) -> str | None:
    """Tell whether nobody has touched the Deployment of exercise 3 yet."""
    found = api.get("deployment/basket")
    if found is None:
        return "there is no Deployment basket"
    container = found["spec"]["template"]["spec"]["containers"][0]
    port = container.get("readinessProbe", {}).get("httpGet", {}).get("port")
    path = container.get("livenessProbe", {}).get("httpGet", {}).get("path")
    return "basket is as your colleague left it" if (port, path) == BASKET_FAULTS else None


def _basket(api: Api) -> Iterator[Finding]:
    """Tell symptoms only: the cause is what the exercise is about."""
    stands = settled("deployment/basket", START_SECONDS) is None
    pods = [pod for pod in pods_of(api, existing(api, "deployment/basket")) if ready(pod)]
    yield expect(stands and len(pods) == 2, "two Pods are ready", f"ready Pods of basket: {len(pods)}, not 2")
    yield same_version(pods, "1.1.0")
    one, two = pods
    again = _reacts(one, lambda now: restarts(now) > restarts(one) or not _running(now), QUIET_SECONDS)
    yield expect(not again, "they run on", "containers of basket are restarted, although the app works")
    with _told(one, "/healthz?healthy="), _told(two, "/readyz?ready="):
        found = _is_restarted(one)
        yield expect(found, "a container that is stuck is restarted", "a container that is stuck is not restarted")
        left = _reacts(two, lambda pod: not ready(pod) and restarts(pod) == restarts(two))
        yield expect(left, "a Pod that is busy gets no requests", "a Pod that is busy still gets requests")


EXERCISES = (
    Exercise(
        "slow",
        begun("Deployment", "slow"),
        _slow,
        (
            "Three questions: has it started, does it still work, can it take requests? Which path answers which?",
            "The startup probe asks once a second; how often may it fail before the app has had its four seconds? "
            "Leave some room for a busy machine.",
            "failureThreshold: 30 for the startup probe, /healthz for the liveness probe, /readyz for the readiness "
            "probe",
        ),
    ),
    Exercise(
        "report",
        begun("Deployment", "report"),
        _report,
        (
            "Two things must not happen too early: the end of the app, and the end of the whole Pod's grace period.",
            "kubectl explain pod.spec.containers.lifecycle.preStop.sleep and "
            "kubectl explain pod.spec.terminationGracePeriodSeconds describe the two fields.",
            "preStop with sleep 3, terminationGracePeriodSeconds 10 (more than 3 + 3, not more than is allowed), and a "
            "readiness probe for /readyz",
        ),
    ),
    Exercise(
        "basket",
        _basket_begun,
        _basket,
        (
            "kubectl describe pods -l app=basket: what do the events say about each probe?",
            "“connection refused” is about a port, “statuscode: 404” about a path. Which of them does the app have?",
            "The readiness probe must ask port 8000, the liveness probe the path /healthz.",
        ),
    ),
)
