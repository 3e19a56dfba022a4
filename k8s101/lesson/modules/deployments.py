"""Module 06, Deployments: what it asks."""

from __future__ import annotations

from typing import Any

from k8s101.lesson.api.diagnose import pods_of
from k8s101.lesson.api.names import condition, ready, version
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.modules.deployments_exercises import EXERCISES
from k8s101.lesson.pictures import graph
from k8s101.lesson.quiz.bank import Before, Option, Question, among
from k8s101.lesson.quiz.checking import existing

__all__ = ["EXERCISES", "QUESTIONS"]


def _hello(api: Api) -> Object:
    return existing(api, "deployment/hello")


def _tree(before: Before, api: Api) -> str:
    nodes = len(graph.collect(api).below(_hello(api)["metadata"]["uid"]).nodes)
    return among(nodes, {1: "one", 3: "three", 4: "four", 5: "five"})


def _lost(before: Before, api: Api) -> str:
    pods = [pod for pod in pods_of(api, _hello(api)) if ready(pod)]
    if len(pods) < int(_hello(api)["spec"]["replicas"]):
        return "short"
    return "new" if {pod["metadata"]["uid"] for pod in pods} - before.pods.keys() else "same"


def _totals(api: Api) -> dict[str, Any]:
    path = f"/api/v1/namespaces/{api.namespace}/services/loop:8001/proxy/totals"
    return dict(api.rest.call("GET", path))


def _failed(before: Before, api: Api) -> str:
    totals = _totals(api)
    if totals["failed"] == 0:
        return "none"
    return "third" if totals["failed"] > totals["requests"] / 5 else "in-flight"


def _bad_release(before: Before, api: Api) -> str:
    deployment = _hello(api)
    if version(deployment) != "1.1.1":
        return "undone"
    if condition(deployment, "Progressing").get("reason") == "ProgressDeadlineExceeded":
        return "half-way"
    return "replaced"


def _blind(before: Before, api: Api) -> str:
    if condition(_hello(api), "Progressing").get("reason") == "ProgressDeadlineExceeded":
        return "stalls"
    if version(_hello(api)) != "1.1.1":
        return "undone"
    totals = _totals(api)
    return "all" if totals["failed"] == totals["requests"] else "some"


def _share(before: Before, api: Api) -> str:
    answers = {found: sum(counts.values()) for found, counts in _totals(api)["versions"].items()}
    new = answers.get("2.0.0", 0) / sum(answers.values())
    return "half" if new > 0.35 else "sixth" if new > 0.05 else "none"


QUESTIONS = (
    Question(
        "tree",
        "You create one Deployment with three replicas. How many objects does its ownership tree hold?",
        {
            "one": Option("1", "You create one object, but the controllers create others that it owns."),
            "three": Option("3", "Three is the number of Pods. Whatever creates and counts them is an object, too."),
            "four": Option("4", "A Deployment does not create Pods itself; there is one more object in between."),
            "five": Option("5", "one Deployment, one ReplicaSet, three Pods"),
        },
        _tree,
    ),
    Question(
        "lost-pod",
        "You delete one of the three Pods. What happens?",
        {
            "short": Option(
                "two Pods are left until you act", "A controller compares all the time; nobody has to act."
            ),
            "same": Option(
                "the same Pod starts again",
                "A deleted Pod never comes back. Restarts happen to containers inside a Pod that still exists.",
            ),
            "new": Option("a new Pod with a new name takes its place", "the ReplicaSet wants three and counts two"),
            "protected": Option(
                "the deletion is refused", "You may delete any Pod. What the Deployment protects is their number."
            ),
        },
        _lost,
    ),
    Question(
        "failed-requests",
        "All five Pods are replaced while the client calls. How many of its requests fail?",
        {
            "none": Option("none", "only ready Pods get requests, and a Pod keeps serving while it terminates"),
            "in-flight": Option(
                "those in flight when a Pod stops",
                "A Pod is asked to stop first, and it has time to answer what it has accepted.",
            ),
            "third": Option(
                "about a third", "Pods are replaced a few at a time, and requests go only to those that are ready."
            ),
            "client": Option(
                "it depends on the client", "This client does nothing clever: it never retries a failed request."
            ),
        },
        _failed,
    ),
    Question(
        "paused",
        "You pause the Deployment, change two fields and resume it. How many rollouts follow?",
        {
            "two": Option("two", "Changes are not queued; only the template as it stands at the end counts."),
            "one": Option("one", "only the template as it stands at the end counts"),
            "none": Option("none", "The changes are stored in the Deployment at once; only acting on them waits."),
        },
        "one",
    ),
    Question(
        "bad-release",
        "Release 1.1.1 answers every request with status 500. What does its rollout do?",
        {
            "replaced": Option(
                "it replaces all Pods", "All but one of the old Pods wait until new ones are ready, and here none is."
            ),
            "half-way": Option("it stops half-way", "the new Pods never become ready, so most of the old ones stay"),
            "undone": Option(
                "Kubernetes undoes it", "Kubernetes reports that the rollout is stuck. To undo it is your decision."
            ),
            "refused": Option(
                "it is refused before it starts", "Nobody knows that a release is bad before its first Pods run."
            ),
        },
        _bad_release,
    ),
    Question(
        "blind",
        "You roll out release 1.1.1 again, with a probe on /healthz. What happens?",
        {
            "stalls": Option(
                "the rollout stops half-way again", "A Pod is ready when its probe succeeds, and this probe gets 200."
            ),
            "some": Option(
                "the rollout succeeds, and some requests fail", "When it has ended, no old Pod is left to answer."
            ),
            "all": Option(
                "the rollout succeeds, and every request fails", "the probe gets 200, so all Pods are replaced"
            ),
            "undone": Option(
                "Kubernetes sees the errors and undoes it",
                "Kubernetes does not look at what users get. It knows only what the probe says.",
            ),
        },
        _blind,
    ),
    Question(
        "share",
        "Five Pods of 1.1.0 and one Pod of 2.0.0 have the label that Service hello selects. Which share of the "
        "requests does 2.0.0 get?",
        {
            "none": Option(
                "none before the Service is changed", "The Service selects by label, and the new Pod has that label."
            ),
            "sixth": Option("about a sixth", "for each connection, a Service picks one of all its ready Pods"),
            "half": Option("about half", "The Service knows nothing of Deployments. It chooses among Pods."),
        },
        _share,
    ),
    Question(
        "new-rollout",
        "What makes a Deployment replace its Pods?",
        {
            "any": Option(
                "any change of the Deployment", "A new number of replicas only adds or deletes Pods, for example."
            ),
            "template": Option(
                "a change of its Pod template", "a changed template is a new revision, with a ReplicaSet of its own"
            ),
            "used": Option(
                "a change of anything that its Pods use",
                "It compares templates. It does not look at the objects that a template refers to.",
            ),
        },
        "template",
    ),
    Question(
        "ended",
        "The only container of a Deployment's Pod ends without an error. What happens?",
        {
            "completed": Option("the Pod is completed", "The Pods of a Deployment are meant to run all the time."),
            "restarted": Option("the container is started again", "the Pods of a Deployment have restartPolicy Always"),
            "replaced": Option(
                "the Pod is deleted and replaced", "The Pod stays. The kubelet restarts containers inside it."
            ),
        },
        "restarted",
    ),
    Question(
        "keeper",
        "A Pod of a Deployment is deleted. Who counts the Pods and creates a new one?",
        {
            "kubelet": Option(
                "the kubelet of its node", "A kubelet runs the Pods that are assigned to its node; it creates none."
            ),
            "replicaset": Option(
                "the ReplicaSet's controller", "the Deployment owns a ReplicaSet, and that keeps the number of Pods"
            ),
            "scheduler": Option("the scheduler", "The scheduler assigns a node to a Pod that somebody else created."),
        },
        "replicaset",
    ),
    Question(
        "pre-stop",
        "A Pod with preStop keeps serving for some seconds after you delete it. What are these seconds for?",
        {
            "log": Option(
                "so that they can write their logs", "A log is written while the app runs; nothing waits for it."
            ),
            "replacement": Option(
                "so that the replacement can start",
                "Nothing makes the old Pod wait for the new one; the Deployment's strategy takes care of that.",
            ),
            "nodes": Option(
                "until every node knows", "requests still arrive until every node has learned that the Pod is leaving"
            ),
        },
        "nodes",
    ),
    Question(
        "stalled",
        "A rollout of a Deployment makes no progress. What tells you?",
        {
            "condition": Option(
                "its condition Progressing becomes False", "after progressDeadlineSeconds; what to do is your decision"
            ),
            "undone": Option("Kubernetes undoes the rollout", "It reports and waits. What to do is your decision."),
            "nothing": Option("nothing does", "The Deployment's status has a condition for it, with a deadline."),
        },
        "condition",
    ),
    Question(
        "recreate",
        "A Deployment has the strategy Recreate. What does a rollout do first?",
        {
            "starts": Option("it starts one new Pod", "That is a rolling update with maxSurge 1."),
            "stops": Option("it stops all old Pods", "so two versions never run side by side"),
            "waits": Option("it waits until nobody calls the app", "A Deployment does not look at requests."),
        },
        "stops",
    ),
    Question(
        "undo-from",
        "You undo a rollout of a Deployment. Where does the old Pod template come from?",
        {
            "etcd": Option("from etcd, which keeps old versions of each object", "It keeps them for minutes only."),
            "file": Option("from the file that you applied", "The cluster never sees your file again."),
            "replicaset": Option("from an old ReplicaSet", "it is kept with zero Pods for that"),
        },
        "replicaset",
    ),
    Question(
        "owner",
        "A ReplicaSet names a Deployment in its ownerReferences. Somebody deletes the Deployment. What happens to the "
        "ReplicaSet?",
        {
            "stays": Option("it stays, without an owner", "Only if somebody deletes the owner with --cascade=orphan."),
            "deleted": Option("it is deleted, too", "the garbage collector deletes what has no owner any more"),
            "refused": Option("the deletion is refused", "An owner may be deleted. What it owns follows."),
        },
        "deleted",
    ),
    Question(
        "scale-right",
        "A program should change the number of an app's replicas, and nothing else. Which right does it need?",
        {
            "deployments": Option(
                "to change Deployments", "With that right it could change the image and everything else, too."
            ),
            "pods": Option("to create and delete Pods", "The ReplicaSet's controller does that for it."),
            "scale": Option("to change the subresource scale", "it holds the number of replicas only"),
        },
        "scale",
    ),
)
