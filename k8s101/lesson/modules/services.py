"""Module 08, Services: what it asks and how its exercises are checked."""

from __future__ import annotations

from collections.abc import Iterator

from kubernetes.client.exceptions import ApiException

from k8s101.cluster.values.deadline import until
from k8s101.lesson.api.diagnose import ready_endpoints, why_service
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.shell import kubectl_path, run
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Option, Question
from k8s101.lesson.quiz.checking import begun, expect

ANSWER_SECONDS = 10
LIST_SECONDS = 5
LISTENS = 8000
CLIENT = "early"


def _inside(api: Api, pod: str, command: str) -> str:
    """Return what a shell command in a Pod prints."""
    words = [str(kubectl_path()), f"--namespace={api.namespace}", "exec", pod, "--", "sh", "-c", command]
    return run(words, command)


def _addresses(before: Before, api: Api) -> str:
    old = {pod["status"].get("podIP") for pod in before.pods.values() if _is_hello(pod)}
    new = {pod["status"].get("podIP") for pod in api.list("Pod", "app=hello") if ready(pod)}
    if not old & new:
        return "new"
    return "same" if old == new else "node"


def _is_hello(pod: Object) -> bool:
    return bool(pod["metadata"].get("labels", {}).get("app") == "hello")


def _early(before: Before, api: Api) -> str:
    knows_name = bool(_inside(api, CLIENT, "hello resolve hello").strip())
    knows_variable = int(_inside(api, CLIENT, "env | grep -c ^HELLO_SERVICE_HOST || true"))
    if knows_name and knows_variable:
        return "both"
    return "name" if knows_name else "neither"


def _unready(before: Before, api: Api) -> str:
    entries = _entries(api, "hello")
    well = [entry for entry in entries if entry["conditions"].get("ready")]
    if len(entries) < len(api.list("Pod", "app=hello")):
        return "removed"
    return "marked" if len(well) < len(entries) else "nothing"


def _headless(before: Before, api: Api) -> str:
    found = set(_inside(api, CLIENT, "hello resolve hello-headless || true").split())
    pods = {pod["status"].get("podIP") for pod in api.list("Pod", "app=hello")}
    if found == pods:
        return "pods"
    return "own" if found else "nothing"


def _choice(before: Before, api: Api) -> str:
    rules = _inside(api, "inside", "chroot /host nft list table ip kube-proxy")
    chain = next(part for part in rules.split("chain ") if part.startswith("service-") and "/hello/tcp" in part[:80])
    if "numgen random" in chain:
        return "random"
    return "turns" if "numgen inc" in chain else "least"


def _wrong_port(before: Before, api: Api) -> str:
    service = api.get("service/broken") or {"metadata": {"name": "broken", "uid": ""}}
    if api.rest.list("Event", api.namespace, f"involvedObject.uid={service['metadata']['uid']}"):
        return "event"
    return "nothing" if ready_endpoints(api, service) else "endpoints"


QUESTIONS = (
    Question(
        "addresses",
        "All three Pods are replaced. What becomes of their addresses?",
        {
            "same": Option(
                "the new Pods take the old addresses over", "Nobody hands addresses on; a new Pod asks for a free one."
            ),
            "node": Option(
                "addresses stay with their nodes",
                "Each node has a range of addresses, and gives out the next free one.",
            ),
            "new": Option("each new Pod has another address", "so nobody can rely on the address of a Pod"),
        },
        _addresses,
    ),
    Question(
        "early",
        "`early` was started before the Service was made. What does it know of it?",
        {
            "both": Option("its name and its variables", "The variables of a process do not change after its start."),
            "name": Option("its name only", "DNS is asked each time; variables are written once, at the start"),
            "neither": Option("neither, until it starts again", "DNS answers for every Service, whenever it was made."),
        },
        _early,
    ),
    Question(
        "unready",
        "One Pod reports that it is not ready. What becomes of its entry in the EndpointSlice?",
        {
            "removed": Option("it is taken out of the list", "The Pod is alive, and may be ready again in a second."),
            "marked": Option("it stays in the list, marked", "kube-proxy passes over what is not ready"),
            "nothing": Option(
                "nothing: its address is still good", "The address is good, but the Pod asked for no requests."
            ),
        },
        _unready,
    ),
    Question(
        "headless",
        "hello-headless has `clusterIP: None`. What does DNS answer for its name?",
        {
            "nothing": Option("nothing: it has no address", "The name is there; it leads somewhere else."),
            "own": Option("an address of its own", "That is what None switches off."),
            "pods": Option("the addresses of its Pods", "the client gets the whole list and chooses itself"),
        },
        _headless,
    ),
    Question(
        "choice",
        "Three Pods are ready. How does a node choose the one that gets a new connection?",
        {
            "turns": Option("by turns", "Nodes keep no count; each connection is drawn anew."),
            "random": Option("at random", "each connection is drawn by lot, in the kernel"),
            "least": Option(
                "the one with the fewest connections", "The kernel's rules know nothing of the load of Pods."
            ),
        },
        _choice,
    ),
    Question(
        "wrong-port",
        "A Service sends requests to port 80; its Pods listen on 8000. What in the API tells you?",
        {
            "endpoints": Option(
                "its list of endpoints, which is empty", "Readiness decides who is listed; ports are not tried."
            ),
            "event": Option(
                "an event of the Service", "Nobody in the control plane calls the Pods through the Service."
            ),
            "nothing": Option("nothing: only callers notice", "endpoints are ready and listed, with the wrong port"),
        },
        _wrong_port,
    ),
)


def _answered(api: Api, service: str, port: int) -> bool:
    """Tell whether the app answers; the API server hears of a new Service's endpoints a moment later than we do."""
    path = f"/api/v1/namespaces/{api.namespace}/services/{service}:{port}/proxy/"
    try:
        return "hello" in until(lambda: api.rest.text(path), ANSWER_SECONDS, every=0.2, errors=(ApiException,))
    except ApiException:
        return False


def _wait_until_listed(api: Api, service: Object) -> None:
    """Wait a moment until every ready Pod that a Service selects is behind it: lists follow a little later."""
    selector = ",".join(f"{key}={value}" for key, value in (service["spec"].get("selector") or {}).items())

    def listed() -> bool:
        return ready_endpoints(api, service) == sum(ready(pod) for pod in api.list("Pod", selector))

    if selector:
        until(listed, LIST_SECONDS)


def _slices(api: Api, service: str) -> list[Object]:
    return api.list("EndpointSlice", f"kubernetes.io/service-name={service}")


def _entries(api: Api, service: str) -> list[Object]:
    """Return everything that is listed behind a Service, ready or not."""
    return [entry for piece in _slices(api, service) for entry in piece.get("endpoints") or []]


def _targets(api: Api, service: str) -> set[int]:
    """Return the ports to which a Service sends requests."""
    return {port["port"] for piece in _slices(api, service) for port in piece.get("ports") or []}


def _front(api: Api) -> Iterator[Finding]:
    service = api.get("service/front") or {}
    _wait_until_listed(api, service)
    count = ready_endpoints(api, service)
    if not count:
        yield Finding(False, why_service(api, service))
        return
    yield Finding(True, f"front leads to {count} Pods")
    targets = _targets(api, "front")
    wrong = f"front sends requests to port {min(targets)} of its Pods, where nobody listens; hello listens on {LISTENS}"
    yield expect(targets == {LISTENS}, f"at their port {LISTENS}", wrong)
    port = service["spec"]["ports"][0]
    listens = f"front listens on port {port['port']}, the task asks for 80"
    yield expect(port["port"] == 80, "inside it listens on port 80", listens)
    closed = f"front is a {service['spec']['type']}: no node opens a port for it"
    yield expect("nodePort" in port, "every node opens a port for it", closed)
    yield expect(_answered(api, "front", 80), "hello answers through it", "nobody answers through it")


def _shop(api: Api) -> Iterator[Finding]:
    service = api.get("service/shop") or {}
    _wait_until_listed(api, service)
    listed = [entry for entry in _entries(api, "shop") if entry["conditions"].get("ready")]
    uids = {entry.get("targetRef", {}).get("uid") for entry in listed}
    apps = {pod["metadata"]["labels"].get("app", "") for pod in api.list("Pod") if pod["metadata"]["uid"] in uids}
    if not uids:
        yield Finding(False, why_service(api, service))
        return
    selector = ",".join(f"{key}={value}" for key, value in service["spec"].get("selector", {}).items())
    for app in ("hello", "next"):
        missing = f"no Pod of {app} is behind shop: its selector {selector} leaves them out"
        yield expect(app in apps, f"shop leads to Pods of {app}", missing)
    others = sorted(apps - {"hello", "next"})
    yield expect(not others, "and to no others", f"and to Pods of {', '.join(others)}, which are not asked for")
    headless = service["spec"].get("clusterIP") == "None"
    yield expect(not headless, "it has an address of its own", "it has no address: clusterIP is None")
    port = service["spec"]["ports"][0]["port"]
    yield expect(port == 80, f"it listens on port {port}", f"it listens on port {port}, the task asks for 80")
    answered = _answered(api, "shop", 80)
    silent = f"nobody answers: its Pods do not listen on port {min(_targets(api, 'shop'))}, hello listens on {LISTENS}"
    yield expect(answered, "hello answers through it", silent)


EXERCISES = (
    Exercise(
        "front",
        begun("Service", "front"),
        _front,
        (
            "Which type opens a port on every node? types.yaml has one.",
            "port is the Service's own; targetPort that of the Pods, a number or the name in hello.yaml.",
            'kind="NodePort", port=80, target="http"',
        ),
    ),
    Exercise(
        "shop",
        begun("Service", "shop"),
        _shop,
        (
            'Which label do the Pods of both have in common? kubectl("get pods --show-labels")',
            "A Service's selector needs not be the one of a Deployment: any label will do.",
            'kubectl("expose deployment hello --name=shop --selector=tier=web --port=80 --target-port=8000")',
        ),
    ),
)
