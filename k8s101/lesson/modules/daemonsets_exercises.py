"""Module 07, DaemonSets: how its exercises are checked."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from k8s101.cluster.values.deadline import until
from k8s101.lesson.api.diagnose import pods_of, why_pod
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import rolled_out
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import begun, existing, expect, same_version, settles

PORT = 9100
"""Where the monitoring of exercise 3 asks each node."""

REPAIR_SECONDS = 10


def node_of(pod: Object) -> str:
    """Return the node that a Pod is assigned to, empty while there is none."""
    return str(pod["spec"].get("nodeName", ""))


def node_names(api: Api) -> list[str]:
    """Return the names of all nodes, sorted."""
    return sorted(node["metadata"]["name"] for node in api.rest.list("Node", ""))


def _by_node(api: Api, name: str) -> dict[str, Object]:
    pods = pods_of(api, existing(api, f"daemonset/{name}"))
    return {node_of(pod): pod for pod in pods if not pod["metadata"].get("deletionTimestamp")}


def _slow(api: Api) -> Iterator[Finding]:
    nodes = api.rest.list("Node", "")
    fast = {node["metadata"]["name"] for node in nodes if node["metadata"]["labels"].get("disk") == "fast"}
    yield expect(fast, "a node has a fast disk", "no node has the label disk=fast")
    yield settles("daemonset/slow", "slow has rolled out")
    pods = _by_node(api, "slow")
    wrong = sorted(fast & pods.keys())
    yield expect(
        not wrong, f"it does not run on {', '.join(sorted(fast))}", f"it runs on {', '.join(wrong)}, whose disk is fast"
    )
    missing = sorted(set(node_names(api)) - fast - pods.keys())
    told = f"slow has no Pod on {', '.join(missing)}: nobody has labelled these nodes, and nobody will"
    yield expect(not missing, "it runs on every other node", told)


def _audit_begun(api: Api) -> str | None:
    found = api.get("daemonset/audit") or api.get("deployment/audit")
    return None if found else "there is no DaemonSet audit yet"


def _audit(api: Api) -> Iterator[Finding]:
    if api.get("daemonset/audit") is None:
        yield Finding(False, "audit is a Deployment: it counts copies, the task asks for nodes")
        return
    yield settles("daemonset/audit", "audit has rolled out")
    pods = _by_node(api, "audit")
    for node in api.rest.list("Node", ""):
        name = node["metadata"]["name"]
        yield expect(name in pods, f"{name} has a Pod", f"{name} has no Pod of audit: {_why_none(node)}")
        yield expect(ready(pods[name]), "which is ready", partial(why_pod, api, pods[name]))
    yield same_version(list(pods.values()), "1.1.0")
    yield from _reads_only(pods[min(pods)])


def _reads_only(pod: Object) -> Iterator[Finding]:
    """Say whether a Pod sees the log directory of its node, and can't change it."""
    volumes = {volume["name"] for volume in pod["spec"]["volumes"] if _shows_logs(volume)}
    yield expect(
        volumes, "a volume shows /var/log of the node", "no volume of type hostPath shows /var/log of the node"
    )
    mounts = [mount for mount in pod["spec"]["containers"][0]["volumeMounts"] if mount["name"] in volumes]
    yield expect(mounts, "the container mounts it", "the container does not mount that volume")
    writable = [mount["mountPath"] for mount in mounts if not mount.get("readOnly")]
    yield expect(
        not writable,
        "and can't write to it",
        f"it may write to {', '.join(writable)}, so an intruder in this container could change the logs of the node",
    )


def _shows_logs(volume: Object) -> bool:
    return str(volume.get("hostPath", {}).get("path", "")).rstrip("/") == "/var/log"


def _why_none(node: Object) -> str:
    taints = [f"{taint['key']}={taint.get('value', '')}:{taint['effect']}" for taint in node["spec"].get("taints", [])]
    return f"it has the taint {taints[0]}" if taints else "the nodeSelector, or the affinity, leaves it out"


def _metrics_begun(api: Api) -> str | None:
    metrics, trial = api.get("daemonset/metrics"), api.get("deployment/trial")
    if metrics is None:
        return "there is no DaemonSet metrics yet"
    untouched = trial and trial["metadata"]["generation"] == 1 and metrics["metadata"]["generation"] == 1
    return "the DaemonSet and its neighbours are as you found them" if untouched else None


def _metrics(api: Api) -> Iterator[Finding]:
    names = node_names(api)
    found: list[str] = []

    def covered() -> bool:
        nonlocal found
        found = [name for name, pod in _by_node(api, "metrics").items() if name in names and ready(pod)]
        # while one Pod after the other is replaced, each of them may be missing for a moment
        return len(found) == len(names) and bool(rolled_out(api.get("daemonset/metrics")))

    until(covered, REPAIR_SECONDS, every=0.2)
    missing = ", ".join(sorted(set(names) - set(found)))
    yield expect(not missing, f"it is ready on {len(names)} nodes", f"metrics is not ready on {missing}")
    pods = [pod for name, pod in _by_node(api, "metrics").items() if name in names]
    ports = {_host_port(pod) for pod in pods}
    told = ", ".join(str(port) if port else "none" for port in sorted(ports))
    wrong = f"the monitoring asks for port {PORT} of each node, and the port that leads to metrics is: {told}"
    yield expect(ports == {PORT}, f"port {PORT} of each node leads to it", wrong)


def _host_port(pod: Object) -> int:
    """Return the port of its node that leads to a Pod, 0 if there is none."""
    ports = pod["spec"]["containers"][0].get("ports", [])
    return next((int(port["hostPort"]) for port in ports if "hostPort" in port), 0)


EXERCISES = (
    Exercise(
        "slow",
        begun("DaemonSet", "slow"),
        _slow,
        (
            "A node selector can only ask for a label that is there. Which field can ask for one that is not?",
            "kubectl explain daemonset.spec.template.spec.affinity.nodeAffinity; the operators are In, NotIn, Exists "
            "and DoesNotExist. A preference does not keep a DaemonSet off a node.",
            "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: "
            "[{matchExpressions: [{key: disk, operator: NotIn, values: [fast]}]}]}}}",
        ),
    ),
    Exercise(
        "audit",
        _audit_begun,
        _audit,
        (
            "kubectl has no create daemonset. A Deployment's draft is nearly one: which two fields does a DaemonSet "
            "not have?",
            "Remove replicas and strategy, and change the kind. One node has a taint: kubectl describe nodes shows it. "
            "logs.yaml shows how to mount a directory of the node.",
            "tolerations: [{operator: Exists}]; volumes: [{name: log, hostPath: {path: /var/log}}]; in the container "
            "volumeMounts: [{name: log, mountPath: /node/log, readOnly: true}]",
        ),
    ),
    Exercise(
        "metrics",
        _metrics_begun,
        _metrics,
        (
            "One of its Pods has no node. Somebody has told why: whom do you ask about a Pod that is Pending?",
            "kubectl describe the Pod that is Pending. What it lacks on its node, another Pod there has: kubectl get "
            "pods -o wide, then describe its neighbours.",
            "Both want port 9100 of the node. Nobody needs trial any more: kubectl delete deployment trial",
        ),
    ),
)
