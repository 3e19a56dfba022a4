"""Module 00, Start here: what it asks and how its exercises are checked."""

from __future__ import annotations

from collections.abc import Iterator

from kubernetes.client.exceptions import ApiException
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from k8s101.lesson.api.diagnose import pods_of, why_service
from k8s101.lesson.api.names import ready, version
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import settled
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Question

ANSWER_SECONDS = 5


def _ready_pods(api: Api, selector: str = "app=hello") -> list[Object]:
    return [pod for pod in api.list("Pod", selector) if ready(pod)]


def _nodes_used(before: Before, api: Api) -> str:
    used = {pod["spec"]["nodeName"] for pod in _ready_pods(api)}
    if len(used) == len(api.rest.list("Node", "")):
        return "on all of them"
    return "on one: they belong together" if len(used) == 1 else "on some"


def _lost(before: Before, api: Api) -> str:
    wanted = int((api.get("deployment/hello") or {})["spec"]["replicas"])
    pods = {pod["metadata"]["uid"] for pod in _ready_pods(api)}
    if len(pods) < wanted:
        return "five"
    return "six, one of them new" if pods - before.pods.keys() else "six, the same ones"


def _answering(before: Before, api: Api) -> str:
    pods = _ready_pods(api)
    logs = [api.core.read_namespaced_pod_log(pod["metadata"]["name"], api.namespace) for pod in pods]
    served = [pod for pod, log in zip(pods, logs, strict=True) if "GET / " in log]
    if len(served) == len(pods):
        return "all of them"
    return "one" if len(served) == 1 else "one on each node"


def _next_node(before: Before, api: Api) -> str:
    old = {pod["spec"].get("nodeName") for pod in before.pods.values()}
    fresh = [pod for pod in _ready_pods(api) if pod["metadata"]["uid"] not in before.pods]
    return "on the new machine" if all(pod["spec"]["nodeName"] not in old for pod in fresh) else "on each old machine"


def _dead_node(before: Before, api: Api) -> str:
    wanted = int((api.get("deployment/hello") or {})["spec"]["replicas"])
    pods = _ready_pods(api)
    if len(pods) < wanted:
        return "nine go on, three wait for the machine"
    moved = {pod["metadata"]["uid"] for pod in pods} - before.pods.keys()
    return "nine go on, three start elsewhere after a while" if moved else "nothing: all twelve go on"


QUESTIONS = (
    Question(
        "name",
        "What is a kubernetes, in Greek?",
        {
            "a container": "Containers came later; the word is much older.",
            "somebody who steers a ship": "hence the wheel in the logo",
            "a fleet": "The word is for a person.",
        },
        "somebody who steers a ship",
    ),
    Question(
        "licence",
        "What does a licence for Kubernetes cost?",
        {
            "nothing": "it is open source, under the Apache licence",
            "it depends on the number of nodes": "Vendors sell support and machines; Kubernetes itself is free.",
            "it is free for learning only": "It is free for every use.",
        },
        "nothing",
    ),
    Question(
        "origin",
        "Who looks after Kubernetes today?",
        {
            "Google": "It began there, after ten years with Borg, but was given away.",
            "the CNCF, a foundation": "Google started it, after Borg, and gave it to the foundation",
            "Docker": "Docker made containers popular; its own orchestrator was another one.",
        },
        "the CNCF, a foundation",
    ),
    Question(
        "declarative",
        "You ask for six copies in a declarative way. What do you tell the cluster?",
        {
            "start six copies": "That is an order; nobody would notice when one is lost later.",
            "there shall be six copies": "the wish is stored, and holds until you change it",
            "which machine starts which copy": "You name no machine; the cluster chooses.",
        },
        "there shall be six copies",
    ),
    Question(
        "controller",
        "One of six copies is lost. Who sees to it that there are six again?",
        {
            "you, as soon as you notice": "Nobody has to act: the wish still stands.",
            "a controller, which compares all the time": "it counts what is, compares with what should be, and acts",
            "the lost copy starts itself again": "What is gone cannot act.",
        },
        "a controller, which compares all the time",
    ),
    Question(
        "two-halves",
        "A cluster has two halves. Which one runs your containers?",
        {
            "the control plane": "It decides; your containers run elsewhere.",
            "the nodes": "they do the work that the control plane decides on",
            "both": "It could be set up so, but a control plane is usually kept free for its own work.",
        },
        "the nodes",
    ),
    Question(
        "nodes-used",
        "You ask for six Pods and name no machine. On how many of the nodes will they run?",
        {
            "on one: they belong together": "Equal Pods are spread, so that no machine's loss takes all of them.",
            "on some": "The scheduler looks at every node for each Pod, and here it is told to spread them.",
            "on all of them": "the scheduler spreads equal Pods over the nodes",
        },
        _nodes_used,
    ),
    Question(
        "lost-pod",
        "You delete one of the six Pods. How many will be there a few seconds later?",
        {
            "five": "You asked for six, and that wish still stands.",
            "six, the same ones": "A deleted Pod never comes back.",
            "six, one of them new": "somebody counts, finds one missing and makes another",
        },
        _lost,
    ),
    Question(
        "who-answers",
        "A client calls the name `hello` a hundred times. How many different Pods answer?",
        {
            "one": "The name stands for all Pods that bear the label, not for one.",
            "one on each node": "The client's node does not matter, nor does the Pod's.",
            "all of them": "each new connection goes to any ready Pod",
        },
        _answering,
    ),
    Question(
        "next-node",
        "Nine Pods run, three on each machine. A fourth machine joins, and you ask for twelve. Where do three start?",
        {
            "on each old machine": "The scheduler counts equal Pods by machine and fills the emptiest.",
            "on the new machine": "it has none yet, so it is the best place to spread to",
            "nowhere until you say so": "A machine that is ready gets work without further orders.",
        },
        _next_node,
    ),
    Question(
        "dead-node",
        "The fourth machine dies, with three Pods on it. What becomes of the twelve?",
        {
            "nothing: all twelve go on": "Pods need their machine; only their number survives it.",
            "nine go on, three wait for the machine": "Kubernetes waits a while, then gives the machine up.",
            "nine go on, three start elsewhere after a while": "first silence, then patience, then three new Pods",
        },
        _dead_node,
    ),
)


def _mine_begun(api: Api) -> str | None:
    return None if api.get("deployment/mine") else "there is no Deployment mine yet"


def _mine(api: Api) -> Iterator[Finding]:
    trouble = settled("deployment/mine")
    if trouble:
        yield Finding(False, trouble)
    pods = [pod for pod in pods_of(api, api.get("deployment/mine") or {}) if ready(pod)]
    yield Finding(len(pods) == 4, f"mine has {len(pods)} ready Pods{'' if len(pods) == 4 else ', the task wants 4'}")
    others = sorted({version(pod) for pod in pods} - {"1.1.0"})
    yield Finding(not others, f"its Pods run {others[0]}, the task wants 1.1.0" if others else "all run 1.1.0")


def _address_begun(api: Api) -> str | None:
    return _mine_begun(api) or (None if api.get("service/mine") else "there is no Service mine yet")


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
    yield Finding(
        port["port"] == 8000, f"it listens on port {port['port']}{'' if port['port'] == 8000 else ', not on 8000'}"
    )
    answered = _answers(api, f"/api/v1/namespaces/{api.namespace}/services/mine:{port['port']}/proxy/")
    target = port.get("targetPort", port["port"])
    silent = f"nothing in its Pods listens on port {target} (targetPort); hello listens on 8000"
    yield Finding(answered, "hello answers through it" if answered else silent)


EXERCISES = (
    Exercise(
        "mine",
        _mine_begun,
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
