"""Nodes, rollouts, Pods and events as tables, from objects as the API server reports them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from k8s101.lesson.api.mirror import State
from k8s101.lesson.api.names import condition, pod_state, ready, short, version
from k8s101.lesson.api.rest import Object, Resource
from k8s101.lesson.pictures.tables import Row, Table, Word

NOTHING: frozenset[str] = frozenset()
RESOURCES = (
    Resource("Node", "nodes", NOTHING, "v1", namespaced=False),
    Resource("Deployment", "deployments", NOTHING, "apps/v1", namespaced=True),
    Resource("StatefulSet", "statefulsets", NOTHING, "apps/v1", namespaced=True),
    Resource("DaemonSet", "daemonsets", NOTHING, "apps/v1", namespaced=True),
    Resource("Pod", "pods", NOTHING, "v1", namespaced=True),
    Resource("Event", "events", NOTHING, "v1", namespaced=True),
)
"""What is looked at. Their paths are known, so that nobody must be allowed to ask for all kinds."""

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
ROLE = "node-role.kubernetes.io/"
DOTS = "…"
LAST_EVENTS = 8
MESSAGE = 100
CALM = ("pending", "stopping", "completed")
"""States of a Pod that is not ready and not in trouble."""


def tables(state: State, namespace: str, now: datetime, *, steady: bool = False) -> list[Table]:
    """Return the tables of a dashboard.

    Args:
        state: what exists.
        namespace: what Pods, workloads and events belong to.
        now: the moment that ages refer to.
        steady: leave out what is different each time: generated names, on which node a Pod runs, and events.
    """
    return [
        _table(
            state, "nodes", ("NODE", "STATE", "SCHEDULING", "ROLES", "VERSION", "TAINTS"), ("Node",), _node, limit=20
        ),
        _table(
            state,
            f"workloads in namespace {namespace}",
            ("WORKLOAD", "DESIRED", "UPDATED", "READY", "VERSION", "ROLLOUT"),
            WORKLOADS,
            _workload,
        ),
        _table(
            state,
            "Pods",
            ("NODE", "POD", "STATE", "VERSION", "RESTARTS"),
            ("Pod",),
            lambda pod: _pod(pod, steady=steady),
        ),
        _events(state, now, steady=steady),
    ]


def _table(
    state: State,
    title: str,
    head: tuple[str, ...],
    kinds: tuple[str, ...],
    row: Callable[[Object], Row],
    limit: int = 40,
) -> Table:
    rows = [row(item) for kind in kinds for item in state.objects.get(kind, [])]
    order = sorted(rows, key=lambda cells: [str(cell) for cell in cells])
    return Table(title, head, tuple(order), _note(state, kinds), limit)


def _note(state: State, kinds: Iterable[str]) -> str:
    """Say what is not known of these kinds, and why; the same reason once."""
    notes: dict[str, None] = {}
    for kind in kinds:
        if kind in state.trouble:
            stale = "as last seen" if kind in state.objects else "not shown"
            notes[f"{stale}: {state.trouble[kind]}"] = None
        elif kind not in state.objects:
            notes["the answer of the API server has not arrived yet"] = None
    return " · ".join(notes)


def _node(item: Object) -> Row:
    known = condition(item, "Ready").get("status", "Unknown")
    words = {"True": Word("ready", "ok"), "False": Word("not ready", "bad")}
    spec, labels = item.get("spec", {}), item["metadata"].get("labels", {})
    roles = sorted(name.removeprefix(ROLE) for name in labels if name.startswith(ROLE))
    taints = [
        f"{taint['key']}{'=' if taint.get('value') else ''}{taint.get('value', '')}:{taint['effect']}"
        for taint in spec.get("taints", [])
    ]
    return (
        str(item["metadata"]["name"]),
        words.get(known, Word("no heartbeat", "bad")),
        "cordoned" if spec.get("unschedulable") else "allowed",
        ", ".join(roles) or "none",
        str(item.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", "?")),
        ", ".join(taints) or "none",
    )


def _workload(item: Object) -> Row:
    desired, updated, now_ready, _ = counts(item)
    name = f"{item['kind'].lower()}/{item['metadata']['name']}"
    return name, str(desired), str(updated), str(now_ready), version(item), rollout(item)


def counts(item: Object) -> tuple[int, int, int, int]:
    """Return how many Pods of a workload are desired, of the newest revision, ready, and there at all."""
    status = item.get("status", {})
    if item["kind"] == "DaemonSet":
        names = ("desiredNumberScheduled", "updatedNumberScheduled", "numberReady", "currentNumberScheduled")
        desired, updated, now_ready, total = (int(status.get(name, 0)) for name in names)
        return desired, updated, now_ready, total
    updated, now_ready, total = (int(status.get(name, 0)) for name in ("updatedReplicas", "readyReplicas", "replicas"))
    return int(item["spec"].get("replicas", 1)), updated, now_ready, total


def rollout(item: Object) -> Word:
    """Say in words how far the rollout of a workload is."""
    desired, updated, now_ready, total = counts(item)
    progress = condition(item, "Progressing")
    if item.get("status", {}).get("observedGeneration", 0) < item["metadata"].get("generation", 0):
        return Word("its controller has not looked yet")
    if progress.get("status") == "False":
        return Word(f"stalled: {progress.get('reason')}", "bad")
    if item["spec"].get("paused"):
        return Word("paused")
    if updated < desired:
        return Word(f"{updated} of {desired} updated")
    if total > desired:
        return Word(f"{total - desired} too many, about to stop")
    if now_ready < desired:
        return Word(f"{now_ready} of {desired} ready")
    return Word("complete", "ok") if desired else Word("scaled to zero")


def _pod(item: Object, *, steady: bool) -> Row:
    word = pod_state(item)
    state = "ok" if ready(item) else "" if word in CALM else "bad"
    statuses = item.get("status", {}).get("containerStatuses") or []
    node = str(item["spec"].get("nodeName", ""))
    return (
        (DOTS if steady else node) if node else "not assigned",
        short(item) if steady else str(item["metadata"]["name"]),
        Word(word, state),
        version(item),
        str(sum(int(entry.get("restartCount", 0)) for entry in statuses)),
    )


def _events(state: State, now: datetime, *, steady: bool) -> Table:
    head = ("AGE", "TYPE", "REASON", "OBJECT", "MESSAGE")
    events = sorted(state.objects.get("Event", []), key=lambda item: (_when(item), item["metadata"]["name"]))
    rows = tuple(_event(item, now) for item in reversed(events[-LAST_EVENTS:]))
    if steady and rows:
        rows = ((DOTS,) * len(head),)
    return Table(f"the last {LAST_EVENTS} events, the newest first", head, rows, _note(state, ("Event",)))


def _event(item: Object, now: datetime) -> Row:
    about = item["involvedObject"]
    number = (item.get("series") or {}).get("count") or item.get("count") or 1
    message = " ".join(str(item.get("message", "")).split())
    message = message if len(message) <= MESSAGE else message[: MESSAGE - 1] + DOTS
    kind = str(item.get("type", "Normal"))
    return (
        age(_when(item), now),
        Word(kind, "bad" if kind == "Warning" else ""),
        str(item.get("reason", "")),
        f"{about.get('kind', '?').lower()}/{about.get('name', '?')}",
        f"{message} ({number} times)" if number > 1 else message,
    )


def _when(event: Object) -> str:
    """Return the time of the last report; the ways of writing it compare well down to the second."""
    series = event.get("series") or {}
    stamps = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return str(next(filter(None, stamps), event["metadata"].get("creationTimestamp", "")))[:19]


def age(stamp: str, now: datetime) -> str:
    """Say how long ago something was, as kubectl does, in one unit.

    Args:
        stamp: the time in UTC, without its zone.
        now: the moment of now.
    """
    if not stamp:
        return "?"
    seconds = max(0, int((now - datetime.fromisoformat(stamp).replace(tzinfo=UTC)).total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
