"""Module 00, Start here: what it asks and how its exercises are checked."""

from __future__ import annotations

from collections.abc import Iterator

from kubernetes.client.exceptions import ApiException
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from k8s101.lesson.api.diagnose import pods_of, ready_endpoints, why_service
from k8s101.lesson.api.names import ready, version
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Option, Question
from k8s101.lesson.quiz.checking import begun, existing, expect, same_version, settles

ANSWER_SECONDS = 5


def _ready_pods(api: Api) -> list[Object]:
    return [pod for pod in api.list("Pod", "app=hello") if ready(pod)]


def _wanted(api: Api) -> int:
    return int(existing(api, "deployment/hello")["spec"]["replicas"])


def _nodes_used(before: Before, api: Api) -> str:
    used = {pod["spec"]["nodeName"] for pod in _ready_pods(api)}
    if len(used) == len(api.rest.list("Node", "")):
        return "all"
    return "one" if len(used) == 1 else "some"


def _lost(before: Before, api: Api) -> str:
    pods = {pod["metadata"]["uid"] for pod in _ready_pods(api)}
    if len(pods) < _wanted(api):
        return "fewer"
    return "new" if pods - before.pods.keys() else "same"


def _next_node(before: Before, api: Api) -> str:
    old = {pod["spec"].get("nodeName") for pod in before.pods.values()}
    pods = _ready_pods(api)
    stayed = before.pods.keys() & {pod["metadata"]["uid"] for pod in pods}
    fresh = [pod for pod in pods if pod["metadata"]["uid"] not in before.pods]
    if len(stayed) < sum(ready(pod) for pod in before.pods.values() if pod["metadata"]["labels"].get("app") == "hello"):
        return "even"
    return "new" if all(pod["spec"]["nodeName"] not in old for pod in fresh) else "old"


def _dead_node(before: Before, api: Api) -> str:
    pods = _ready_pods(api)
    if len(pods) < _wanted(api):
        return "waits"
    return "replaced" if {pod["metadata"]["uid"] for pod in pods} - before.pods.keys() else "nothing"


QUESTIONS = (
    Question(
        "name",
        "What does the Greek word kubernetes mean?",
        {
            "container": Option("a container", "Containers came later; the word is more than two thousand years old."),
            "helmsman": Option("the person who steers a ship", "so the logo is a ship's wheel"),
            "fleet": Option("a fleet", "The word means a person."),
        },
        "helmsman",
    ),
    Question(
        "licence",
        "You want to run Kubernetes at work. What does a licence cost?",
        {
            "nothing": Option("nothing", "it is open source, under the Apache License"),
            "nodes": Option(
                "it depends on the number of nodes",
                "Vendors sell support and ready-made clusters; Kubernetes itself is free.",
            ),
            "learning": Option("nothing for learning, something for companies", "It is free for every use."),
        },
        "nothing",
    ),
    Question(
        "origin",
        "Who looks after Kubernetes today?",
        {
            "google": Option("Google", "Google built it after its own system, Borg, and then gave it away."),
            "cncf": Option("the CNCF, a foundation", "Google gave it to the foundation, which many companies support"),
            "docker": Option("Docker", "Docker made containers popular; its own orchestrator was another program."),
        },
        "cncf",
    ),
    Question(
        "declarative",
        "You ask for six copies of an app in a declarative way. What do you tell the cluster?",
        {
            "order": Option("start six copies", "That is an order, and nobody would care when a copy is lost later."),
            "wish": Option("six copies should exist", "the cluster keeps this record and works to make it true"),
            "placement": Option("which machine starts which copy", "You name no machine; the scheduler chooses."),
        },
        "wish",
    ),
    Question(
        "controller",
        "One of six copies is lost. Who makes sure that there are six again?",
        {
            "you": Option("you, as soon as you notice", "Nobody has to act: your Deployment still asks for six."),
            "controller": Option(
                "a controller in the control plane", "it compares what exists with what you asked for, all the time"
            ),
            "itself": Option("the lost copy starts itself again", "A deleted Pod is gone; a new one replaces it."),
        },
        "controller",
    ),
    Question(
        "two-halves",
        "A cluster consists of a control plane and nodes. Which of them runs your containers?",
        {
            "control-plane": Option("the control plane", "It decides; your containers run elsewhere."),
            "nodes": Option("the nodes", "they do the work that the control plane decides on"),
            "both": Option("both", "That is possible, but the control plane is usually kept free for its own work."),
        },
        "nodes",
    ),
    Question(
        "nodes-used",
        "You ask for six copies and name no machine. On how many of the three nodes will they run?",
        {
            "one": Option("on one, because they belong together", "If that node died, all copies would die with it."),
            "some": Option("on two, the third is kept as a spare", "The scheduler keeps no node in reserve."),
            "all": Option("on all three", "the scheduler spreads copies, so that no node's loss takes all of them"),
        },
        _nodes_used,
    ),
    Question(
        "lost-pod",
        "You delete one of the six Pods. What do you find a few seconds later?",
        {
            "fewer": Option("five Pods", "You deleted a Pod, but your Deployment still asks for six."),
            "same": Option("six Pods: the deleted one was restarted", "A deleted Pod never comes back."),
            "new": Option("six Pods: one of them is new", "somebody counted five, and created one"),
        },
        _lost,
    ),
    Question(
        "next-node",
        "Three nodes run three Pods each. You add an empty node, and then you ask for three more Pods. What happens?",
        {
            "old": Option("each old node gets one more", "A new node gets work as soon as it is ready."),
            "new": Option("all three start on the new node", "the scheduler prefers the node with the fewest copies"),
            "even": Option(
                "some of the nine Pods move to the new node", "Nothing moves a Pod that runs; only new ones get a node."
            ),
        },
        _next_node,
    ),
    Question(
        "dead-node",
        "The fourth machine loses power, with three Pods on it. What becomes of the twelve Pods?",
        {
            "nothing": Option("all twelve go on", "A Pod needs its machine: these three died with it."),
            "waits": Option(
                "nine go on, three wait until the machine is back",
                "Kubernetes waits for a while, but then it gives the machine up.",
            ),
            "replaced": Option(
                "nine go on, three are replaced after a while", "the number that you asked for is twelve again"
            ),
        },
        _dead_node,
    ),
)


def _four_begun(api: Api) -> str | None:
    missing = begun("Deployment", "hello")(api)
    if missing:
        return missing
    hello = existing(api, "deployment/hello")
    untouched = version(hello) == "1.0.0" and hello["spec"]["replicas"] != 4
    return "Deployment hello still asks for release 1.0.0" if untouched else None


def _four(api: Api) -> Iterator[Finding]:
    yield settles("deployment/hello", "Deployment hello has rolled out")
    pods = [pod for pod in pods_of(api, existing(api, "deployment/hello")) if ready(pod)]
    found = f"it has {len(pods)} ready Pods"
    yield expect(len(pods) == 4, found, f"{found}, the task wants 4")
    yield same_version(pods, "1.1.0")


def _label(thing: Object) -> object:
    return (thing["metadata"].get("labels") or {}).get("team")


def _mine(api: Api) -> Iterator[Finding]:
    yield settles("deployment/mine", "Deployment mine has rolled out")
    mine = existing(api, "deployment/mine")
    pods = [pod for pod in pods_of(api, mine) if ready(pod)]
    yield expect(pods, f"it has {len(pods)} ready Pods", "it has no Pods, because it asks for none")
    yield same_version(pods, "1.1.0")
    lacking = sum(_label(pod) != "yours" for pod in pods)
    handed_down = " (the Deployment has it, but does not hand it down)" if _label(mine) == "yours" else ""
    yield expect(
        not lacking,
        "each has the label team=yours",
        f"{lacking} of {len(pods)} Pods lack the label team=yours{handed_down}",
    )
    yield expect(
        _label(mine["spec"]["template"]) == "yours",
        "and so will every Pod that replaces one of them",
        "these Pods have the label, but the Deployment's template lacks it: the next Pod will be without it",
    )
    yield from _called(api, "mine")


def _called(api: Api, name: str) -> Iterator[Finding]:
    """Look whether the app behind a Service answers."""
    service = api.get(f"service/{name}")
    if service is None:
        yield Finding(False, f"there is no Service {name}, so nobody can call the app by this name")
        return
    count = ready_endpoints(api, service)
    yield expect(count, f"Service {name} sends requests to {count} Pods", lambda: why_service(api, service))
    ports = {port["port"]: port.get("targetPort", port["port"]) for port in service["spec"]["ports"]}
    listens = f"it listens on port {', '.join(map(str, ports))}"
    yield expect(8000 in ports, listens, f"{listens}, not on 8000")
    silent = f"nothing in its Pods listens on port {ports.get(8000)} (targetPort); hello listens on 8000"
    answered = _answers(api, f"/api/v1/namespaces/{api.namespace}/services/{name}:8000/proxy/")
    yield expect(answered, "hello answers through it", silent)


def _answers(api: Api, path: str) -> bool:
    """Tell whether the app answers; the API server hears of a new Service's endpoints a moment later than we do."""
    retry = Retrying(
        stop=stop_after_delay(ANSWER_SECONDS), wait=wait_fixed(0.2), retry=retry_if_exception_type(ApiException)
    )
    try:
        # in JSON or in words, as the client asks
        return "hello" in retry(api.rest.text, path)
    except RetryError:
        return False


def _shop_begun(api: Api) -> str | None:
    missing = begun("Deployment", "shop")(api) or begun("Service", "shop")(api)
    if missing:
        return missing
    image = existing(api, "deployment/shop")["spec"]["template"]["spec"]["containers"][0]["image"]
    selector = existing(api, "service/shop")["spec"].get("selector")
    untouched = image.endswith(":1.1") and selector == {"app": "store"} and not api.list("Pod", "app=store")
    return "nothing in shop has changed yet" if untouched else None


def _shop(api: Api) -> Iterator[Finding]:
    yield settles("deployment/shop", "Deployment shop has rolled out")
    yield from _called(api, "shop")


EXERCISES = (
    Exercise(
        "four",
        _four_begun,
        _four,
        (
            "Two lines of the manifest hold what the task asks for.",
            "The number of copies is called replicas; the release is what follows the last colon of image.",
            "replicas: 4, image: k8s101.test/hello:1.1.0, then save the file and run kubectl apply -f four.yaml",
        ),
    ),
    Exercise(
        "mine",
        begun("Deployment", "mine"),
        _mine,
        (
            "A Deployment has labels of its own and a pattern for its Pods. Which of the two do the Pods come from?",
            "The Pods get the labels below template. kubectl get pods --show-labels shows what they have. "
            "For the Service, use the command that made the Service of hello.",
            "Below template, metadata, labels: add a line team: yours at the same depth as app: mine, apply the file, "
            "then kubectl expose deployment mine --port=8000",
        ),
    ),
    Exercise(
        "shop",
        _shop_begun,
        _shop,
        (
            "Ask first why the Pods do not start, and only then why the Service has nobody to call.",
            "kubectl describe pod NAME ends with events: which image do they name, and which releases does hello have "
            "on this page? kubectl describe service shop has a line Selector: which Pods have that label?",
            "kubectl set image deployment/shop shop=IMAGE:TAG with a tag that exists; "
            "kubectl set selector service/shop KEY=VALUE with the label of the Pods",
        ),
    ),
)
