"""Say generated names, addresses and ages in words, so that the same lesson always reads the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a kernel begins with this module, and the client takes a second
    from k8s101.lesson.api.rest import Object

REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"
NUMBERED = "statefulset.kubernetes.io/pod-name"
"""The label of Pods whose names are no accident."""

LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""The alphabet of generated names (k8s.io/apimachinery/pkg/util/rand)."""

_POD = re.compile(rf"-(?:[{LETTERS}]{{6,10}}-)?[{LETTERS}]{{5}}\b")
_HASH = re.compile(rf"-[{LETTERS}]{{8,10}}\b")
_RUN = re.compile(r"-\d{8}(?:-…)?(?![\w.])")
"""What a CronJob appends to its name: the time of the run, in minutes since 1970, and perhaps a Pod's own part."""

_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(:\d+)?\b")
_TIME = re.compile(r"\b\d+(?:\.\d+)?(?:ms|s)\b")


def short(item: Object) -> str:
    """Return an object's name with a generated part replaced by an ellipsis."""
    meta = item["metadata"]
    name = str(meta["name"])
    if NUMBERED in meta.get("labels", {}):
        return name
    template = meta.get("labels", {}).get(HASH)
    if template and f"-{template}" in name:
        return name.split(f"-{template}")[0] + "-…"
    prefix = meta.get("generateName")
    return _RUN.sub("-…", f"{prefix}…" if prefix else name)


def tidy(text: str) -> str:
    """Replace generated names, addresses and durations in a sentence of Kubernetes."""
    text = _RUN.sub("-…", _POD.sub("-…", text))
    text = _HASH.sub("-…", text)
    text = _ADDRESS.sub(r"<address>\1", text)
    return _TIME.sub("<time>", text)


def version(item: Object) -> str:
    """Return the tag of the first container's image, of a Pod or of something with a Pod template."""
    spec = item["spec"].get("template", item)["spec"]
    return str(spec["containers"][0]["image"]).rpartition(":")[2]


def revision(item: Object) -> str:
    """Return the revision that a ReplicaSet stands for."""
    return str(item["metadata"].get("annotations", {}).get(REVISION, "?"))


def ready(pod: Object) -> bool:
    """Tell whether a Pod may get requests: ready, and not about to stop."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    return condition(pod, "Ready").get("status") == "True"


def condition(item: Object, kind: str) -> Object:
    """Return one condition of an object, empty if it has none of this type."""
    conditions = item.get("status", {}).get("conditions") or []
    return next((entry for entry in conditions if entry["type"] == kind), {})


def selects(selector: Object | None, labels: dict[str, str]) -> bool:
    """Return whether a label selector fits labels: an empty one fits all, none at all fits none.

    Args:
        selector: with `matchLabels` and `matchExpressions`, as Kubernetes writes it.
        labels: the labels of a Pod or of a Pod template.
    """
    if selector is None:
        return False
    wanted, expressions = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    return wanted.items() <= labels.items() and all(_holds(expression, labels) for expression in expressions)


def _holds(expression: Object, labels: dict[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    found = {
        "In": labels.get(key) in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }
    return found[str(expression["operator"])]


def owner(item: Object) -> str:
    """Return the uid of the controller that owns an object, empty if there is none."""
    owners = item["metadata"].get("ownerReferences") or []
    return next((str(entry["uid"]) for entry in owners if entry.get("controller")), "")


def pod_state(pod: Object) -> str:
    """Say in a word or two how a Pod is, by what its containers report."""
    if pod["metadata"].get("deletionTimestamp"):
        return "stopping"
    if ready(pod):
        return "ready"
    if reason := waiting(pod).get("reason"):
        return str(reason)
    status = pod.get("status", {})
    phase = str(status.get("phase", "Pending"))
    return {"Running": "not ready", "Succeeded": "completed"}.get(phase, phase.lower())


def waiting(pod: Object) -> Object:
    """Return for what the first container in trouble waits (name, image, reason, message …), empty if there is none."""
    status = pod.get("status", {})
    for entry in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        found: Object = entry.get("state", {}).get("waiting", {})
        if found.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            spec = pod.get("spec", {})
            containers = [*spec.get("initContainers", []), *spec.get("containers", [])]
            image = next((one["image"] for one in containers if one["name"] == entry.get("name")), "")
            ended = entry.get("lastState", {}).get("terminated", {})
            return found | {
                "name": entry.get("name", ""),
                "image": image,
                "alone": len(containers) == 1,
                "ended": ended,
            }
    return {}
