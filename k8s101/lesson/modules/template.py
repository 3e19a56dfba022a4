"""The template of a module: one question of each kind and one exercise, for authors to copy."""

from __future__ import annotations

from collections.abc import Iterator

from k8s101.lesson.api.names import ready
from k8s101.lesson.api.session import Api
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Option, Question, among
from k8s101.lesson.quiz.checking import expect


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
            "kubelet": Option("kubelet", "It knows the Pods of its own node only."),
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
            "lost": Option("one Pod is left", "You asked for two, and that wish still stands."),
            "same": Option("the same Pod comes back", "A deleted Pod never comes back."),
            "new": Option("a new Pod takes its place", "the ReplicaSet counts and makes another"),
        },
        _lost,
    ),
    Question(
        "log",
        "You ask for the log of the Deployment. Whose lines come?",
        {
            "all": Option("of all its Pods", "For all of them, choose them by label."),
            "one": Option("of one of its Pods", "kubectl picks one, which is rarely what you want"),
            "none": Option("of nobody: a Deployment has no log", "It has none, but kubectl goes on to its Pods."),
        },
        _logs,
    ),
    Question(
        "image",
        "You ask for a version that does not exist. What happens?",
        {
            "refused": Option("nothing: the API refuses it", "The API server does not look for images."),
            "waits": Option(
                "the Pods wait, without a container",
                "only the node's runtime looks for the image, and does not find it",
            ),
            "gone": Option("all Pods go", "Old Pods stay until new ones are ready."),
        },
        _image,
    ),
)


def _scaled_begun(api: Api) -> str | None:
    wanted = int((api.get("deployment/hello") or {}).get("spec", {}).get("replicas", 0))
    return None if wanted > 2 else "hello still has two copies, or none"


def _scaled(api: Api) -> Iterator[Finding]:
    count = sum(1 for pod in api.list("Pod", "app=hello") if ready(pod))
    yield expect(count == 3, f"hello has {count} ready Pods", f"hello has {count} ready Pods, the task wants 3")


EXERCISES = (
    Exercise(
        "three",
        _scaled_begun,
        _scaled,
        (
            "Which number in the manifest says how many?",
            "It is spec.replicas of deployment/hello; there is a command that changes only that.",
            'kubectl("scale deployment hello --replicas=3")',
        ),
    ),
)
