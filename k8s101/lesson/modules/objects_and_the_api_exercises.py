"""Module 02, Objects and the API: how its exercises are checked."""

from __future__ import annotations

from collections.abc import Iterator

from k8s101.cluster.values.deadline import until
from k8s101.lesson.api.diagnose import pods_of, why_service
from k8s101.lesson.api.names import ready, version
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import begun, existing, expect, same_version, settles

AUTOSCALER = "autoscaler"
ENDPOINT_SECONDS = 5
BACK = "run the cell with autoscale(4) again, and leave replicas out of what you apply"


def _release_begun(api: Api) -> str | None:
    return "hello still asks for 1.0.0" if version(existing(api, "deployment/hello")) == "1.0.0" else None


def _release(api: Api) -> Iterator[Finding]:
    hello = existing(api, "deployment/hello")
    wanted = hello["spec"]["replicas"]
    owners = _owners(hello)
    if AUTOSCALER not in owners:
        taker = owners[0] if owners else "nobody"
        yield Finding(False, f"replicas belongs to {taker} now, and it is {wanted}: {BACK}")
        return
    yield Finding(True, "replicas belongs to the autoscaler")
    others = sorted(set(owners) - {AUTOSCALER})
    yield expect(not others, "and to nobody else", f"{', '.join(others)} has set replicas, too: {BACK}")
    yield settles("deployment/hello", "hello has rolled out")
    pods = [pod for pod in pods_of(api, hello) if ready(pod)]
    yield same_version(pods, "1.1.0")
    lacking = sum(pod["metadata"]["labels"].get("tier") != "web" for pod in pods)
    yield expect(not lacking, "each has the label tier=web", f"{lacking} of {len(pods)} Pods lack the label tier=web")
    kept = hello["spec"]["template"]["metadata"]["labels"].get("tier") == "web"
    yield expect(
        kept,
        "and so will every Pod that replaces one of them",
        "these Pods have the label, but the template lacks it: the next Pod will be without it",
    )
    yield expect(len(pods) == 4, f"{len(pods)} Pods are ready", f"{len(pods)} Pods are ready, the task wants 4")


def _owners(item: Object) -> list[str]:
    """Return the field managers that have set the number of replicas."""
    entries = item["metadata"].get("managedFields") or []
    return [entry["manager"] for entry in entries if "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})]


def _front(api: Api) -> Iterator[Finding]:
    """Compare the endpoints with the Pods that the Deployment owns, whatever selector led to them."""
    yield settles("deployment/hello", "Deployment hello is ready")
    hello = existing(api, "deployment/hello")
    wanted = {pod["metadata"]["name"] for pod in pods_of(api, hello) if ready(pod)}
    yield from _sends_to(api, "front", wanted, "stable Pods of hello")
    notes = existing(api, "service/front")["metadata"].get("annotations") or {}
    labels = existing(api, "service/front")["metadata"].get("labels") or {}
    told = "there is no annotation example.com/contact"
    if "example.com/contact" in labels:
        told += "; what you have written is a label"
    yield expect(notes.get("example.com/contact"), "an annotation says whom to call", told)


def _sends_to(api: Api, name: str, wanted: set[str], whose: str) -> Iterator[Finding]:
    """Say whether a Service sends requests to these Pods and to no others."""
    service = existing(api, f"service/{name}")
    ports = [port["port"] for port in service["spec"]["ports"]]
    targets = [port.get("targetPort") for port in service["spec"]["ports"] if port["port"] == 8000]
    yield expect(targets, f"Service {name} listens on port 8000", f"Service {name} listens on {ports}, not on 8000")
    yield expect(
        targets == [8000], "hello listens there", f"it sends requests on to port {targets}; hello listens on 8000"
    )
    chosen = _endpoints(api, name, wanted)
    yield expect(chosen, f"it sends requests to {len(chosen)} Pods", lambda: why_service(api, service))
    others = sorted({other.rsplit("-", 2)[0] for other in chosen - wanted})
    yield expect(not others, f"all of them are {whose}", f"some of them are Pods of {', '.join(others)}")
    missing = len(wanted - chosen)
    yield expect(not missing, "and none is left out", f"{missing} {whose} are left out")


def _endpoints(api: Api, service: str, hoped: set[str]) -> set[str]:
    """Return the Pods that a Service sends requests to; its controller may need a moment after a change."""

    def names() -> set[str]:
        slices = api.list("EndpointSlice", f"kubernetes.io/service-name={service}")
        entries = [entry for piece in slices for entry in piece.get("endpoints") or []]
        return {entry["targetRef"]["name"] for entry in entries if entry["conditions"].get("ready")}

    until(lambda: names() == hoped, ENDPOINT_SECONDS, every=0.2)
    return names()


def _market(api: Api) -> Iterator[Finding]:
    yield settles("deployment/market", "Deployment market has rolled out")
    pods = [pod for pod in pods_of(api, existing(api, "deployment/market")) if ready(pod)]
    yield expect(len(pods) == 3, "three Pods are ready", f"ready Pods: {len(pods)}, and the task wants three")
    yield same_version(pods, "1.1.0")
    if api.get("service/market") is None:
        yield Finding(False, "there is no Service market")
        return
    yield from _sends_to(api, "market", {pod["metadata"]["name"] for pod in pods}, "Pods of market")


EXERCISES = (
    Exercise(
        "release",
        _release_begun,
        _release,
        (
            "Which fields do you claim when you apply a file? Those that stand in it, and no others.",
            "The release is in the image's tag. The Pods get their labels from template, metadata, labels; the "
            "selector must stay as it is.",
            "tier: web among the template's labels, image k8s101.test/hello:1.1.0, no replicas; then "
            "kubectl apply --server-side -f with your file",
        ),
    ),
    Exercise(
        "front",
        begun("Service", "front"),
        _front,
        (
            "The draft selects app: front. Which labels do the Pods have that you mean?",
            "kubectl get pods --show-labels lists all labels. An annotation stands in metadata, next to labels.",
            "selector: app: hello and track: stable; metadata: annotations: example.com/contact: any text",
        ),
    ),
    Exercise(
        "market",
        begun("Deployment", "market"),
        _market,
        (
            "Repair what the message names, apply again, and read the next message. When nothing is refused any more, "
            "ask whether the Service has endpoints.",
            "kubectl explain deployment.spec lists the fields. Compare three pairs of labels: the Deployment's "
            "selector and its template, the Service's selector and the Pods, letter by letter.",
            "The field is called replicas; the template's label must be app: market; the Service selects tier: front, "
            "and the Pods have tier: frontend.",
        ),
    ),
)
