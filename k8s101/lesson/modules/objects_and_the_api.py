"""Module 02, Objects and the API: what it asks and how its exercises are checked."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from k8s101.cluster.values.deadline import until
from k8s101.cluster.values.settings import ROOT
from k8s101.lesson.api.diagnose import pods_of, why_service
from k8s101.lesson.api.names import ready, version
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import settled
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Option, Question, among
from k8s101.lesson.quiz.checking import begun, expect, same_version

FAMILIES = {
    "workloads": ("Pod", "ReplicaSet", "Job", "CronJob", "DaemonSet", "StatefulSet", "Deployment"),
    "services": ("Service", "Endpoints", "EndpointSlice", "Ingress"),
    "config": ("ConfigMap", "Secret"),
    "storage": ("PersistentVolume", "PersistentVolumeClaim", "StorageClass"),
}
"""The kinds of objects that this series is about."""

TEAM = "k8s101-objects-team"
AUTOSCALER = "autoscaler"
ENDPOINT_SECONDS = 5


def home(kind: str) -> str:
    """Return the number of the module that makes an object of a kind: the last one that its row of coverage names.

    Args:
        kind: one of `FAMILIES`.
    """
    slug = {"EndpointSlice": "endpoints"}.get(kind, kind.lower())
    rows = yaml.safe_load((ROOT / "notebooks/coverage.yml").read_text(encoding="utf-8"))["rows"]
    return str(next(row["modules"][-1] for row in rows if row["row"] == f"slide:kind-{slug}"))


def _without_namespace(before: Before, api: Api) -> str:
    kinds = [kind for family in FAMILIES.values() for kind in family]
    count = sum(not api.rest.resource(kind).namespaced for kind in kinds)
    return among(count, {0: "none", 2: "two", 3: "three"})


def _dry_run(before: Before, api: Api) -> str:
    return "stored" if api.get("deployment/hello") else "checked"


def _not_canary(before: Before, api: Api) -> str:
    found = api.list("Pod", "track!=canary")
    without = [pod for pod in found if "track" not in pod["metadata"]["labels"]]
    return "both" if without else "hello"


def _conflict(before: Before, api: Api) -> str:
    wanted = (api.get("deployment/hello") or {})["spec"]["replicas"]
    return "refused" if wanted == 2 else "last"


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
            "labels": Option("a selector that matches the Pods' labels", "any Pod that bears the labels belongs to it"),
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
            "metadata": Option("in metadata", "It holds name, labels and who wrote what."),
        },
        "status",
    ),
    Question(
        "scope",
        "The table has kinds of workloads, services, config and storage. Which of them belong to no namespace?",
        {
            "none": Option("none", "A disk is there for the whole cluster, whoever claims it."),
            "two": Option("two of them", "PersistentVolume and StorageClass belong to the cluster"),
            "three": Option("the three of storage", "A claim lies in the namespace of the Pod that uses it."),
        },
        _without_namespace,
    ),
    Question(
        "dry-run",
        "You send hello.yaml as a dry run on the server. What happens?",
        {
            "client": Option("nothing is sent: the file is only read", "That would be a dry run on the client."),
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
            "both": Option("those of hello and of the store", "a Pod that lacks the label is chosen, too"),
            "none": Option("none: a selector cannot say no", "!= and notin exist, and !track for “lacks the label”."),
        },
        _not_canary,
    ),
    Question(
        "conflict",
        "Your manifest says 2 replicas, the autoscaler applies 4 under its own name. What happens?",
        {
            "last": Option("the last one wins: 4", "So it was with plain updates; apply looks at who set the field."),
            "refused": Option("the API server refuses", "the field is yours, so the other has to ask"),
            "both": Option(
                "both are noted, the higher one counts", "A field has one value, and the API server does not choose."
            ),
        },
        _conflict,
    ),
    Question(
        "same-name",
        "Another team makes a Deployment named hello, in its own namespace. What happens?",
        {
            "refused": Option(
                "it is refused: the name is taken", "A name must be unique only in its namespace, for its kind."
            ),
            "changed": Option("the first one is changed", "An object is found by namespace and name together."),
            "two": Option(
                "there are two, apart from each other", "namespace, kind and name together make the difference"
            ),
        },
        _same_name,
    ),
    Question(
        "mistakes",
        "Seven manifests, one mistake in each. How many does the API server accept?",
        {
            "none": Option("none", "It knows what is possible, not what you mean."),
            "one": Option("one", "a selector that matches nothing may be meant so"),
            "all": Option("all: errors show up later", "Most mistakes are refused before anything is stored."),
        },
        _mistakes,
    ),
)


def _front(api: Api) -> Iterator[Finding]:
    """Compare the endpoints with the Pods that the Deployment owns, whatever selector led to them."""
    settled("deployment/hello")
    wanted = {pod["metadata"]["name"] for pod in pods_of(api, api.get("deployment/hello") or _nobody()) if ready(pod)}
    chosen = _endpoints(api, "front", wanted)
    if not chosen:
        yield Finding(False, why_service(api, api.get("service/front") or {}))
        return
    yield Finding(True, f"Service front sends requests to {len(chosen)} Pods")
    others = sorted({name.rsplit("-", 2)[0] for name in chosen - wanted})
    yield expect(not others, "all of them are stable Pods of hello", f"some of them are Pods of {', '.join(others)}")
    missing = len(wanted - chosen)
    yield expect(not missing, "no stable Pod is left out", f"{missing} stable Pods are left out")


def _release_begun(api: Api) -> str | None:
    return "hello still asks for 1.0.0" if version(api.get("deployment/hello") or _nobody()) == "1.0.0" else None


def _release(api: Api) -> Iterator[Finding]:
    owners = _owners(api.get("deployment/hello") or _nobody())
    if AUTOSCALER not in owners:
        taker = owners[0] if owners else "nobody"
        back = "run the cells of “Share an object” again, then change the image only"
        yield Finding(False, f"replicas belongs to {taker} now: {back}")
        return
    yield Finding(True, "replicas belongs to the autoscaler")
    others = sorted(set(owners) - {AUTOSCALER})
    yield expect(
        not others,
        "and to nobody else",
        f"{', '.join(others)} claims replicas, too: leave it out of your manifest and apply again",
    )
    trouble = settled("deployment/hello")
    if trouble:
        yield Finding(False, trouble)
        return
    hello = api.get("deployment/hello") or _nobody()
    pods = [pod for pod in pods_of(api, hello) if ready(pod)]
    yield same_version(pods, "1.1.0")
    yield expect(len(pods) == 4, f"{len(pods)} Pods are ready", f"{len(pods)} Pods are ready, the autoscaler wants 4")


def _nobody() -> Object:
    return {"metadata": {"uid": ""}, "spec": {"containers": [{"image": ":1.0.0"}]}}


def _owners(item: Object) -> list[str]:
    """Return the field managers that set how many Pods there shall be."""
    entries = item["metadata"].get("managedFields") or []
    return [entry["manager"] for entry in entries if "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})]


def _endpoints(api: Api, service: str, hoped: set[str]) -> set[str]:
    """Return the Pods that a Service sends requests to; its controller may need a moment after a change."""

    def names() -> set[str]:
        slices = api.list("EndpointSlice", f"kubernetes.io/service-name={service}")
        entries = [entry for piece in slices for entry in piece.get("endpoints") or []]
        return {entry["targetRef"]["name"] for entry in entries if entry["conditions"].get("ready")}

    until(lambda: names() == hoped, ENDPOINT_SECONDS, every=0.2)
    return names()


EXERCISES = (
    Exercise(
        "front",
        begun("Service", "front"),
        _front,
        (
            "Which two labels do the Pods of hello bear?",
            'show("hello.yaml"): template, metadata, labels. kubectl("get pods --show-labels") shows all.',
            'app="hello", track="stable"',
        ),
    ),
    Exercise(
        "release",
        _release_begun,
        _release,
        (
            "Which fields does your manifest claim? Only those that stand in it.",
            'show("hello-shared.yaml") claims no replicas. kubectl("set image --help") is another way.',
            'apply("hello-shared.yaml", version="1.1.0")',
        ),
    ),
)
