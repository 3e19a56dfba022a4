"""Module 03, Pods: what it asks and how its exercises are checked."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream

from k8s101.cluster.values.deadline import until
from k8s101.errors import Problem
from k8s101.lesson.api.diagnose import HOPELESS, why_pod
from k8s101.lesson.api.names import pod_state, ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import poll
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Option, Question, among
from k8s101.lesson.quiz.checking import begun, existing, expect

READY_SECONDS = 30
LOG_SECONDS = 10
ANSWER_SECONDS = 5
SILENCE = "nothing"


def _inside(api: Api, pod: str, container: str, command: str) -> str:
    """Return what a shell command prints in a container."""
    how = {"stdout": True, "stderr": True, "stdin": False, "tty": False}
    words = ["sh", "-c", command]
    run = api.core.connect_get_namespaced_pod_exec
    return str(stream(run, pod, api.namespace, container=container, command=words, **how))


def _shared(before: Before, api: Api) -> str:
    look = "for kind in net uts mnt; do readlink /proc/self/ns/$kind; done"
    app, tools = (_inside(api, "pair", name, look).split() for name in ("app", "tools"))
    same = [one == other for one, other in zip(app, tools, strict=True)]
    if all(same):
        return "all"
    return "some" if same == [True, True, False] else "nothing"


def _order(before: Before, api: Api) -> str:
    written = _inside(api, "order", "app", "cat /etc/config/order").split()
    return {"settings": "app-last", "app": "app-first"}.get(written[0], "at-once")


def _ended(before: Before, api: Api) -> str:
    phases = [existing(api, f"pod/{name}")["status"]["phase"] for name in ("task", "task-plain")]
    return {
        ("Succeeded", "Running"): "sidecar",
        ("Succeeded", "Succeeded"): "both",
    }.get((phases[0], phases[1]), "none")


def _asked(before: Before, api: Api) -> str:
    log = api.core.read_namespaced_pod_log("hello", api.namespace)
    paths = re.findall(r"GET (/something/\d+)", log)
    return {1: "once"}.get(paths.count(paths[-1]) if paths else 0, "three")


def _after_crash(before: Before, api: Api) -> str:
    if existing(api, "pod/crash")["metadata"]["uid"] not in before.pods:
        return "new-pod"
    own, shared = (_inside(api, "crash", "app", f"cat {path}/starts").split() for path in ("/tmp", "/shared"))
    return "volume" if len(own) < len(shared) else "all"


def _phase(before: Before, api: Api) -> str:
    return among(existing(api, "pod/broken")["status"]["phase"], {"Failed": "failed", "Running": "running"})


QUESTIONS = (
    Question(
        "smallest",
        "What is the smallest thing that you can deploy?",
        {
            "container": Option("a container", "The API has no kind for a container; it always comes in a Pod."),
            "pod": Option("a Pod", "one or more containers that are placed and started together"),
            "deployment": Option("a Deployment", "It makes Pods, and can be left out."),
        },
        "pod",
    ),
    Question(
        "shared",
        "Two containers run in one Pod. Which of these do they share: address, host name, files?",
        {
            "all": Option("all: a Pod is one small machine", "Each container has the files of its own image."),
            "some": Option("address and host name, but no files", "files are shared only in a volume that both mount"),
            "nothing": Option("nothing: containers are apart", "Containers of different Pods are."),
        },
        _shared,
    ),
    Question(
        "order",
        "Three containers stand in the file: first app, then, below initContainers, settings and test. Which order?",
        {
            "app-first": Option("app, settings, test", "The order of fields in a manifest does not count."),
            "at-once": Option("all at once", "That holds for the list `containers`."),
            "app-last": Option(
                "settings, test, app", "init containers run one by one to their end, then the app starts"
            ),
        },
        _order,
    ),
    Question(
        "ended",
        "Two Pods do the same work: the helper of task is a sidecar, that of task-plain is not. The work ends. Then?",
        {
            "both": Option("both end", "A Pod ends when all its containers have; a plain helper counts."),
            "sidecar": Option(
                "the first one ends, the other goes on for ever", "a sidecar is stopped as soon as the work has ended"
            ),
            "none": Option("both go on: the helpers run", "A sidecar does not keep a Pod alive."),
        },
        _ended,
    ),
    Question(
        "asked",
        "The app asks its ambassador three times for the same page. How often is hello asked?",
        {
            "three": Option("three times", "The ambassador may do more than pass on: this one keeps answers."),
            "once": Option("once", "the ambassador answers the rest from what it keeps"),
            "never": Option("never", "Somebody has to ask for the first answer."),
        },
        _asked,
    ),
    Question(
        "after-crash",
        "The app ends with an error, then runs again. What does it find?",
        {
            "new-pod": Option("a new Pod starts, with nothing", "The Pod stays; only the container is started anew."),
            "volume": Option(
                "its own files are new, those in the volume stay", "a container begins with its image, the volume stays"
            ),
            "all": Option("all files are there", "What a container writes into its own files goes with it."),
        },
        _after_crash,
    ),
    Question(
        "phase",
        "A container ends at once, again and again. In which phase is its Pod?",
        {
            "failed": Option("Failed", "It would be, if nobody were to start the container again."),
            "crashloop": Option("CrashLoopBackOff", "That is the state of the container, while the kubelet waits."),
            "running": Option("Running", "the phase is coarse: look at the containers' state"),
        },
        _phase,
    ),
)


def _trouble(api: Api, name: str) -> str | None:
    """Wait until a Pod is ready, or it is plain that it will not be, and return the cause if it is not."""

    def ended(pod: Object | None) -> str | None:
        if pod is None:
            return None
        return "ready" if ready(pod) else "stuck" if pod_state(pod) in HOPELESS else None

    try:
        if poll(f"pod/{name}", ended, READY_SECONDS, "ready") == "ready":
            return None
    except Problem:
        pass  # the deadline; what holds the Pod up is told below
    pod = existing(api, f"pod/{name}")
    sidecars = [
        entry["name"] for entry in pod["spec"].get("initContainers", []) if entry.get("restartPolicy") == "Always"
    ]
    holding = [entry for entry in _beside(pod) if entry not in sidecars]
    helper = "a helper that never ends wants another restartPolicy; of others, read the log"
    return f"init container {holding[0]} runs, and the app waits for it: {helper}" if holding else why_pod(api, pod)


def _beside(pod: Object) -> list[str]:
    """Return the names of the init containers that run now; beside a running app, those are sidecars."""
    entries = pod["status"].get("initContainerStatuses", [])
    return [entry["name"] for entry in entries if "running" in entry["state"]]


def _notes(api: Api) -> Iterator[Finding]:
    trouble = _trouble(api, "notes")
    if trouble:
        yield Finding(False, trouble)
        return
    yield Finding(True, "app runs, and shipper beside it")
    if not _logged(api, "notes", "shipper", "notes"):
        mounts = existing(api, "pod/notes")["spec"]["initContainers"][0]["volumeMounts"]
        place = next((entry["mountPath"] for entry in mounts if entry["name"] == "logs"), "no place")
        yield Finding(False, f"shipper reads /logs/app.log, but has the volume at {place}: nothing comes")
        return
    yield Finding(True, "shipper prints what app writes")


def _logged(api: Api, pod: str, container: str, word: str) -> bool:
    """Tell whether a word turns up in a container's log before the deadline."""

    def told() -> bool:
        return word in api.core.read_namespaced_pod_log(pod, api.namespace, container=container)

    return until(told, LOG_SECONDS, every=0.2)


def _front(api: Api) -> Iterator[Finding]:
    trouble = _trouble(api, "front")
    if trouble:
        yield Finding(False, trouble)
        return
    pod = existing(api, "pod/front")
    done = [e["name"] for e in pod["status"].get("initContainerStatuses", []) if "terminated" in e["state"]]
    yield expect(bool(done), f"{', '.join(done)} ran before the app", "no init container has waited for hello")
    said = _answer(api, 8000, "/")
    right = "hello 1.1.0" in said
    yield expect(right, "the app answers as release 1.1.0", f"port 8000 answers: {said}")
    path = f"/something/{time.time_ns()}"
    first, second = _answer(api, 8080, path), _answer(api, 8080, path)
    kept = "look-up 1 " in first and first == second
    yield expect(kept, "the cache answers the second time", f"asked twice, port 8080 answers: {second}")
    aside = _beside(pod)
    plain = "the cache is a plain container: it may start after the app; which kind starts before and stops after it?"
    yield expect(bool(aside), f"{', '.join(aside)} is a sidecar: it starts before the app", plain)


def _answer(api: Api, port: int, path: str) -> str:
    """Return what Pod front answers; without a readiness probe, a Pod counts as ready before its app listens."""
    path = f"/api/v1/namespaces/{api.namespace}/pods/front:{port}/proxy{path}"
    return until(lambda: _ask(api, path), ANSWER_SECONDS, every=0.2) or SILENCE


def _ask(api: Api, path: str) -> str:
    try:
        return api.rest.text(path).strip()
    except ApiException as error:
        return "" if error.status in (502, 503) else f"status {error.status}"


EXERCISES = (
    Exercise(
        "notes",
        begun("Pod", "notes"),
        _notes,
        (
            "The shipper stands among the init containers. When does it end?",
            'Compare with task.yaml: show("task.yaml"). Where does the app write, and where does the shipper read?',
            'restart="Always", mount="/logs"',
        ),
    ),
    Exercise(
        "front",
        begun("Pod", "front"),
        _front,
        (
            "Three containers: which one ends, which one helps, which one is the app?",
            "Two of them are init containers. The image hello has the commands wait and cache: "
            'show("ambassador.yaml") uses one; the other one wants --url=http://hello:8000/.',
            'show("solution-front.yaml") is one way.',
        ),
    ),
)
