"""Wait for a condition with a deadline, and say why when it does not come."""

from __future__ import annotations

import time
from collections.abc import Callable

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from k8s101.errors import Problem
from k8s101.lesson.api.diagnose import cause, held_up, pods_of, stuck
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api, current, split

INTERVAL_SECONDS = 0.1
HELD_UP_SECONDS = 3
"""How long it must look hopeless before a wait ends: what is made in the same moment may only just be on its way."""

UNKNOWN_SECONDS = 5
"""How long something that is not there is waited for when another thing has nearly the same name."""

MADE_BY_OTHERS = ("Pod", "ReplicaSet", "Job", "EndpointSlice", "Event", "Node")
"""Kinds whose objects controllers and machines make, with names that resemble each other."""

Test = Callable[[Object | None], str | None]
"""Given the object, or None if there is none: what holds now, in words, or None to wait on."""


def poll(target: str, test: Test, timeout: float, until: str, *, ready: bool = False) -> str:
    """Look at an object again and again until the test is content; return its words.

    Args:
        target: `kind/name`.
        test: what is waited for.
        timeout: seconds; three times as many on the slow guest.
        until: what is waited for, in words.
        ready: whether Pods must get ready for that, so that the wait ends when they plainly cannot.

    Raises:
        Problem: the deadline passed, or nothing can come of it; it names the cause that the cluster reports.
    """
    api = current()
    split(target)
    timeout *= api.patience
    began = good = time.monotonic()
    item: Object | None = None
    while (now := time.monotonic()) < began + timeout:
        try:
            item = api.get(target)
        except (ApiException, HTTPError) as error:
            if isinstance(error, ApiException) and error.status not in (429, 500, 503, 504):
                raise
        else:
            if words := test(item):
                return words
            if item is None and now > began + UNKNOWN_SECONDS:
                _refuse_unknown(api, target)
            if not ready or item is None or not held_up(api, item):
                good = now
            elif now > good + HELD_UP_SECONDS:
                break
        time.sleep(INTERVAL_SECONDS)
    reason = cause(api, item) if item else "there is no such object"
    after = f"after {timeout:g} s" if now >= began + timeout else "and will not be"
    raise Problem(
        f"{target} is not {until} {after}: {reason}",
        where=f"namespace {api.namespace}",
        then=f"kubectl describe {target}",
    )


def _refuse_unknown(api: Api, target: str) -> None:
    """End a wait for something that is not there, but whose name is nearly that of another."""
    kind, name = split(target)
    if api.rest.resource(kind).kind not in MADE_BY_OTHERS and (near := api.nearest(kind, name)):
        raise Problem(
            f"there is no {target}", where=f"namespace {api.namespace}", then=f'did you mean "{kind}/{near}"?'
        )


def settled(target: str, timeout: float = 60) -> str | None:
    """Wait until all Pods of a Deployment, or the like, are ready, or it is plain that they will not be.

    Returns:
        The cause if they are not ready, else None.
    """
    fine = time.monotonic()

    def ended(item: Object | None) -> str | None:
        nonlocal fine
        if (words := rolled_out(item)) or item is None:
            return words
        if stuck(current(), item):
            return "stuck"
        if not held_up(current(), item):
            fine = time.monotonic()
        return "stuck" if time.monotonic() > fine + HELD_UP_SECONDS else None

    try:
        well = poll(target, ended, timeout, "rolled out") != "stuck"
    except Problem:
        well = False
    return None if well else cause(current(), current().get(target) or {"kind": "", "metadata": {"uid": ""}})


def rolled_out(item: Object | None) -> str | None:
    """Tell that all Pods of a Deployment, or the like, are new and ready, as `kubectl rollout status`."""
    if item is None or not _observed(item):
        return None
    status = item.get("status", {})
    if item["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        counts = (status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0))
    else:
        wanted = item["spec"].get("replicas", 1)
        counts = (status.get("updatedReplicas", 0), status.get("availableReplicas", 0))
        if status.get("replicas", 0) != wanted:
            return None
    # the status may still speak of Pods that are about to stop, so look at the Pods too
    if set(counts) != {wanted} or _serving(item) != wanted:
        return None
    return f"rolled out · {wanted} of {wanted} ready"


def _serving(item: Object) -> int:
    pods = [pod for pod in pods_of(current(), item) if ready(pod)]
    if item["kind"] == "DaemonSet":
        # a Pod of a node that was taken away reads ready until it is collected
        nodes = {node["metadata"]["name"] for node in current().rest.list("Node", "")}
        pods = [pod for pod in pods if pod["spec"].get("nodeName") in nodes]
    return len(pods)


def _observed(item: Object) -> bool:
    """Tell whether the status speaks of the current spec; objects without a generation always do."""
    observed = item.get("status", {}).get("observedGeneration")
    if observed is None and item["kind"] in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"):
        return False
    return observed is None or observed >= item["metadata"].get("generation", 0)
