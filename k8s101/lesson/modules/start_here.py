"""Module 00, Start here: what it asks and how its exercises are checked."""

from __future__ import annotations

from collections.abc import Iterator

from kubernetes.client.exceptions import ApiException
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from k8s101.lesson.api.diagnose import pods_of, why_service
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import settled
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Option, Question
from k8s101.lesson.quiz.checking import begun, expect, same_version

ANSWER_SECONDS = 5


def _ready_pods(api: Api, selector: str = "app=hello") -> list[Object]:
    return [pod for pod in api.list("Pod", selector) if ready(pod)]


def _nodes_used(before: Before, api: Api) -> str:
    used = {pod["spec"]["nodeName"] for pod in _ready_pods(api)}
    if len(used) == len(api.rest.list("Node", "")):
        return "all"
    return "one" if len(used) == 1 else "some"


def _lost(before: Before, api: Api) -> str:
    wanted = int((api.get("deployment/hello") or {})["spec"]["replicas"])
    pods = {pod["metadata"]["uid"] for pod in _ready_pods(api)}
    if len(pods) < wanted:
        return "five"
    return "new" if pods - before.pods.keys() else "same"


def _answering(before: Before, api: Api) -> str:
    pods = _ready_pods(api)
    logs = [api.core.read_namespaced_pod_log(pod["metadata"]["name"], api.namespace) for pod in pods]
    served = [pod for pod, log in zip(pods, logs, strict=True) if "GET / " in log]
    if len(served) == len(pods):
        return "all"
    return "one" if len(served) == 1 else "node"


def _next_node(before: Before, api: Api) -> str:
    old = {pod["spec"].get("nodeName") for pod in before.pods.values()}
    fresh = [pod for pod in _ready_pods(api) if pod["metadata"]["uid"] not in before.pods]
    return "new" if all(pod["spec"]["nodeName"] not in old for pod in fresh) else "old"


def _dead_node(before: Before, api: Api) -> str:
    wanted = int((api.get("deployment/hello") or {})["spec"]["replicas"])
    pods = _ready_pods(api)
    if len(pods) < wanted:
        return "waits"
    moved = {pod["metadata"]["uid"] for pod in pods} - before.pods.keys()
    return "moves" if moved else "nothing"


QUESTIONS = (
    Question(
        "name",
        "What is a kubernetes, in Greek?",
        {
            "container": Option("a container", "Containers came later; the word is much older."),
            "helmsman": Option("somebody who steers a ship", "hence the wheel in the logo"),
            "fleet": Option("a fleet", "The word is for a person."),
        },
        "helmsman",
    ),
    Question(
        "licence",
        "What does a licence for Kubernetes cost?",
        {
            "nothing": Option("nothing", "it is open source, under the Apache licence"),
            "nodes": Option(
                "it depends on the number of nodes", "Vendors sell support and machines; Kubernetes itself is free."
            ),
            "learning": Option("it is free for learning only", "It is free for every use."),
        },
        "nothing",
    ),
    Question(
        "origin",
        "Who looks after Kubernetes today?",
        {
            "google": Option("Google", "It began there, after ten years with Borg, but was given away."),
            "cncf": Option("the CNCF, a foundation", "Google started it, after Borg, and gave it to the foundation"),
            "docker": Option("Docker", "Docker made containers popular; its own orchestrator was another one."),
        },
        "cncf",
    ),
    Question(
        "declarative",
        "You ask for six copies in a declarative way. What do you tell the cluster?",
        {
            "order": Option("start six copies", "That is an order; nobody would notice when one is lost later."),
            "wish": Option("there shall be six copies", "the wish is stored, and holds until you change it"),
            "placement": Option("which machine starts which copy", "You name no machine; the cluster chooses."),
        },
        "wish",
    ),
    Question(
        "controller",
        "One of six copies is lost. Who sees to it that there are six again?",
        {
            "you": Option("you, as soon as you notice", "Nobody has to act: the wish still stands."),
            "controller": Option(
                "a controller, which compares all the time", "it counts what is, compares with what should be, and acts"
            ),
            "itself": Option("the lost copy starts itself again", "What is gone cannot act."),
        },
        "controller",
    ),
    Question(
        "two-halves",
        "A cluster has two halves. Which one runs your containers?",
        {
            "control-plane": Option("the control plane", "It decides; your containers run elsewhere."),
            "nodes": Option("the nodes", "they do the work that the control plane decides on"),
            "both": Option("both", "It could be set up so, but a control plane is usually kept free for its own work."),
        },
        "nodes",
    ),
    Question(
        "nodes-used",
        "You ask for six Pods and name no machine. On how many of the nodes will they run?",
        {
            "one": Option(
                "on one: they belong together", "Equal Pods are spread, so that no machine's loss takes all of them."
            ),
            "some": Option(
                "on some", "The scheduler looks at every node for each Pod, and here it is told to spread them."
            ),
            "all": Option("on all of them", "the scheduler spreads equal Pods over the nodes"),
        },
        _nodes_used,
    ),
    Question(
        "lost-pod",
        "You delete one of the six Pods. How many will be there a few seconds later?",
        {
            "five": Option("five", "You asked for six, and that wish still stands."),
            "same": Option("six, the same ones", "A deleted Pod never comes back."),
            "new": Option("six, one of them new", "somebody counts, finds one missing and makes another"),
        },
        _lost,
    ),
    Question(
        "who-answers",
        "A client calls the name `hello` a hundred times. How many different Pods answer?",
        {
            "one": Option("one", "The name stands for all Pods that bear the label, not for one."),
            "node": Option("one on each node", "The client's node does not matter, nor does the Pod's."),
            "all": Option("all of them", "each new connection goes to any ready Pod"),
        },
        _answering,
    ),
    Question(
        "next-node",
        "Nine Pods run, three on each machine. A fourth machine joins, and you ask for twelve. Where do three start?",
        {
            "old": Option("on each old machine", "The scheduler counts equal Pods by machine and fills the emptiest."),
            "new": Option("on the new machine", "it has none yet, so it is the best place to spread to"),
            "nowhere": Option("nowhere until you say so", "A machine that is ready gets work without further orders."),
        },
        _next_node,
    ),
    Question(
        "dead-node",
        "The fourth machine dies, with three Pods on it. What becomes of the twelve?",
        {
            "nothing": Option("nothing: all twelve go on", "Pods need their machine; only their number survives it."),
            "waits": Option(
                "nine go on, three wait for the machine", "Kubernetes waits a while, then gives the machine up."
            ),
            "moves": Option(
                "nine go on, three start elsewhere after a while", "first silence, then patience, then three new Pods"
            ),
        },
        _dead_node,
    ),
)


def _mine(api: Api) -> Iterator[Finding]:
    trouble = settled("deployment/mine")
    if trouble:
        yield Finding(False, trouble)
    pods = [pod for pod in pods_of(api, api.get("deployment/mine") or {}) if ready(pod)]
    yield expect(
        len(pods) == 4, f"mine has {len(pods)} ready Pods", f"mine has {len(pods)} ready Pods, the task wants 4"
    )
    yield same_version(pods, "1.1.0")


def _address_begun(api: Api) -> str | None:
    return begun("Deployment", "mine")(api) or begun("Service", "mine")(api)


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


def _address(api: Api) -> Iterator[Finding]:
    service = api.get("service/mine") or {}
    slices = api.list("EndpointSlice", "kubernetes.io/service-name=mine")
    addresses = [entry for piece in slices for entry in piece.get("endpoints") or [] if entry["conditions"]["ready"]]
    if not addresses:
        yield Finding(False, why_service(api, service))
        return
    yield Finding(True, f"Service mine sends requests to {len(addresses)} Pods")
    port = service["spec"]["ports"][0]
    listens = f"it listens on port {port['port']}"
    yield expect(port["port"] == 8000, listens, f"{listens}, not on 8000")
    answered = _answers(api, f"/api/v1/namespaces/{api.namespace}/services/mine:{port['port']}/proxy/")
    target = port.get("targetPort", port["port"])
    silent = f"nothing in its Pods listens on port {target} (targetPort); hello listens on 8000"
    yield expect(answered, "hello answers through it", silent)


EXERCISES = (
    Exercise(
        "mine",
        begun("Deployment", "mine"),
        _mine,
        (
            "Both blanks stand in the task.",
            'show("mine.yaml") shows where the blanks are: one is a number, one the tag of an image.',
            'copies=4, version="1.1.0"',
        ),
    ),
    Exercise(
        "address",
        _address_begun,
        _address,
        (
            "hello.yaml has a Service too: what does it need besides a name?",
            "A selector that matches the labels of your Pods, and a port. "
            'kubectl("get pods --show-labels") shows the labels.',
            'kubectl("expose deployment mine --port=8000")',
        ),
    ),
)
