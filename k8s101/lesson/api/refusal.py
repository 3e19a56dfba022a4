"""Tell a port on which nothing will ever listen from that of an app which is only just starting."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from k8s101.errors import Problem
from k8s101.lesson.api.names import condition, ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api

REFUSED = re.compile(r"error forwarding port (\d+) to pod.*refused", re.IGNORECASE | re.DOTALL)
"""What `kubectl port-forward` says when the Pod is there and nothing in it listens on the port."""

AGAIN_SECONDS = 1
"""How long a port must go on refusing: the container at its end may just be replaced."""

STARTING_SECONDS = 10
"""How long an app that has no probe is thought to be starting."""


class Refusals:
    """Judges what becomes of requests that are led to a port.

    Args:
        api: the lesson.
        item: the Pod, Service or workload that requests are led to.
        target: `kind/name` of it.
    """

    def __init__(self, api: Api, item: Object, target: str) -> None:
        self._api, self._item, self._target = api, item, target

    def judge(self, said: str, seconds: float) -> Problem | None:
        """Return the problem if the port refuses and that will not change by itself, else None.

        Args:
            said: what `kubectl port-forward` has written.
            seconds: for how long it was tried.
        """
        refused = REFUSED.search(said)
        pods = self._pods() if refused and seconds > AGAIN_SECONDS else []
        if not refused or not pods or not all(map(_has_started, pods)):
            return None
        return Problem(
            f"nothing listens on port {refused[1]} of {_which(pods)}, though the app has started",
            where=f"{self._target}, namespace {self._api.namespace}",
            then=self._then(pods[0]),
        )

    def _pods(self) -> list[Object]:
        """Return the Pods that are ready, one of which it is."""
        if self._item["kind"] == "Pod":
            found = self._api.get(self._target)
            return [found] if found and ready(found) else []
        selector = self._item["spec"].get("selector") or {}
        labels = selector.get("matchLabels", {}) if self._item["kind"] != "Service" else selector
        wanted = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        return [pod for pod in self._api.list("Pod", wanted) if ready(pod)] if wanted else []

    def _then(self, pod: Object) -> str:
        if self._item["kind"] == "Service":
            return f"kubectl describe {self._target.replace('/', ' ')}: should its targetPort be another?"
        if known := [str(port["containerPort"]) for one in pod["spec"]["containers"] for port in one.get("ports", [])]:
            return f"use a port that its containers name: {', '.join(known)}"
        return f"kubectl logs {self._target}: on which port does the app listen?"


def _has_started(pod: Object) -> bool:
    """Tell whether an app that is ready is so by a probe, or for long enough."""
    if any("readinessProbe" in one or "startupProbe" in one for one in pod["spec"]["containers"]):
        return True
    since = datetime.fromisoformat(condition(pod, "Ready")["lastTransitionTime"])
    return (datetime.now(UTC) - since).total_seconds() > STARTING_SECONDS


def _which(pods: list[Object]) -> str:
    return f"Pod {pods[0]['metadata']['name']}" if len(pods) == 1 else f"its {len(pods)} Pods"
