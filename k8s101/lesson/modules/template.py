"""The template of a module: questions and exercises of each kind, for authors to copy."""

from __future__ import annotations

from collections.abc import Iterator

from k8s101.lesson.api.diagnose import pods_of
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import settled
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Option, Question, among
from k8s101.lesson.quiz.checking import begun, existing, expect, same_version, settles

REPAIR_SECONDS = 20


def _tree(before: Before, api: Api) -> str:
    """Count what the cluster made; the answer of a prediction is never typed in."""
    made = [item for kind in ("ReplicaSet", "Pod") for item in api.list(kind, "app=hello")]
    return among(1 + len(made), {1: "one", 3: "three", 4: "four"})


def _lost(before: Before, api: Api) -> str:
    now = {pod["metadata"]["uid"] for pod in api.list("Pod", "app=hello") if ready(pod)}
    if len(now) < len(before.pods):
        return "lost"
    return "new" if now - before.pods.keys() else "same"


def _logs(before: Before, api: Api) -> str:
    one = api.core.read_namespaced_pod_log(api.list("Pod", "app=hello")[0]["metadata"]["name"], api.namespace)
    return "one" if one else "none"


def _image(before: Before, api: Api) -> str:
    made = {pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in api.list("Pod", "app=hello")}
    return "waits" if "9.9.9" in made else "refused"


QUESTIONS = (
    Question(
        "store",
        "Which component keeps every object?",
        {
            "etcd": Option("etcd", "all others keep copies at most"),
            "kubelet": Option("kubelet", "It knows only the Pods of its own node."),
            "scheduler": Option("scheduler", "It only picks a node for each new Pod."),
        },
        "etcd",
    ),
    Question(
        "tree",
        "You create one Deployment with two copies. How many objects will its ownership tree hold?",
        {
            "one": Option("1", "A Deployment runs nothing itself."),
            "three": Option("3", "Between the Deployment and its Pods stands a ReplicaSet."),
            "four": Option("4", "the Deployment, a ReplicaSet and two Pods"),
        },
        _tree,
    ),
    Question(
        "lost",
        "You delete one of the two Pods. What do you find a few seconds later?",
        {
            "lost": Option("one Pod is left", "You asked for two, and the Deployment still says so."),
            "same": Option("the same Pod comes back", "A deleted Pod never comes back."),
            "new": Option("a new Pod takes its place", "the ReplicaSet's controller counts and creates another"),
        },
        _lost,
    ),
    Question(
        "log",
        "You ask for the log of the Deployment. Whose lines do you get?",
        {
            "all": Option("of all its Pods", "To get all of them, choose the Pods by label."),
            "one": Option("of one of its Pods", "kubectl picks one, which is rarely what you want"),
            "none": Option("of nobody: a Deployment has no log", "It has none, but kubectl goes on to its Pods."),
        },
        _logs,
    ),
    Question(
        "image",
        "You ask for a version that does not exist. What happens?",
        {
            "refused": Option("the API server refuses it", "The API server does not look for images."),
            "waits": Option(
                "a new Pod waits without a container",
                "only the node's container runtime looks for the image, and does not find it",
            ),
            "gone": Option("all Pods are deleted", "Old Pods stay until new ones are ready."),
        },
        _image,
    ),
)


def _pods(api: Api, name: str) -> list[Object]:
    return [pod for pod in pods_of(api, existing(api, f"deployment/{name}")) if ready(pod)]


def _change_begun(api: Api) -> str | None:
    wanted = int((api.get("deployment/hello") or {}).get("spec", {}).get("replicas", 0))
    return None if wanted > 2 else "hello still has two copies, or none"


def _changed(api: Api) -> Iterator[Finding]:
    yield settles("deployment/hello", "hello has rolled out")
    count = len(_pods(api, "hello"))
    yield expect(count == 3, f"it has {count} ready Pods", f"it has {count} ready Pods, the task asks for 3")


def _generated(api: Api) -> Iterator[Finding]:
    yield settles("deployment/web", "web has rolled out")
    pods = _pods(api, "web")
    yield expect(len(pods) == 2, "it has 2 ready Pods", f"it has {len(pods)} ready Pods, the task asks for 2")
    yield same_version(pods, "1.1.0")
    cpu = pods[0]["spec"]["containers"][0].get("resources", {}).get("requests", {}).get("cpu", "no")
    yield expect(cpu == "20m", "each requests 20m of CPU", f"each requests {cpu} CPU, the task asks for 20m")


def _repair_begun(api: Api) -> str | None:
    shop = api.get("deployment/shop")
    if shop is None:
        return "there is no Deployment shop yet"
    return None if shop["metadata"]["generation"] > 1 else "shop is as your colleague left it"


def _repaired(api: Api) -> Iterator[Finding]:
    # settled() knows the cause, and nothing here may name it: to find it is the task
    yield expect(settled("deployment/shop", REPAIR_SECONDS) is None, "shop is ready", "shop has no ready Pod yet")


EXERCISES = (
    Exercise(
        "change",
        _change_begun,
        _changed,
        (
            "Which number in the manifest says how many copies there are?",
            "It is spec.replicas. After a change the file must be applied again.",
            "Write replicas: 3, run the cell, then run: kubectl apply -f three.yaml",
        ),
    ),
    Exercise(
        "generate",
        begun("Deployment", "web"),
        _generated,
        (
            "The generated file lacks two things: the number of copies, and a request.",
            "kubectl explain deployment.spec.template.spec.containers.resources names the fields.",
            "Set replicas: 2, and resources: {requests: {cpu: 20m}} in the container; then kubectl apply -f web.yaml",
        ),
    ),
    Exercise(
        "repair",
        _repair_begun,
        _repaired,
        (
            "Go down from the Deployment to its Pods: who complains?",
            "kubectl describe pods -l app=shop shows events. What do they say about the probe?",
            "The app listens on port 8000. Change the port of the readiness probe.",
        ),
    ),
)
