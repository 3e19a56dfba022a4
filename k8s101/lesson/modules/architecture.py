"""Module 01, Architecture: what it asks and how its exercises are checked."""

from __future__ import annotations

from collections.abc import Iterator

from k8s101.errors import Problem
from k8s101.lesson.api.control import component
from k8s101.lesson.api.diagnose import cause, pods_of
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import poll
from k8s101.lesson.faults.faults import RIDDLES
from k8s101.lesson.faults.questions import CACHED, LATEST, MADE, NEW, PLACED, REPLACED, STARTED, WRITE
from k8s101.lesson.faults.symptoms import OLD, seen
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Option, Question
from k8s101.lesson.quiz.checking import begun, expect, fine, settles

RUN_SECONDS = 20
BINARY = b"k8s\0"
"""How an object in Kubernetes' own encoding begins (k8s.io/apimachinery, pkg/runtime/serializer/protobuf)."""


def _stored(before: Before, api: Api) -> str:
    found = component("etcd").read_key(f"/registry/configmaps/{api.namespace}/note")
    if found.startswith(BINARY):
        return "binary"
    return "json" if found.startswith(b"{") else "yaml"


def _scheduler(before: Before, api: Api) -> str:
    if not seen("kube-scheduler", WRITE):
        return "nothing"
    if not seen("kube-scheduler", MADE):
        return "no-pods"
    return "anywhere" if seen("kube-scheduler", PLACED) else "no-node"


def _controllers(before: Before, api: Api) -> str:
    return "replaced" if seen("kube-controller-manager", REPLACED) else "not-replaced"


def _front_door(before: Before, api: Api) -> str:
    return "all" if seen("kube-apiserver", OLD) else "none"


def _kubelet(before: Before, api: Api) -> str:
    return "run" if seen("kubelet", OLD) else "stop"


def _kube_proxy(before: Before, api: Api) -> str:
    old, new = seen("kube-proxy", OLD), seen("kube-proxy", NEW)
    if old and new:
        return "all"
    return "old" if old else "none"


def _runtime(before: Before, api: Api) -> str:
    if not seen("containerd", OLD):
        return "end"
    return "run-and-start" if seen("containerd", STARTED) else "run"


def _etcd(before: Before, api: Api) -> str:
    if seen("etcd", WRITE):
        return "all"
    if seen("etcd", LATEST):
        return "reads"
    return "cached" if seen("etcd", CACHED) else "none"


QUESTIONS = (
    Question(
        "etcd-client",
        "Which component reads and writes etcd?",
        {
            "all": Option(
                "all of them", "Then each would need the right to everything; they ask the API server instead."
            ),
            "apiserver": Option("only kube-apiserver", "it checks every request, and nobody gets past it"),
            "and-kubelet": Option("kube-apiserver and kubelet", "A kubelet knows the API server's address only."),
        },
        "apiserver",
    ),
    Question(
        "node-decision",
        "Which component decides on which node a Pod runs?",
        {
            "scheduler": Option(
                "kube-scheduler", "it writes the node's name into the Pod, and that node's kubelet does the rest"
            ),
            "controllers": Option("kube-controller-manager", "It makes the Pod, and leaves the node open."),
            "kubelet": Option(
                "the kubelet that has most room", "A kubelet runs the Pods that name its node; it looks for no others."
            ),
        },
        "scheduler",
    ),
    Question(
        "stored",
        "You write a ConfigMap as YAML. How does etcd keep it?",
        {
            "yaml": Option(
                "as the YAML that you wrote", "kubectl, or the client, turns YAML into JSON before it sends anything."
            ),
            "json": Option("as JSON", "JSON is what travels; what is stored is shorter and faster to read."),
            "binary": Option("as binary data", "the API server encodes it in protobuf; whoever asks gets JSON or YAML"),
        },
        _stored,
    ),
    Question(
        "scheduler",
        "kube-scheduler is stopped. You apply a Deployment. What do you get?",
        {
            "nothing": Option(
                "nothing: the API server refuses it", "The API server checks and stores; it does not ask who will act."
            ),
            "no-pods": Option("a Deployment without Pods", "Making Pods is the controllers' work, and they still run."),
            "no-node": Option(
                "Pods that belong to no node", "they are made as ever, and wait for the one decision that is missing"
            ),
            "anywhere": Option("Pods that run anywhere", "No kubelet takes a Pod that does not name its node."),
        },
        _scheduler,
    ),
    Question(
        "controllers",
        "kube-controller-manager is stopped. A Pod of a Deployment is deleted. What follows?",
        {
            "replaced": Option(
                "somebody replaces it", "Who counts Pods is a controller, and all of those are in this one process."
            ),
            "not-replaced": Option(
                "nobody replaces it", "the wish is still stored, but nobody compares it with what is"
            ),
            "not-deleted": Option("it cannot be deleted", "Deleting a Pod takes the API server and its kubelet."),
        },
        _controllers,
    ),
    Question(
        "front-door",
        "kube-apiserver is stopped. Clients in the cluster go on calling Service hello. What do they get?",
        {
            "none": Option(
                "no answers", "Calls between Pods go from node to node; the API server is not on their way."
            ),
            "all": Option("answers, as before", "rules and containers are on the nodes, and need nobody to stay there"),
            "until-lost": Option(
                "answers until the first Pod is lost", "The kubelet restarts a container without asking anybody."
            ),
        },
        _front_door,
    ),
    Question(
        "kubelet",
        "The kubelet of worker-2 is stopped. What becomes of the containers there?",
        {
            "stop": Option(
                "they stop with it", "The kubelet is not their parent: it only told the runtime to start them."
            ),
            "run": Option("they run on", "containers need a kubelet to begin and to end, not to be"),
            "move": Option(
                "they move to other nodes at once", "Containers never move; and somebody would have to notice first."
            ),
        },
        _kubelet,
    ),
    Question(
        "kube-proxy",
        "kube-proxy on worker-1 is stopped. Which Services work for clients on that node?",
        {
            "none": Option("none", "It does not carry the packets: it writes rules, and the kernel follows them."),
            "old": Option(
                "those that were there before", "their rules are in the kernel; for new ones nobody writes any"
            ),
            "all": Option("all: only changes are slower", "Nobody else writes rules on this node."),
        },
        _kube_proxy,
    ),
    Question(
        "runtime",
        "containerd on worker-3 is stopped. What becomes of the containers there?",
        {
            "end": Option(
                "they end: it is their parent", "Each Pod's containers have a small parent of their own, the shim."
            ),
            "run": Option(
                "they run on, but no new ones start", "shims keep them; to start one takes containerd itself"
            ),
            "run-and-start": Option(
                "they run on, and new ones start", "The kubelet cannot start containers: it asks the runtime."
            ),
        },
        _runtime,
    ),
    Question(
        "etcd",
        "etcd is stopped. Which requests does the API server still answer?",
        {
            "none": Option("none", "It keeps a copy in memory, and reads need not be the latest."),
            "cached": Option(
                "reads of what it remembers", "its watch cache answers those who do not insist on the latest state"
            ),
            "reads": Option("all reads", "A read of the latest state has to ask etcd what the latest is."),
            "all": Option(
                "all requests: it writes them down later", "What is not stored has not happened: the write fails."
            ),
        },
        _etcd,
    ),
)


def _by_hand(api: Api) -> dict[str, Object]:
    return {name: pod for name in ("first", "second") if (pod := api.get(f"pod/{name}"))}


def _placed_by_hand(api: Api) -> Iterator[Finding]:
    pods = _by_hand(api)
    nodes = {item["metadata"]["name"] for item in api.rest.list("Node", "")}
    for name, pod in pods.items():
        home = pod["spec"].get("nodeName", "")
        if not home:
            yield Finding(False, f"{name} has no node: the scheduler it names does not exist, so the decision is yours")
        elif home not in nodes:
            yield Finding(False, f"{name} waits for {home}: there is no such node, so no kubelet takes it")
        else:
            trouble = _not_running(name)
            yield fine(trouble, f"{name} runs on {home}")
    homes = {pod["spec"].get("nodeName") for pod in pods.values()}
    yield expect(len(homes) == 2, "on two nodes", f"both are on {', '.join(homes)}: take two nodes")
    placed = api.rest.list("Event", api.namespace, "reason=Scheduled")
    asked = sorted({event["involvedObject"]["name"] for event in placed} & pods.keys())
    yield expect(not asked, "no scheduler was asked", f"a scheduler has placed {', '.join(asked)}")


def _not_running(name: str) -> str | None:
    """Wait until a Pod runs; return the cause if it does not."""
    try:
        poll(f"pod/{name}", lambda item: "runs" if item and ready(item) else None, RUN_SECONDS, "running")
    except Problem as problem:
        return problem.found
    return None


def _away() -> list[str]:
    return [name for name in RIDDLES if not component(name).running]


def _riddle_begun(api: Api) -> str | None:
    riddle = api.get("deployment/riddle")
    if riddle is None:
        return "there is no Deployment riddle yet"
    touched = riddle["metadata"]["generation"] > 1 or any(pod["spec"].get("nodeName") for pod in pods_of(api, riddle))
    return "riddle waits, and no part of the cluster has been started" if _away() and not touched else None


def _riddle(api: Api) -> Iterator[Finding]:
    riddle = api.get("deployment/riddle") or {}
    wanted = riddle["spec"]["replicas"]
    if _away():
        count = sum(ready(pod) for pod in api.list("Pod", "app=riddle"))
        why = cause(api, riddle) if count < wanted else "the next one will wait as well"
        yield Finding(False, f"riddle has {count} ready Pods, and a part of the cluster is still away: {why}")
        return
    yield settles("deployment/riddle", "all parts of the control plane run")
    count = sum(ready(pod) for pod in pods_of(api, riddle))
    found = f"riddle has {count} of {wanted} Pods ready"
    yield expect(count == wanted > 0, found, found)


EXERCISES = (
    Exercise(
        "by-hand",
        begun("Pod", "first", "second"),
        _placed_by_hand,
        (
            "A scheduler writes one field of a Pod. Which one? The blanks stand behind it.",
            'show("nodes") lists what may stand there. A decision is final: kubectl("delete pod second --force") '
            "takes it back.",
            'first="worker-1", second="worker-2"',
        ),
    ),
    Exercise(
        "riddle",
        _riddle_begun,
        _riddle,
        (
            "How far did it come? Is there a ReplicaSet, are there Pods, do they have nodes, is there an event?",
            'show("deployments,replicasets,pods", "app=riddle") and show("events"), then compare with your table.',
            "Pods without a node and without an event: nobody has looked for a node. "
            "component(NAME).start() starts a part.",
        ),
    ),
)
