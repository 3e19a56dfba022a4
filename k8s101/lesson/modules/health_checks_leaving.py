"""Module 04, Health checks: have a Pod leave while it works, and judge by what its kubelet and its app have noted.

No clock of this process is asked: on a busy machine, seconds may pass between a request to delete and what follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from threading import Event
from typing import Any

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from k8s101.cluster.values.deadline import until
from k8s101.errors import Problem
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api

BEGIN_SECONDS, EVENT_SECONDS, SPARE_SECONDS = 15, 10, 60
BETWEEN_SECONDS = 0.5
"""Time between two reports: one of them is always young when the app is told to stop."""

TOLD = re.compile(r"^(\S+) told to stop, (\d+) in flight")
BUSY = re.compile(r"^http_requests_in_flight ([2-9]|\d\d)", re.MULTILINE)


@dataclass(frozen=True)
class Leaving:
    """How a Pod left.

    Args:
        served_on: seconds between the kubelet's first step and the app's SIGTERM; too many by less than one, because
            the time of an event is given in whole seconds.
        exit_code: of the app; 0 means that it answered all that it had begun.
    """

    served_on: float
    exit_code: int


def leave(api: Api, pod: Object, report_seconds: float) -> Leaving:
    """Delete a Pod while it works on reports, and wait until it has left.

    Args:
        api: the lesson.
        pod: the Pod, with the story app as its first container.
        report_seconds: how long one report takes.

    Raises:
        Problem: the app does not begin, or has not noted how it ended.
    """
    name = pod["metadata"]["name"]
    with _reports(api, name, report_seconds) as enough:
        told = _deleted(api, pod, enough)
    since = until(lambda: _killing(api, pod), EVENT_SECONDS)
    code = told[1]
    if told[0] is None or since is None or code is None:
        raise Problem("the Pod left without a trace of how", where=f"Pod {name}", then="run the cell again")
    return Leaving((told[0] - since).total_seconds(), code)


@contextmanager
def _reports(api: Api, name: str, seconds: float) -> Iterator[Event]:
    """Ask for one report after the other until told that it is enough; the first has begun when the block runs."""
    enough = Event()
    path = f"/api/v1/namespaces/{api.namespace}/pods/{name}:8000/proxy"

    def ask() -> None:
        with suppress(ApiException, HTTPError):  # what became of it is for the app to say
            api.rest.text(f"{path}/slow?seconds={seconds}")

    def asking() -> None:
        while not enough.wait(BETWEEN_SECONDS):
            pool.submit(ask)

    with ThreadPoolExecutor(50) as pool:
        try:
            pool.submit(ask)
            pool.submit(asking)
            busy = until(lambda: BUSY.search(api.rest.text(f"{path}/metrics")), BEGIN_SECONDS)
            if not busy:
                raise Problem("the report does not begin", where=f"Pod {name}", then="run the cell again")
            yield enough
        finally:
            enough.set()


def _deleted(api: Api, pod: Object, enough: Event) -> tuple[datetime | None, int | None]:
    """Delete a Pod, follow it to its end, and return when its app was told to stop, and its exit code."""
    name, grace = pod["metadata"]["name"], pod["spec"]["terminationGracePeriodSeconds"]
    found = api.rest.get("Pod", name, api.namespace) or pod
    only = {"fieldSelector": f"metadata.name={name}", "resourceVersion": found["metadata"]["resourceVersion"]}
    path, seconds = f"/api/v1/namespaces/{api.namespace}/pods", grace + SPARE_SECONDS
    container = pod["spec"]["containers"][0]["name"]
    how = {"follow": True, "timestamps": True, "_preload_content": False, "_request_timeout": seconds}
    api.core.delete_namespaced_pod(name, api.namespace)
    told = None
    log: Any = api.core.read_namespaced_pod_log(name, api.namespace, container=container, **how)
    for raw in log:
        if line := TOLD.search(raw.decode(errors="replace")):
            told = datetime.fromisoformat(line[1][:26].rstrip("Z") + "+00:00")
            enough.set()
    code = None
    for event in api.rest.watch(path, **only, timeoutSeconds=seconds):
        code = _exit_code(event["object"], container) if code is None else code
        if event["type"] == "DELETED":
            break
    return told, code


def _exit_code(pod: Object, container: str) -> int | None:
    entries = pod.get("status", {}).get("containerStatuses") or []
    ended = [entry["state"].get("terminated") for entry in entries if entry["name"] == container]
    return int(ended[0]["exitCode"]) if ended and ended[0] else None


def _killing(api: Api, pod: Object) -> datetime | None:
    """Return when the kubelet began to stop the app; it says so before it runs `preStop`."""
    events = api.rest.list("Event", api.namespace, f"involvedObject.uid={pod['metadata']['uid']},reason=Killing")
    container = pod["spec"]["containers"][0]["name"]
    own = [event for event in events if event["message"].endswith(f" {container}")]
    return datetime.fromisoformat(own[0]["firstTimestamp"]) if own else None
