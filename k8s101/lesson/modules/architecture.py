"""Module 01, Architecture: what it asks and how its exercises are checked."""

from __future__ import annotations

from collections.abc import Iterator

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from k8s101.errors import Problem
from k8s101.lesson.api.control import component
from k8s101.lesson.api.diagnose import pods_of
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import poll
from k8s101.lesson.faults.faults import RIDDLES
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Option, Question
from k8s101.lesson.quiz.checking import begun, existing, expect, fine, same_version, settles

RUN_SECONDS = 20
BINARY = b"k8s\0"
"""How an object in Kubernetes' own encoding begins (k8s.io/apimachinery, pkg/runtime/serializer/protobuf)."""

ERRORS = (ApiException, HTTPError, OSError)
"""What a request ends with while a part of the control plane is away."""

STATIC_NODE = "worker-2"
SOURCE = "kubernetes.io/config.source"
"""The annotation by which a kubelet says where it has found a Pod."""


def _stored(before: Before, api: Api) -> str:
    found = component("etcd").read_key(f"/registry/configmaps/{api.namespace}/note")
    if found.startswith(BINARY):
        return "binary"
    return "json" if found.startswith(b"{") else "yaml"


def _system(before: Before, api: Api) -> str:
    namespace = api.rest.call("GET", "/api/v1/namespaces/kube-system")
    return "removed" if namespace["metadata"].get("deletionTimestamp") else "refused"


def _scheduler(before: Before, api: Api) -> str:
    if api.get("deployment/late") is None:
        return "nothing"
    pods = api.list("Pod", "app=late")
    if not pods:
        return "no-pods"
    return "anywhere" if any(pod["spec"].get("nodeName") for pod in pods) else "no-node"


def _controllers(before: Before, api: Api) -> str:
    pods = api.list("Pod", "app=late")
    if any(pod["metadata"]["uid"] not in before.pods for pod in pods):
        return "replaced"
    late = [uid for uid, pod in before.pods.items() if pod["metadata"]["labels"].get("app") == "late"]
    return "not-replaced" if len(pods) < len(late) else "not-deleted"


def _front_door(before: Before, api: Api) -> str:
    totals = api.rest.call("GET", f"/api/v1/namespaces/{api.namespace}/pods/loop:8001/proxy/totals")
    return "none" if totals["failed"] else "all"


def _answers(api: Api, pod: Object) -> bool:
    path = f"/api/v1/namespaces/{api.namespace}/pods/{pod['metadata']['name']}:8000/proxy/"
    try:
        return bool(api.rest.call("GET", path))
    except ERRORS:
        return False


def _on(api: Api, node: str, app: str) -> list[Object]:
    return [pod for pod in api.list("Pod", f"app={app}") if pod["spec"].get("nodeName") == node]


def _kubelet(before: Before, api: Api) -> str:
    stayed = [pod for pod in _on(api, "worker-2", "hello") if pod["metadata"]["uid"] in before.pods]
    if not stayed:
        return "move"
    return "run" if all(_answers(api, pod) for pod in stayed) else "stop"


def _runtime(before: Before, api: Api) -> str:
    if not all(_answers(api, pod) for pod in _on(api, "worker-3", "hello")):
        return "end"
    started = any(ready(pod) for pod in _on(api, "worker-3", "newcomer"))
    return "run-and-start" if started else "run"


def _read(api: Api, **query: str) -> bool:
    path = f"/api/v1/namespaces/{api.namespace}/configmaps?timeout=2s"
    try:
        api.rest.call("GET", path + "".join(f"&{key}={value}" for key, value in query.items()))
    except ERRORS:
        return False
    return True


def _etcd(before: Before, api: Api) -> str:
    if _read(api):
        return "reads"
    return "cached" if _read(api, resourceVersion="0") else "none"


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
            "controllers": Option("kube-controller-manager", "It creates the Pod and leaves the node open."),
            "kubelet": Option(
                "the kubelet that has most room", "A kubelet runs the Pods that name its node; it looks for no others."
            ),
        },
        "scheduler",
    ),
    Question(
        "last-check",
        "A request to change an object has passed authentication and authorization. What may still refuse it?",
        {
            "nothing": Option("nothing", "The right to change something does not mean that every change is accepted."),
            "admission": Option("admission", "it looks at the object itself, whoever sends it"),
            "etcd": Option("etcd", "etcd stores what the API server gives it; it knows nothing about Kubernetes."),
        },
        "admission",
    ),
    Question(
        "system",
        "You are an administrator and may delete every namespace. What happens if you delete kube-system?",
        {
            "removed": Option(
                "it is deleted, and the cluster breaks", "Authorization would allow it, but that is not the last check."
            ),
            "refused": Option("the API server refuses", "admission protects it, whoever asks"),
            "confirm": Option("kubectl asks you first", "kubectl delete asks nobody, unless you add --interactive."),
        },
        _system,
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
            "no-pods": Option("a Deployment without Pods", "Creating Pods is the controllers' work, and they run."),
            "no-node": Option(
                "Pods that belong to no node",
                "they are created as usual, and wait for the one decision that is missing",
            ),
            "anywhere": Option("Pods that run anywhere", "No kubelet takes a Pod that does not name its node."),
        },
        _scheduler,
    ),
    Question(
        "controllers",
        "kube-controller-manager is stopped. You delete a Pod of a Deployment. What follows?",
        {
            "replaced": Option(
                "somebody replaces it", "A controller counts Pods, and nearly all controllers are in this one process."
            ),
            "not-replaced": Option(
                "it is deleted, and nobody replaces it",
                "the Deployment still asks for two, but nobody compares that with what exists",
            ),
            "not-deleted": Option("it can't be deleted", "To delete a Pod takes the API server and the Pod's kubelet."),
        },
        _controllers,
    ),
    Question(
        "front-door",
        "kube-apiserver is stopped for some seconds. Meanwhile, loop goes on calling Service hello. What does it get?",
        {
            "none": Option(
                "no answers", "Requests between Pods go from node to node; the API server is not on their path."
            ),
            "some": Option(
                "answers from its own node only", "The rules for all nodes are in the kernel of each node already."
            ),
            "all": Option("answers, as before", "rules and containers are on the nodes, and nothing changes them now"),
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
            "run": Option("they keep running", "a kubelet is needed to start and to stop a container, not to run it"),
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
                "those that were there before", "their rules are in the kernel; for new Services nobody writes any"
            ),
            "all": Option("all of them, only a little slower", "Nobody else writes rules on this node."),
        },
        "old",
    ),
    Question(
        "runtime",
        "containerd on worker-3 is stopped. What becomes of the containers there?",
        {
            "end": Option(
                "they end: it is their parent", "Each Pod's containers have a small parent of their own, the shim."
            ),
            "run": Option(
                "they keep running, but no new ones start", "containerd starts and stops them, the kernel runs them"
            ),
            "run-and-start": Option(
                "they keep running, and new ones start", "The kubelet can't start containers: it asks the runtime."
            ),
        },
        _runtime,
    ),
    Question(
        "etcd",
        "etcd is stopped. Which requests does this API server, which still runs, answer?",
        {
            "none": Option("none", "It keeps a copy in memory, and not every read asks for the latest state."),
            "cached": Option(
                "reads that accept an older state", "it answers those from its watch cache, as long as it runs"
            ),
            "reads": Option("all reads", "A read of the latest state has to ask etcd what the latest is."),
            "all": Option(
                "all requests: it stores them later", "What is not stored has not happened: the write fails."
            ),
        },
        _etcd,
    ),
)


def _placed_by_hand(api: Api) -> Iterator[Finding]:
    pods = {name: existing(api, f"pod/{name}") for name in ("first", "second")}
    nodes = {item["metadata"]["name"] for item in api.rest.list("Node", "")}
    for name, pod in pods.items():
        home = pod["spec"].get("nodeName", "")
        if not home:
            yield Finding(False, f"{name} has no node: the scheduler it names does not exist, so the decision is yours")
        elif home not in nodes:
            yield Finding(False, f"{name} waits for {home}: there is no such node, so no kubelet takes it")
        else:
            yield fine(_not_running(name), f"{name} runs on {home}")
    homes = {pod["spec"].get("nodeName") for pod in pods.values()}
    yield expect(len(homes) == 2, "on two nodes", f"both are on {', '.join(homes)}, the task wants two nodes")
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


def _webs(api: Api) -> dict[str, Object]:
    """Return the Pods that may be meant as the static Pod web, by namespace and name."""
    found = [pod for place in (api.namespace, "default") for pod in api.rest.list("Pod", place)]
    return {
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": pod
        for pod in found
        if pod["metadata"]["name"] == "web" or pod["metadata"]["name"].startswith("web-worker-")
    }


def _web_begun(api: Api) -> str | None:
    return None if _webs(api) else "no Pod is called web yet, or web with the name of a node behind it"


def _web(api: Api) -> Iterator[Finding]:
    found = _webs(api)
    mirror = f"web-{STATIC_NODE}"
    pod = found.get(f"{api.namespace}/{mirror}")
    if pod is None:
        yield Finding(False, _elsewhere(api, found, mirror))
        return
    source = (pod["metadata"].get("annotations") or {}).get(SOURCE)
    yield expect(source == "file", "its kubelet found it in a file", f"{mirror} was created through the API server")
    yield fine(_not_running(mirror), f"{mirror} runs")
    yield same_version([pod], "1.1.0")
    label = (pod["metadata"].get("labels") or {}).get("app")
    yield expect(
        label == "web", "it has the label app=web", f"its label app is {label or 'missing'}, the task wants web"
    )


def _elsewhere(api: Api, found: dict[str, Object], mirror: str) -> str:
    if f"default/{mirror}" in found:
        return f"{mirror} is in the namespace default: the file names no other, and no kubectl has added one"
    if f"{api.namespace}/web" in found:
        return "Pod web was created through the API server: a scheduler had to place it, and no file keeps it"
    pod = next(iter(found.values()))
    return f"{pod['metadata']['name']} is on {pod['spec'].get('nodeName')}, the task wants {STATIC_NODE}"


def _away() -> list[str]:
    return [name for name in RIDDLES if not component(name).running]


def _riddle_begun(api: Api) -> str | None:
    riddle = api.get("deployment/riddle")
    if riddle is None:
        return "there is no Deployment riddle yet"
    touched = riddle["metadata"]["generation"] > 1 or any(pod["spec"].get("nodeName") for pod in pods_of(api, riddle))
    return "riddle waits, and no part of the cluster has been started" if _away() and not touched else None


def _riddle(api: Api) -> Iterator[Finding]:
    riddle = existing(api, "deployment/riddle")
    wanted = riddle["spec"]["replicas"]
    if _away():
        count = sum(ready(pod) for pod in api.list("Pod", "app=riddle"))
        yield Finding(False, f"riddle has {count} ready Pods, and a part of the cluster is still stopped")
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
            "A scheduler decides one thing about a Pod. In which field does the answer stand?",
            "kubectl get nodes lists what may stand there. A decision is final: to change it, delete the Pod.",
            "nodeName: worker-2 in the first Pod, nodeName: worker-3 in the second; kubectl apply -f by-hand.yaml",
        ),
    ),
    Exercise(
        "web",
        _web_begun,
        _web,
        (
            "Where does the kubelet of worker-2 look for files, and how did you reach that directory on worker-1?",
            "kubectl debug node/worker-2 gives you a Pod on that node. Compare your file with static.yaml: what does "
            "kubectl add to a Pod when you apply it, and who would add it here?",
            "In web.yaml: namespace: k8s101-architecture, and the label app: web. Then copy the file to "
            "/host/etc/kubernetes/manifests/web.yaml, as you did with static.yaml.",
        ),
    ),
    Exercise(
        "riddle",
        _riddle_begun,
        _riddle,
        (
            "How far did it get? Is there a ReplicaSet, are there Pods, do they have nodes, is there an event?",
            "kubectl get deployments,replicasets,pods -l app=riddle -o wide, and kubectl events; compare with your "
            "table.",
            "Pods without a node and without an event: nobody has looked for a node. No ReplicaSet: no controller has "
            "looked at the Deployment. k8s101 start NAME starts a part.",
        ),
    ),
)
