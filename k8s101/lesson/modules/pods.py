"""Module 03, Pods: what it asks."""

from __future__ import annotations

import re

from kubernetes.stream import stream

from k8s101.lesson.api.session import Api
from k8s101.lesson.modules.pods_exercises import EXERCISES
from k8s101.lesson.quiz.bank import Before, Option, Question, among
from k8s101.lesson.quiz.checking import existing

__all__ = ["EXERCISES", "QUESTIONS"]


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


def _added(before: Before, api: Api) -> str:
    pod = existing(api, "pod/hello")
    if not pod["spec"].get("ephemeralContainers"):
        return "refused"
    return "joins" if pod["metadata"]["uid"] in before.pods else "copy"


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
    log = api.core.read_namespaced_pod_log("hello", api.namespace, container="hello")
    return {0: "never", 1: "once"}.get(len(re.findall("GET /something/7 ", log)), "three")


def _ends_well(before: Before, api: Api) -> str:
    pods = [existing(api, f"pod/ends-{policy}") for policy in ("always", "onfailure", "never")]
    again = sum(pod["status"]["containerStatuses"][0]["restartCount"] > 0 for pod in pods)
    return among(again, {0: "none", 1: "always", 2: "two"})


def _after_crash(before: Before, api: Api) -> str:
    if existing(api, "pod/crash")["metadata"]["uid"] not in before.pods:
        return "new-pod"
    own, shared = (_inside(api, "crash", "app", f"cat {path}/starts").split() for path in ("/tmp", "/shared"))
    return "volume" if len(own) < len(shared) else "all"


def _phase(before: Before, api: Api) -> str:
    return among(existing(api, "pod/broken-args")["status"]["phase"], {"Failed": "failed", "Running": "running"})


QUESTIONS = (
    Question(
        "smallest",
        "What is the smallest thing that you can deploy?",
        {
            "container": Option("a container", "The API has no kind for a container; it always comes in a Pod."),
            "pod": Option("a Pod", "one or more containers that are placed and started together"),
            "deployment": Option("a Deployment", "It creates Pods, and you can do without it."),
        },
        "pod",
    ),
    Question(
        "previous",
        "A container has crashed and runs again. How do you read what it printed before the crash?",
        {
            "logs": Option("kubectl logs POD", "That is the log of the container that runs now."),
            "previous": Option("kubectl logs POD --previous", "the kubelet keeps the log of the last container"),
            "lost": Option("not at all: it is lost", "The container's files are lost; its last log is kept."),
        },
        "previous",
    ),
    Question(
        "helper",
        "An init container has restartPolicy: Always. When does it run?",
        {
            "before": Option("before the app, and it must end first", "That is an init container without this field."),
            "beside": Option(
                "beside the app, from before its start until after its end", "that makes it a native sidecar"
            ),
            "again": Option("again and again, before each start of the app", "The field lets it stay, not repeat."),
        },
        "beside",
    ),
    Question(
        "shared",
        "Two containers run in one Pod. Which of these do they share: address, host name, files?",
        {
            "all": Option("all: a Pod is one small machine", "Each container has the files of its own image."),
            "some": Option("address and host name, but no files", "files are shared only in a volume that both mount"),
            "nothing": Option("nothing: containers are isolated", "Containers of different Pods are."),
        },
        _shared,
    ),
    Question(
        "add-container",
        "Pod hello is running, and you ask for one more container in it, with a shell. What happens?",
        {
            "refused": Option(
                "it is refused: a Pod's containers can't change",
                "The lists `containers` and `initContainers` can't; there is a third list for this.",
            ),
            "copy": Option("the Pod is replaced by one with two containers", "A Pod is never moved or rebuilt."),
            "joins": Option("the new container joins the running Pod", "it is ephemeral, and the app runs on"),
        },
        _added,
    ),
    Question(
        "order",
        "The file lists three containers: first app, then, under initContainers, settings and test. In which order do "
        "they start?",
        {
            "app-first": Option("app, settings, test", "The order of fields in a manifest does not count."),
            "at-once": Option("all at once", "That is how the entries of the list `containers` start."),
            "app-last": Option(
                "settings, test, app", "each init container runs to its end before the next one, then the app starts"
            ),
        },
        _order,
    ),
    Question(
        "ended",
        "Both Pods do the same work for three seconds, and in both the helper never ends by itself. What happens once "
        "the work has ended?",
        {
            "both": Option("both Pods end", "A Pod ends when all its containers have; an ordinary helper counts."),
            "sidecar": Option(
                "task ends, task-plain runs on", "the kubelet stops a sidecar when the ordinary containers have ended"
            ),
            "none": Option("both run on, because the helpers run", "A sidecar does not keep a Pod alive."),
        },
        _ended,
    ),
    Question(
        "asked",
        "The app asks its helper three times for the same page of hello. How often is hello asked?",
        {
            "three": Option("three times", "The helper may do more than pass requests on: this one keeps answers."),
            "once": Option("once", "the ambassador keeps the first answer and gives it again"),
            "never": Option("never", "Somebody has to ask for the first answer."),
        },
        _asked,
    ),
    Question(
        "ends-well",
        "Three Pods print a word and end with exit code 0. Their restartPolicy is Always, OnFailure and Never. Which "
        "containers are started again?",
        {
            "none": Option("none: they have succeeded", "Always means always, also after a success."),
            "always": Option("the one with Always", "OnFailure restarts only what ended with another code than 0"),
            "two": Option("those with Always and OnFailure", "Exit code 0 is not a failure."),
        },
        _ends_well,
    ),
    Question(
        "after-crash",
        "The app crashes and runs again. It had noted its start in two files: one of its own, one in the volume. What "
        "is left?",
        {
            "new-pod": Option("neither: a new Pod has started", "The Pod stays; only the container is started again."),
            "volume": Option("only the file in the volume", "a container starts from its image, the volume stays"),
            "all": Option("both files", "What a container writes to its own files is lost when it ends."),
        },
        _after_crash,
    ),
    Question(
        "phase",
        "The container of broken-args ends at once, again and again. In which phase is the Pod?",
        {
            "failed": Option("Failed", "It would be, if nobody were to start the container again."),
            "crashloop": Option("CrashLoopBackOff", "That is why its container waits; it is not a phase."),
            "running": Option("Running", "a phase is coarse: look at the state of the containers"),
        },
        _phase,
    ),
)
