"""Module 03, Pods: how its exercises are checked."""

from __future__ import annotations

import time
from collections.abc import Iterator

from kubernetes.client.exceptions import ApiException

from k8s101.cluster.values.deadline import until
from k8s101.errors import Problem
from k8s101.lesson.api.diagnose import hopeless, why_pod
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import poll
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import begun, existing, expect, fine

READY_SECONDS = 30
LOG_SECONDS = 10
ANSWER_SECONDS = 5
SILENCE = "nothing"

SHOP_FAULT = "k8s101.test/hello:1.1.O"
"""The image of exercise 3, as a colleague has typed it."""

ADMIN_PORT = 8001


def _becomes_ready(api: Api, name: str) -> bool:
    """Wait until a Pod is ready, or it is plain that it will not be, and tell which."""

    def ended(pod: Object | None) -> str | None:
        if pod is None:
            return None
        return "ready" if ready(pod) else "stuck" if hopeless(api, pod) else None

    try:
        return poll(f"pod/{name}", ended, READY_SECONDS, "ready") == "ready"
    except Problem:  # the deadline
        return False


def _trouble(api: Api, name: str) -> str | None:
    """Return what holds a Pod up, None once it is ready."""
    if _becomes_ready(api, name):
        return None
    pod = existing(api, f"pod/{name}")
    sidecars = [
        entry["name"] for entry in pod["spec"].get("initContainers", []) if entry.get("restartPolicy") == "Always"
    ]
    holding = [entry for entry in _beside(pod) if entry not in sidecars]
    helper = "if it is a helper that never ends, it lacks what makes it a sidecar; if not, read its log"
    if holding:
        return f"init container {holding[0]} runs, and the app waits for its end: {helper}"
    return why_pod(api, pod)


def _beside(pod: Object) -> list[str]:
    """Return the names of the init containers that run now; beside a running app, those are sidecars."""
    entries = pod["status"].get("initContainerStatuses", [])
    return [entry["name"] for entry in entries if "running" in entry["state"]]


def _notes(api: Api) -> Iterator[Finding]:
    yield fine(_trouble(api, "notes"), "the app runs")
    pod = existing(api, "pod/notes")
    plain = "shipper is no init container, so nothing says that it starts before the app and stops after it"
    yield expect("shipper" in _beside(pod), "shipper runs beside it, as a sidecar", plain)
    yield expect(_logged(api, "notes", "shipper", "notes"), "shipper prints what the app writes", lambda: _nothing(pod))


def _nothing(pod: Object) -> str:
    """Say why the shipper has nothing to print."""
    shipper = next(entry for entry in pod["spec"]["initContainers"] if entry["name"] == "shipper")
    mounts = [entry["mountPath"] for entry in shipper.get("volumeMounts", []) if entry["name"] == "logs"]
    place = f"sees the volume at {mounts[0]}" if mounts else "does not mount the volume logs"
    return f"shipper prints nothing: it reads {shipper['command'][-1]}, and it {place}"


def _logged(api: Api, pod: str, container: str, word: str) -> bool:
    """Tell whether a word turns up in a container's log before the deadline."""

    def told() -> bool:
        return word in api.core.read_namespaced_pod_log(pod, api.namespace, container=container)

    return until(told, LOG_SECONDS, every=0.2)


def _front(api: Api) -> Iterator[Finding]:
    yield fine(_trouble(api, "front"), "all containers of front run")
    pod = existing(api, "pod/front")
    done = [e["name"] for e in pod["status"].get("initContainerStatuses", []) if "terminated" in e["state"]]
    yield expect(done, f"{', '.join(done)} ended before the app started", "no init container has waited for hello")
    said = _answer(api, "front", 8000, "/")
    yield expect("hello 1.1.0" in said, "the app answers as release 1.1.0", f"port 8000 answers: {said}")
    path = f"/something/{time.time_ns()}"
    first, second = (_answer(api, "front", 8080, path) for _ in range(2))
    kept = "look-up 1 " in first and first == second
    yield expect(kept, "the cache gives the first answer again", f"asked twice, port 8080 answers: {second}")
    aside = _beside(pod)
    plain = "the cache is an ordinary container: it may start after the app; which kind starts before and stops after?"
    yield expect(aside, f"{', '.join(aside)} is a sidecar, so it started before the app", plain)


def _answer(api: Api, pod: str, port: int, path: str) -> str:
    """Return what a Pod answers; without a readiness probe, a Pod counts as ready before its app listens."""
    path = f"/api/v1/namespaces/{api.namespace}/pods/{pod}:{port}/proxy{path}"
    return until(lambda: _ask(api, path), ANSWER_SECONDS, every=0.2) or SILENCE


def _ask(api: Api, path: str) -> str:
    try:
        return api.rest.text(path).strip()
    except ApiException as error:
        return "" if error.status in (502, 503) else f"status {error.status}"


def _shop_begun(api: Api) -> str | None:
    """Tell whether nobody has touched the Pod of exercise 3 yet."""
    pod = api.get("pod/shop")
    if pod is None:
        return "there is no Pod shop"
    first = [container["image"] for container in pod["spec"]["containers"]][1:] == [SHOP_FAULT]
    return "Pod shop is as your colleague left it" if first and not _has_port(pod) else None


def _has_port(pod: Object) -> bool:
    admin = pod["spec"]["containers"][1]
    return any(admin.get(field) for field in ("args", "command", "env"))


def _shop(api: Api) -> Iterator[Finding]:
    """Tell symptoms only: the cause is what the exercise is about."""
    well = _becomes_ready(api, "shop")
    entries = existing(api, "pod/shop")["status"].get("containerStatuses", [])
    yield expect(well, "all containers of shop are ready", "the containers of shop are not all ready")
    yield expect(len(entries) == 2, "there are two", f"shop has containers: {len(entries)}, and it should have two")
    for name, port in (("web", 8000), ("admin", ADMIN_PORT)):
        said = _answer(api, "shop", port, "/")
        right = "hello 1.1.0" in said
        yield expect(right, f"port {port} answers as release 1.1.0", f"{name} should answer on port {port}: {said}")


EXERCISES = (
    Exercise(
        "notes",
        begun("Pod", "notes"),
        _notes,
        (
            "Compare with task.yaml, line by line. What makes its shipper a sidecar?",
            "Without that line, the app waits for the end of shipper, which never comes. And where does shipper look "
            "for the file that the app writes into the volume?",
            "restartPolicy: Always in the init container, and mountPath: /logs in both; then kubectl replace "
            "--force -f notes.yaml",
        ),
    ),
    Exercise(
        "front",
        begun("Pod", "front"),
        _front,
        (
            "Three containers: which one ends, which one helps, which one is the app?",
            "Two of them are init containers, and the list keeps their order. ambassador.yaml shows the cache; the "
            "image's command wait takes --url=http://hello:8000/.",
            "initContainers: first wait with args [wait, --url=http://hello:8000/], then cache with restartPolicy: "
            "Always and args [cache, --port=8080, --upstream=http://localhost:8000]",
        ),
    ),
    Exercise(
        "shop",
        _shop_begun,
        _shop,
        (
            "kubectl describe pod shop: which of the two containers is not ready, and what do the events say about it?",
            "When that is repaired, the container starts, and ends again. kubectl logs shop -c admin tells why; "
            "remember what the containers of a Pod share.",
            "The tag ends in a letter O. And both containers listen on port 8000: give admin the argument "
            "--port=8001, and replace the Pod.",
        ),
    ),
)
