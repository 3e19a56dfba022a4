"""Module 08, Services: how its exercises are checked."""

from __future__ import annotations

from collections.abc import Iterator

from kubernetes.client.exceptions import ApiException

from k8s101.cluster.values.deadline import until
from k8s101.lesson.api.diagnose import pods_of, ready_endpoints, why_service
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import begun, existing, expect

ANSWER_SECONDS = 10
LIST_SECONDS = 5
LISTENS = 8000

FRONT = {"port": 8080, "nodePort": 30088}
CHECKOUT_SELECTOR = {"app": "checkout"}
"""The selector of exercise 3 as it is prepared: too wide."""

CHECKOUT_PODS = 2
UNTOUCHED = 1
"""The generation of a Deployment that nobody has changed since it was created."""


def _answered(api: Api, service: str, port: int) -> bool:
    """Tell whether the app answers; the API server hears of a new Service's endpoints a moment later than we do."""
    path = f"/api/v1/namespaces/{api.namespace}/services/{service}:{port}/proxy/"
    try:
        return "hello" in until(lambda: api.rest.text(path), ANSWER_SECONDS, every=0.2, errors=(ApiException,))
    except ApiException:
        return False


def wait_until_listed(api: Api, service: Object) -> None:
    """Wait a moment until every ready Pod that a Service selects is behind it: slices follow a little later.

    Args:
        api: the lesson.
        service: the Service.
    """
    selector = ",".join(f"{key}={value}" for key, value in (service["spec"].get("selector") or {}).items())

    def listed() -> bool:
        return ready_endpoints(api, service) == sum(ready(pod) for pod in api.list("Pod", selector))

    if selector:
        until(listed, LIST_SECONDS)


def _slices(api: Api, service: str) -> list[Object]:
    return api.list("EndpointSlice", f"kubernetes.io/service-name={service}")


def entries(api: Api, service: str) -> list[Object]:
    """Return everything that is listed behind a Service, ready or not.

    Args:
        api: the lesson.
        service: its name.
    """
    return [entry for piece in _slices(api, service) for entry in piece.get("endpoints") or []]


def _behind(api: Api, service: str) -> set[str]:
    """Return the uids of the Pods that get a Service's requests."""
    listed = [entry for entry in entries(api, service) if entry["conditions"].get("ready")]
    return {entry.get("targetRef", {}).get("uid", "") for entry in listed}


def _targets(api: Api, service: str) -> set[int]:
    """Return the ports to which a Service sends requests."""
    return {port["port"] for piece in _slices(api, service) for port in piece.get("ports") or []}


def _at_the_port(api: Api, name: str) -> Finding:
    """Say whether a Service sends requests to the port on which hello listens."""
    targets = _targets(api, name)
    if not targets:
        wanted = existing(api, f"service/{name}")["spec"]["ports"][0].get("targetPort")
        return Finding(False, f"no container of its Pods has a port named {wanted}")
    wrong = (
        f"{name} sends requests to port {min(targets)} of its Pods, where nobody listens; hello listens on {LISTENS}"
    )
    return expect(targets == {LISTENS}, f"at their port {LISTENS}", wrong)


def _front(api: Api) -> Iterator[Finding]:
    service = existing(api, "service/front")
    wait_until_listed(api, service)
    count = ready_endpoints(api, service)
    yield expect(count, f"front leads to {count} Pods", lambda: why_service(api, service))
    yield _at_the_port(api, "front")
    port, kind = service["spec"]["ports"][0], service["spec"]["type"]
    inside, outside = port["port"], port.get("nodePort")
    listens = f"front listens on port {inside}, the task asks for {FRONT['port']}"
    yield expect(inside == FRONT["port"], f"inside it listens on port {inside}", listens)
    yield expect(outside, "every node opens a port for it", f"front is a {kind}: no node opens a port for it")
    other = f"the nodes open port {outside}, the task asks for {FRONT['nodePort']}"
    yield expect(outside == FRONT["nodePort"], f"this port is {outside}", other)
    affinity = service["spec"].get("sessionAffinity")
    loose = "the calls of one client go to any Pod: nothing keeps the client with one of them"
    yield expect(affinity == "ClientIP", "a client stays with its Pod", loose)
    yield expect(_answered(api, "front", inside), "hello answers through it", "nobody answers through it")


def _shop(api: Api) -> Iterator[Finding]:
    service = existing(api, "service/shop")
    wait_until_listed(api, service)
    uids = _behind(api, "shop")
    apps = {pod["metadata"]["labels"].get("app", "") for pod in api.list("Pod") if pod["metadata"]["uid"] in uids}
    yield expect(uids, f"shop leads to {len(uids)} Pods", lambda: why_service(api, service))
    selector = ",".join(f"{key}={value}" for key, value in (service["spec"].get("selector") or {}).items())
    for app in ("hello", "next"):
        missing = f"no Pod of {app} is behind shop: its selector {selector} leaves them out"
        yield expect(app in apps, f"some of them are Pods of {app}", missing)
    others = sorted(apps - {"hello", "next"})
    yield expect(not others, "there are no others", f"Pods of {', '.join(others)} are behind shop, too")
    headless = service["spec"].get("clusterIP") == "None"
    yield expect(not headless, "it has an address of its own", "it has no address: clusterIP is None")
    yield _at_the_port(api, "shop")
    port = service["spec"]["ports"][0]["port"]
    yield expect(port == 80, f"it listens on port {port}", f"it listens on port {port}, the task asks for 80")
    yield expect(_answered(api, "shop", 80), "hello answers through it", "nobody answers through it")


def _checkout_begun(api: Api) -> str | None:
    service = api.get("service/checkout")
    if service is None:
        return None if api.get("deployment/checkout") else "there is no Service checkout yet"
    found = [api.get(f"deployment/{name}") for name in ("checkout", "checkout-mails")]
    touched = any(each is None or each["metadata"]["generation"] != UNTOUCHED for each in found)
    relabelled = [pod for pod in api.list("Pod", "part=mails") if pod["metadata"]["labels"].get("app") != "checkout"]
    if touched or relabelled or service["spec"].get("selector") != CHECKOUT_SELECTOR:
        return None
    return "checkout is as your colleague left it"


def _checkout(api: Api) -> Iterator[Finding]:
    for name in ("checkout", "checkout-mails"):
        count = len(_ready_pods(api, name))
        missing = f"{name} has {count} ready Pods; it had {CHECKOUT_PODS}, and both are needed"
        yield expect(count >= CHECKOUT_PODS, f"{name} has {count} ready Pods", missing)
    if api.get("service/checkout") is None:
        yield Finding(False, "there is no Service checkout: its clients do not find its name")
        return
    service = existing(api, "service/checkout")
    wait_until_listed(api, service)
    behind, web = _behind(api, "checkout"), _ready_pods(api, "checkout")
    yield expect(behind, "Service checkout leads to Pods", "nobody answers any more: Service checkout leads to no Pod")
    yield expect(behind <= web, "every request reaches a Pod that answers", "some requests are still refused")
    yield expect(behind == web, "all of its Pods get requests", f"{len(behind)} of its {len(web)} Pods get requests")
    port = service["spec"]["ports"][0]["port"]
    yield expect(port == 80, "at the same port as before", f"its clients call port 80, and it listens on {port}")
    yield expect(_answered(api, "checkout", 80), "it answers", "nobody answers at port 80")


def _ready_pods(api: Api, name: str) -> set[str]:
    """Return the uids of the ready Pods of a Deployment."""
    deployment = api.get(f"deployment/{name}")
    pods = pods_of(api, deployment) if deployment else []
    return {pod["metadata"]["uid"] for pod in pods if ready(pod) and "deletionTimestamp" not in pod["metadata"]}


EXERCISES = (
    Exercise(
        "front",
        begun("Service", "front"),
        _front,
        (
            "Four things differ from the Service you know: what opens a port on the nodes, which one, the port inside, "
            "and who stays with whom.",
            "types.yaml opens a port on every node. `kubectl explain service.spec` describes the field that keeps a "
            "client with its Pod; the step about connections names it.",
            "type: NodePort and sessionAffinity: ClientIP under spec; port: 8080, targetPort: http and nodePort: 30088 "
            "under ports.",
        ),
    ),
    Exercise(
        "shop",
        begun("Service", "shop"),
        _shop,
        (
            "Which label do the Pods of both Deployments have, and no other Pod? `kubectl get pods --show-labels`",
            "A Service's selector is its own. It need not be the selector of any Deployment, but kubectl expose copies "
            "it from the Deployment that you name.",
            "In shop.yaml: selector tier: web instead of app: hello, port 80, targetPort http.",
        ),
    ),
    Exercise(
        "checkout",
        _checkout_begun,
        _checkout,
        (
            "Some requests are answered, others are refused at once. So there are Pods behind the Service that do not "
            "listen. How many Pods are behind it, and how many should be?",
            "Compare `kubectl get endpointslices -l kubernetes.io/service-name=checkout` with "
            "`kubectl get pods -l app=checkout --show-labels`.",
            "The selector app=checkout also matches the Pods of checkout-mails. Which label do only the others have? "
            "kubectl set selector takes more than one, separated by commas.",
        ),
    ),
)
