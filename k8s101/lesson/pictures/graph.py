"""How the lesson's objects hang together: who owns, selects and mounts whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from k8s101.errors import Problem
from k8s101.lesson.api.names import pod_state, ready, revision, short, version
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api, split

COLUMNS = (
    ("CronJob",),
    ("Deployment", "StatefulSet", "DaemonSet", "Job", "Ingress"),
    ("ReplicaSet", "Service"),
    ("Pod",),
    ("Container",),
    ("PersistentVolumeClaim", "ConfigMap", "Secret", "Volume"),
    ("PersistentVolume",),
)
"""Kinds by column of a picture, from left to right."""

SHOWN = tuple(kind for column in COLUMNS for kind in column)
PARTS = frozenset({"Container", "Volume"})
"""Parts of a Pod, which are no objects of their own; shown where a Pod is looked at by itself."""

TOKEN = "kube-api-access-"
"""How the volume begins that every Pod gets for its account's token."""

HIDDEN = frozenset({"kube-root-ca.crt"})
"""Objects that every namespace has and no lesson speaks of."""

WORDS = {
    "owns": "owns",
    "selects": "sends requests to",
    "routes": "routes to",
    "mounts": "uses",
    "binds": "is bound to",
    "runs": "runs",
}


@dataclass(frozen=True)
class Node:
    """One object in a graph.

    Args:
        uid: its identity.
        kind: its kind.
        name: its name in words.
        facts: short facts beside the name.
        state: `ok`, `bad` or `` (neither).
    """

    uid: str
    kind: str
    name: str
    facts: tuple[str, ...] = ()
    state: str = ""

    @property
    def line(self) -> str:
        """The object in one line of text."""
        return " · ".join((f"{self.kind} {self.name}", *self.facts))

    @property
    def order(self) -> tuple[int, str, tuple[str, ...]]:
        """Where it stands among others, the same on every run."""
        return SHOWN.index(self.kind), self.name, self.facts


@dataclass(frozen=True)
class Edge:
    """One relation: owns, selects, routes, mounts, binds or runs."""

    source: str
    target: str
    kind: str


@dataclass
class Graph:
    """Objects and their relations.

    Args:
        nodes: objects by uid.
        edges: relations.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)

    def targets(self, uid: str) -> list[tuple[Edge, Node]]:
        """Return what an object relates to, in stable order."""
        found = [(edge, self.nodes[edge.target]) for edge in self.edges if edge.source == uid]
        return sorted(found, key=lambda pair: pair[1].order)

    def roots(self) -> list[Node]:
        """Return the objects that nothing points at, in stable order."""
        pointed = {edge.target for edge in self.edges}
        return sorted((node for node in self.nodes.values() if node.uid not in pointed), key=lambda n: n.order)

    def below(self, uid: str) -> Graph:
        """Return an object and everything that can be reached from it."""
        keep, todo = {uid}, [uid]
        while todo:
            fresh = {edge.target for edge in self.edges if edge.source == todo[-1]} - keep
            todo.pop()
            keep |= fresh
            todo += fresh
        nodes = {key: node for key, node in self.nodes.items() if key in keep}
        return Graph(nodes, [edge for edge in self.edges if edge.source in keep])

    def text(self) -> str:
        """Return the graph as an indented list."""
        lines: list[str] = []

        def add(node: Node, depth: int, relation: str) -> None:
            lines.append("  " * depth + (f"{relation} " if relation else "") + node.line)
            for edge, target in self.targets(node.uid):
                add(target, depth + 1, WORDS[edge.kind])

        for root in self.roots():
            add(root, 0, "")
        return "\n".join(lines)


def collect(api: Api) -> Graph:
    """Look at all objects of the lesson and at what ties them together."""
    kinds = (kind for kind in SHOWN if kind not in PARTS)
    items = {item["metadata"]["uid"]: item for kind in kinds for item in _list(api, kind)}
    graph = Graph({uid: _node(item) for uid, item in items.items()})
    graph.edges += _owned(items)
    graph.edges += _endpoints(api, items)
    graph.edges += _routes(items)
    graph.edges += _mounts(items)
    return _without_idle(graph)


def open_pod(graph: Graph, pod: Object) -> Graph:
    """Return a graph with a Pod's containers, and with the volumes that they mount.

    Args:
        graph: a graph with the Pod in it.
        pod: the Pod as the API server reports it.
    """
    uid, spec = pod["metadata"]["uid"], pod["spec"]
    statuses = pod["status"].get("initContainerStatuses", []) + pod["status"].get("containerStatuses", [])
    states = {entry["name"]: entry.get("state", {}) for entry in statuses}
    nodes, edges = dict(graph.nodes), list(graph.edges)
    # the node that a single Pod lands on differs from run to run, and does not matter to what is in it
    nodes[uid] = replace(nodes[uid], facts=(pod_state(pod),))
    for volume in spec.get("volumes") or []:
        if not volume["name"].startswith(TOKEN):
            key, source = f"{uid}/volume/{volume['name']}", next(key for key in volume if key != "name")
            nodes[key] = Node(key, "Volume", volume["name"], (source,))
    for container in spec.get("initContainers", []) + spec["containers"]:
        key = f"{uid}/{container['name']}"
        nodes[key] = _container(key, container, states.get(container["name"], {}), container in spec["containers"])
        edges.append(Edge(uid, key, "runs"))
        mounted = (f"{uid}/volume/{mount['name']}" for mount in container.get("volumeMounts") or [])
        edges += [Edge(key, volume, "mounts") for volume in mounted if volume in nodes]
    return Graph(nodes, edges)


def _container(key: str, container: Object, state: Object, plain: bool) -> Node:
    """Return a container as a node: its image, what it is for unless that is the app, and how it is."""
    role = () if plain else ("sidecar" if container.get("restartPolicy") == "Always" else "init container",)
    how = next(iter(state), "waiting")
    words = how if how == "running" else str(state.get(how, {}).get("reason", how))
    return Node(key, "Container", container["name"], (*role, words, container["image"].rpartition("/")[2]))


def find(api: Api, graph: Graph, reference: str) -> str:
    """Return the uid of `kind/name` in a graph.

    Raises:
        Problem: there is no such object.
    """
    item = api.get(reference)
    if item is None or item["metadata"]["uid"] not in graph.nodes:
        kind, name = split(reference)
        near = "" if item else api.nearest(kind, name)
        then = f'did you mean "{kind}/{near}"?' if near else "kubectl get all"
        raise Problem(f"there is no {reference} to draw", where=f"namespace {api.namespace}", then=then)
    return str(item["metadata"]["uid"])


def _list(api: Api, kind: str) -> list[Object]:
    return [item for item in api.list(kind) if item["metadata"]["name"] not in HIDDEN]


def _node(item: Object) -> Node:
    kind, name, state = item["kind"], short(item), ""
    facts: tuple[str, ...] = ()
    spec, status = item.get("spec", {}), item.get("status", {})
    if kind == "Pod":
        state = "ok" if ready(item) else "bad" if pod_state(item) not in ("pending", "stopping") else ""
        facts = (pod_state(item), version(item), *([spec["nodeName"]] if "nodeName" in spec else []))
    elif kind in ("Deployment", "StatefulSet", "ReplicaSet"):
        facts = (f"{status.get('readyReplicas', 0)} of {spec.get('replicas', 1)} ready",)
        if kind == "ReplicaSet":
            facts = (f"revision {revision(item)}", version(item), *facts)
    elif kind == "DaemonSet":
        facts = (f"{status.get('numberReady', 0)} of {status.get('desiredNumberScheduled', 0)} ready",)
    elif kind in ("PersistentVolumeClaim", "PersistentVolume"):
        facts = (str(status.get("phase", "Pending")),)
    return Node(item["metadata"]["uid"], kind, name, facts, state)


def _owned(items: dict[str, Object]) -> Iterable[Edge]:
    for uid, item in items.items():
        for entry in item["metadata"].get("ownerReferences") or []:
            if entry["uid"] in items:
                yield Edge(entry["uid"], uid, "owns")


def _endpoints(api: Api, items: dict[str, Object]) -> Iterable[Edge]:
    services = {item["metadata"]["name"]: uid for uid, item in items.items() if item["kind"] == "Service"}
    for piece in api.list("EndpointSlice"):
        service = services.get(piece["metadata"].get("labels", {}).get("kubernetes.io/service-name", ""))
        for entry in piece.get("endpoints") or []:
            target = entry.get("targetRef", {}).get("uid")
            if service and target in items and entry["conditions"].get("ready"):
                yield Edge(service, target, "selects")


def _routes(items: dict[str, Object]) -> Iterable[Edge]:
    services = {item["metadata"]["name"]: uid for uid, item in items.items() if item["kind"] == "Service"}
    for uid, item in items.items():
        if item["kind"] != "Ingress":
            continue
        rules = item["spec"].get("rules") or []
        paths = [entry for rule in rules for entry in rule.get("http", {}).get("paths", [])]
        names = {entry["backend"].get("service", {}).get("name") for entry in paths}
        yield from (Edge(uid, services[name], "routes") for name in sorted(names & services.keys()))


def _mounts(items: dict[str, Object]) -> Iterable[Edge]:
    by_name = {(item["kind"], item["metadata"]["name"]): uid for uid, item in items.items()}
    for uid, item in items.items():
        if item["kind"] == "Pod":
            for volume in item["spec"].get("volumes") or []:
                used = (
                    ("PersistentVolumeClaim", volume.get("persistentVolumeClaim", {}).get("claimName")),
                    ("ConfigMap", volume.get("configMap", {}).get("name")),
                    ("Secret", volume.get("secret", {}).get("secretName")),
                )
                yield from (Edge(uid, by_name[key], "mounts") for key in used if key in by_name)
        elif item["kind"] == "PersistentVolumeClaim":
            key = ("PersistentVolume", item["spec"].get("volumeName"))
            if key in by_name:
                yield Edge(uid, by_name[key], "binds")


def _without_idle(graph: Graph) -> Graph:
    """Leave out ReplicaSets that keep no Pods, and volumes of other lessons."""
    used = {edge.source for edge in graph.edges} | {edge.target for edge in graph.edges}
    busy = {edge.source for edge in graph.edges}
    idle = {
        uid
        for uid, node in graph.nodes.items()
        if (node.kind == "ReplicaSet" and uid not in busy)
        or (node.kind in ("PersistentVolume", "ConfigMap", "Secret") and uid not in used)
    }
    nodes = {uid: node for uid, node in graph.nodes.items() if uid not in idle}
    return Graph(nodes, [edge for edge in graph.edges if not {edge.source, edge.target} & idle])
