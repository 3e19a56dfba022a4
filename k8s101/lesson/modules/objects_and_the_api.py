"""Module 02, Objects and the API: what it asks."""

from __future__ import annotations

from k8s101.lesson.api.diagnose import pods_of
from k8s101.lesson.api.session import Api
from k8s101.lesson.modules.objects_and_the_api_exercises import EXERCISES
from k8s101.lesson.quiz.bank import Before, Option, Question, among
from k8s101.lesson.quiz.checking import existing

__all__ = ["EXERCISES", "KINDS", "QUESTIONS", "TEAM"]

KINDS = (
    *("Pod", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"),
    *("Service", "Endpoints", "EndpointSlice", "Ingress"),
    *("ConfigMap", "Secret", "PersistentVolume", "PersistentVolumeClaim", "StorageClass"),
)
"""The kinds of objects that this series is about."""

TEAM = "k8s101-objects-and-the-api-team"


def _without_namespace(before: Before, api: Api) -> str:
    count = sum(not api.rest.resource(kind).namespaced for kind in KINDS)
    return among(count, {0: "none", 2: "two", 3: "three"})


def _dry_run(before: Before, api: Api) -> str:
    return "stored" if api.get("deployment/hello") else "checked"


def _not_canary(before: Before, api: Api) -> str:
    found = api.list("Pod", "track!=canary")
    without = [pod for pod in found if "track" not in pod["metadata"]["labels"]]
    return "both" if without else "hello"


def _stray(before: Before, api: Api) -> str:
    stray = existing(api, "pod/stray")
    pods = {pod["metadata"]["name"] for pod in pods_of(api, existing(api, "deployment/hello"))}
    if stray["metadata"]["name"] in pods:
        return "both"
    slices = api.list("EndpointSlice", "kubernetes.io/service-name=hello")
    behind = {entry["targetRef"]["name"] for piece in slices for entry in piece.get("endpoints") or []}
    return "service" if "stray" in behind else "neither"


def _replicas(api: Api) -> int:
    return int(existing(api, "deployment/hello")["spec"]["replicas"])


def _last_apply(before: Before, api: Api) -> str:
    return "overwrites" if _replicas(api) == 2 else "unchanged"


def _conflict(before: Before, api: Api) -> str:
    return "refused" if _replicas(api) == 4 else "overwrites"


def _same_name(before: Before, api: Api) -> str:
    mine, theirs = api.get("deployment/hello"), api.rest.get("Deployment", "hello", TEAM)
    if theirs is None:
        return "refused"
    other = mine is not None and mine["metadata"]["uid"] != theirs["metadata"]["uid"]
    return "two" if other else "changed"


def _mistakes(before: Before, api: Api) -> str:
    return "one" if api.get("service/typo") else "none"


QUESTIONS = (
    Question(
        "selector",
        "What ties a Service to its Pods?",
        {
            "name": Option("the name of the Deployment", "A Service knows nothing of Deployments."),
            "labels": Option("a selector that matches the Pods' labels", "any Pod that has the labels belongs to it"),
            "list": Option(
                "a list of Pod names in the Service", "Names change with every Pod; nobody could keep such a list."
            ),
        },
        "labels",
    ),
    Question(
        "status",
        "You want three copies. Where do you read how many there really are?",
        {
            "spec": Option("in spec", "That is what you want; the cluster does not write there."),
            "status": Option("in status", "controllers write there what they see"),
            "metadata": Option("in metadata", "It holds the name, the labels and who wrote what."),
        },
        "status",
    ),
    Question(
        "completes",
        "You may create Pods, and your manifest is correct. Who can still change the Pod, or refuse it, before it is "
        "stored?",
        {
            "authentication": Option("authentication", "It only finds out who sends the request."),
            "authorization": Option(
                "authorization", "It says whether this user may do that, whatever the object says."
            ),
            "admission": Option("admission", "it completes each object and checks it, after rights have been checked"),
        },
        "admission",
    ),
    Question(
        "no-namespace",
        "Which of these objects belongs to no namespace?",
        {
            "pod": Option("a Pod", "A Pod lives in a namespace, whatever node it runs on."),
            "secret": Option("a Secret", "A Secret lives in a namespace, and only Pods in there can use it."),
            "node": Option("a Node", "a Node belongs to the whole cluster"),
        },
        "node",
    ),
    Question(
        "namesakes",
        "Two Deployments in one cluster are named hello. How can that be?",
        {
            "namespaces": Option(
                "they are in different namespaces", "a name must be unique only for its kind in its namespace"
            ),
            "replaced": Option(
                "the second one replaces the first", "In one namespace it would change the first. Here there are two."
            ),
            "suffix": Option(
                "Kubernetes adds something to the second name", "It does so for Pods that a controller creates only."
            ),
        },
        "namespaces",
    ),
    Question(
        "immutable",
        "You apply a manifest, and the answer is “field is immutable”. What has happened?",
        {
            "rights": Option("you lack a right", "Then the message would begin with Forbidden and name you."),
            "typo": Option("the field's name is misspelt", "Then the message would say unknown field."),
            "fixed": Option(
                "the field exists, and it can't change after the object was created",
                "create another object, and delete the old one",
            ),
        },
        "fixed",
    ),
    Question(
        "scope",
        "The sixteen kinds run containers, make Pods reachable, hold settings and provide storage. How many of them "
        "belong to no namespace?",
        {
            "none": Option("none", "A piece of storage is there for the whole cluster, whoever claims it."),
            "two": Option("two", "PersistentVolume and StorageClass belong to the whole cluster"),
            "three": Option("three, all of storage", "A claim lives in the namespace of the Pod that uses it."),
        },
        _without_namespace,
    ),
    Question(
        "dry-run",
        "You send hello.yaml to the server with --dry-run=server. What happens?",
        {
            "client": Option("nothing is sent, kubectl only reads the file", "That is what --dry-run=client does."),
            "checked": Option("it is checked, then forgotten", "you get the object as it would be, with all defaults"),
            "stored": Option("the object is stored, but no Pod starts", "A dry run stops before storing."),
        },
        _dry_run,
    ),
    Question(
        "not-canary",
        "Which Pods does the selector track!=canary choose?",
        {
            "hello": Option("those of hello", "A Pod without the label is not a canary either."),
            "both": Option("those of hello and of store", "a Pod that lacks the label is chosen, too"),
            "none": Option("none: a selector cannot say no", "It can: != and notin, and !track for “lacks the label”."),
        },
        _not_canary,
    ),
    Question(
        "stray",
        "You create one more Pod, stray, with the labels that both Service hello and Deployment hello select. "
        "Who takes it in?",
        {
            "both": Option(
                "both", "The Deployment looks at labels, too, but it counts only what one of its ReplicaSets owns."
            ),
            "service": Option("only the Service", "a Service goes by labels, a Deployment also by owner references"),
            "neither": Option(
                "neither: it was created by hand", "A Service does not ask who created a Pod, only for its labels."
            ),
        },
        _stray,
    ),
    Question(
        "last-apply",
        "hello.yaml says 2 replicas, the autoscaler has set 4. You run kubectl apply -f hello.yaml again. "
        "What happens?",
        {
            "unchanged": Option(
                "unchanged: the file is the same as before", "kubectl compares the file with the live object, too."
            ),
            "refused": Option(
                "it is refused: somebody else has set the field", "Plain apply does not know who has set a field."
            ),
            "overwrites": Option("it sets 2 again, without a word", "the last one wins, and nobody is told"),
        },
        _last_apply,
    ),
    Question(
        "conflict",
        "Now you apply the same file with --server-side. What happens?",
        {
            "overwrites": Option(
                "it sets 2 again", "Plain apply did that; server-side apply looks at who has set the field."
            ),
            "refused": Option("the API server refuses", "the autoscaler has set the field, so you have to decide"),
            "higher": Option(
                "both are noted, the higher number counts", "A field has one value, and the API server does not choose."
            ),
        },
        _conflict,
    ),
    Question(
        "same-name",
        "Another team creates a Deployment named hello, in its own namespace. What happens?",
        {
            "refused": Option(
                "it is refused: the name is taken", "A name must be unique only in its namespace, for its kind."
            ),
            "changed": Option("yours is changed", "An object is found by namespace, kind and name together."),
            "two": Option(
                "there are two, independent of each other", "namespace, kind and name together tell them apart"
            ),
        },
        _same_name,
    ),
    Question(
        "mistakes",
        "Seven manifests, one mistake in each. How many does the API server accept?",
        {
            "none": Option("none", "It knows what is possible, and it can't know what you mean."),
            "one": Option("one", "a selector that matches nothing might be what you mean"),
            "all": Option("all: mistakes show up later", "Most mistakes are refused before anything is stored."),
        },
        _mistakes,
    ),
)
