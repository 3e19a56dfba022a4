"""Show objects as tables that read the same on every run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from k8s101.lesson.api.names import condition, owner, pod_state, revision, short, tidy, version
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api, current
from k8s101.lesson.modules import written
from k8s101.lesson.pictures.parts import parts
from k8s101.lesson.quiz import bank, progress

Row = Sequence[str]
Column = tuple[str, Callable[[Api, Object], str]]


def show(what: str, selector: str = "") -> None:
    """Print a manifest, numbered, or the lesson's objects of one or several kinds as tables.

    Generated parts of names are shown as an ellipsis, rows are sorted, ages are left out.

    Args:
        what: file name of a manifest, kinds separated by commas, `events`, `progress`, or `parts` (of the
            cluster).
        selector: labels that the objects must bear, for example `app=hello`; for events a field,
            for example `reason=Killing`.

    Raises:
        Problem: there is no such file or kind.
    """
    api = current()
    if what == "progress":
        print(table(*progress_table(api)))
    elif what == "parts":
        print(table(("PART", "STATE"), parts()))
    elif what.endswith((".yaml", ".yml", ".json")):
        print(numbered(api.manifest(what).read_text()))
    else:
        print("\n\n".join(_objects(api, kind.strip(), selector) for kind in what.split(",")))


def numbered(text: str) -> str:
    """Return a text with its lines numbered."""
    rows = text.rstrip("\n").split("\n")
    width = len(str(len(rows)))
    return "\n".join(f"{number:>{width}}  {row}".rstrip() for number, row in enumerate(rows, 1))


def table(header: Row, rows: Sequence[Row]) -> str:
    """Return rows below a header, each column as wide as its widest cell."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
    return "\n".join(line.rstrip() for line in text)


def _objects(api: Api, kind: str, selector: str) -> str:
    resource = api.rest.resource(kind)
    columns = COLUMNS.get(resource.kind, DEFAULT)
    header = [resource.kind.upper() if title == "NAME" else title for title, _ in columns]
    rows = [tuple(value(api, item) for _, value in columns) for item in api.list(resource.kind, selector)]
    if not rows:
        return f"no {resource.plural} in {api.namespace}" if resource.namespaced else f"no {resource.plural}"
    # how often an event was repeated depends on the machine's speed
    return table(header, sorted(set(rows) if resource.kind == "Event" else rows))


def _name(api: Api, item: Object) -> str:
    return short(item)


def _count(*path: str) -> Callable[[Api, Object], str]:
    return lambda api, item: str(_dig(item, path) or 0)


def _text(*path: str) -> Callable[[Api, Object], str]:
    return lambda api, item: str(_dig(item, path) or "")


def _dig(item: Object, path: Sequence[str]) -> object:
    found: object = item
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _image(api: Api, item: Object) -> str:
    return version(item)


def _restarts(api: Api, pod: Object) -> str:
    return str(sum(entry.get("restartCount", 0) for entry in pod["status"].get("containerStatuses", [])))


def _owner(api: Api, item: Object) -> str:
    uid = owner(item)
    entries = item["metadata"].get("ownerReferences") or []
    entry = next((entry for entry in entries if entry["uid"] == uid), None)
    return f"{entry['kind']} {tidy(entry['name'])}" if entry else ""


def _selector(api: Api, item: Object) -> str:
    found = item["spec"].get("selector") or {}
    labels = found.get("matchLabels", found)
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()) if isinstance(value, str))


def _ports(api: Api, service: Object) -> str:
    return ",".join(f"{port['port']}→{port.get('targetPort', port['port'])}" for port in service["spec"]["ports"])


def _endpoints(api: Api, item: Object) -> str:
    ready = sum(bool(entry["conditions"].get("ready")) for entry in item.get("endpoints") or [])
    return f"{ready} ready"


def _about(api: Api, event: Object) -> str:
    target = event["involvedObject"]
    return f"{target['kind']} {tidy(target['name'])}"


def _reporter(api: Api, event: Object) -> str:
    return str(event.get("reportingComponent") or event.get("source", {}).get("component", ""))


def _message(api: Api, event: Object) -> str:
    return tidy(str(event.get("message", "")).split("\n")[0])


def _state(api: Api, pod: Object) -> str:
    return pod_state(pod)


def _node_ready(api: Api, node: Object) -> str:
    return str(condition(node, "Ready").get("status", "Unknown"))


def _revision(api: Api, item: Object) -> str:
    return revision(item)


def _keys(api: Api, item: Object) -> str:
    """Return the names in a ConfigMap or Secret, never what stands behind them."""
    return ",".join(sorted({**(item.get("data") or {}), **(item.get("binaryData") or {})}))


def _immutable(api: Api, item: Object) -> str:
    return "yes" if item.get("immutable") else "no"


def _job_state(api: Api, job: Object) -> str:
    for kind in ("Complete", "Failed", "Suspended"):
        entry = condition(job, kind)
        if entry.get("status") == "True":
            return f"{kind}: {entry['reason']}" if kind == "Failed" else kind
    return "running"


def _active(api: Api, cronjob: Object) -> str:
    return str(len(cronjob.get("status", {}).get("active") or []))


def _suspended(api: Api, cronjob: Object) -> str:
    return "yes" if cronjob["spec"].get("suspend") else "no"


COLUMNS: dict[str, tuple[Column, ...]] = {
    "Pod": (
        ("NAME", _name),
        ("STATE", _state),
        ("IMAGE", _image),
        ("NODE", _text("spec", "nodeName")),
        ("RESTARTS", _restarts),
    ),
    "ReplicaSet": (
        ("REVISION", _revision),
        ("NAME", _name),
        ("WANTED", _count("spec", "replicas")),
        ("READY", _count("status", "readyReplicas")),
        ("IMAGE", _image),
        ("OWNER", _owner),
    ),
    "Deployment": (
        ("NAME", _name),
        ("WANTED", _count("spec", "replicas")),
        ("UPDATED", _count("status", "updatedReplicas")),
        ("READY", _count("status", "readyReplicas")),
        ("AVAILABLE", _count("status", "availableReplicas")),
        ("IMAGE", _image),
    ),
    "DaemonSet": (
        ("NAME", _name),
        ("WANTED", _count("status", "desiredNumberScheduled")),
        ("UPDATED", _count("status", "updatedNumberScheduled")),
        ("READY", _count("status", "numberReady")),
        ("AVAILABLE", _count("status", "numberAvailable")),
        ("IMAGE", _image),
    ),
    "Service": (
        ("NAME", _name),
        ("TYPE", _text("spec", "type")),
        ("PORTS", _ports),
        ("SELECTOR", _selector),
    ),
    "EndpointSlice": (("NAME", _name), ("ENDPOINTS", _endpoints), ("OWNER", _owner)),
    "Event": (("ABOUT", _about), ("REASON", _text("reason")), ("FROM", _reporter), ("MESSAGE", _message)),
    "ConfigMap": (("NAME", _name), ("KEYS", _keys), ("IMMUTABLE", _immutable)),
    "Secret": (("NAME", _name), ("TYPE", _text("type")), ("KEYS", _keys), ("IMMUTABLE", _immutable)),
    "Job": (
        ("NAME", _name),
        ("WANTED", _count("spec", "completions")),
        ("SUCCEEDED", _count("status", "succeeded")),
        ("FAILED", _count("status", "failed")),
        ("STATE", _job_state),
    ),
    "CronJob": (
        ("NAME", _name),
        ("SCHEDULE", _text("spec", "schedule")),
        ("POLICY", _text("spec", "concurrencyPolicy")),
        ("SUSPENDED", _suspended),
        ("ACTIVE", _active),
    ),
    "Node": (("NAME", _name), ("READY", _node_ready), ("VERSION", _text("status", "nodeInfo", "kubeletVersion"))),
}

DEFAULT: tuple[Column, ...] = (("NAME", _name),)


def progress_table(api: Api) -> tuple[Row, list[Row]]:
    """Return what the learner has done: a row for this lesson and for each one begun."""
    entries = progress.load()
    begun = {entry["lesson"] for entry in entries} | {api.slug}
    rows: list[Row] = []
    for slug in (slug for slug in written() if slug in begun):
        home = bank.module(slug)
        questions, exercises = getattr(home, "QUESTIONS", ()), getattr(home, "EXERCISES", ())
        computed = [entry for entry in questions if not isinstance(entry.right, str)]
        rows.append(
            (
                slug,
                f"{progress.answered(entries, slug, 'predict')} of {len(computed)}",
                f"{progress.best(entries, slug, 'predict', 'right')}",
                f"{progress.best(entries, slug, 'check', 'passed')} of {len(exercises)}",
            )
        )
    return ("LESSON", "PREDICTED", "RIGHT", "EXERCISES"), rows
