"""Break something on purpose, show the evidence, and heal it again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

from k8s101.errors import Problem
from k8s101.lesson.api.control import NODE_SECONDS, component, node_ready
from k8s101.lesson.api.diagnose import pods_of, ready_endpoints, why_pod, why_service
from k8s101.lesson.api.names import condition, pod_state
from k8s101.lesson.api.rest import MERGE, Object
from k8s101.lesson.api.session import Api, current
from k8s101.lesson.api.wait import poll, rolled_out

WORKLOAD_SECONDS = 60
MISSING_TAG = "missing"
RIDDLES = ("kube-controller-manager", "kube-scheduler")
"""What a hidden fault stops: the API goes on without them."""


@dataclass
class Fault:
    """Something broken on purpose, until `heal`.

    Args:
        name: which fault.
        target: what it was done to.
        symptom: waits until the trouble shows and says it in one line.
        undo: restores what was, and waits until it holds.
    """

    name: str
    target: str
    symptom: Callable[[], str]
    undo: Callable[[], None]

    def evidence(self) -> None:
        """Wait until the trouble shows and print it."""
        print(self.symptom())

    def heal(self) -> None:
        """Restore what was, wait until it holds, and print one line."""
        self.undo()
        print(f"{self.target} healed")

    def __enter__(self) -> Fault:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()


def fault(name: str, *targets: str) -> Fault:
    """Break something; `.evidence()` shows the symptom, `.heal()` or the end of a `with` block restores it.

    Args:
        name: `component stopped`, `component hidden`, `node dead`, `image missing` or `selector mismatch`.
        targets: the component, the node, the Deployment or the Service; several components may be stopped
            at once, and a hidden one is known by a word of your own.

    Raises:
        Problem: there is no such fault or target.
    """
    if name not in FAULTS:
        raise Problem(f"there is no fault {name!r}", where="this cell", then=f"one of: {', '.join(FAULTS)}")
    return FAULTS[name](current(), *targets)


def _component_stopped(api: Api, *targets: str) -> Fault:
    parts = [component(target) for target in targets]
    with ExitStack() as started:
        for part in parts:
            started.callback(part.start)
            part.stop()
        heal = started.pop_all()

    def symptom() -> str:
        return "\n".join(f"{part.name} {'runs' if part.running else 'does not run'}" for part in parts)

    return Fault("component stopped", ", ".join(targets), symptom, heal.close)


def _component_hidden(api: Api, word: str) -> Fault:
    """Stop a component of the control plane without saying which one; each word means one."""
    part = component(RIDDLES[sum(word.encode()) % len(RIDDLES)]).real
    part.stop()
    return Fault("component hidden", word, lambda: "a component does not run", part.start)


def _node_dead(api: Api, target: str) -> Fault:
    part = component(target).real
    part.kill()

    def lost(item: Object | None) -> str | None:
        status = condition(item or {}, "Ready").get("status")
        return f"is not ready: Ready={status}" if status not in ("True", None) else None

    def undo() -> None:
        part.start()
        poll(f"node/{target}", node_ready, NODE_SECONDS, "Ready")

    return Fault("node dead", target, lambda: f"{target} {poll(f'node/{target}', lost, NODE_SECONDS, 'lost')}", undo)


def _image_missing(api: Api, target: str) -> Fault:
    item = api.existing(target)
    container = item["spec"]["template"]["spec"]["containers"][0]
    image = str(container["image"])
    _set_image(api, item, image.rpartition(":")[0] + f":{MISSING_TAG}")

    def stuck(found: Object | None) -> str | None:
        for pod in pods_of(api, found or item):
            if "Image" in pod_state(pod):
                return why_pod(api, pod)
        return None

    def undo() -> None:
        _set_image(api, item, image)
        poll(target, rolled_out, WORKLOAD_SECONDS, "rolled out")

    return Fault("image missing", target, lambda: poll(target, stuck, WORKLOAD_SECONDS, "stuck"), undo)


def _selector_mismatch(api: Api, target: str) -> Fault:
    item = api.existing(target)
    selector = dict(item["spec"]["selector"])
    wrong = {key: f"{value}-typo" for key, value in selector.items()}
    _patch(api, item, {"spec": {"selector": wrong}})

    def empty(found: Object | None) -> str | None:
        return why_service(api, found) if found and not ready_endpoints(api, found) else None

    def filled(found: Object | None) -> str | None:
        return "serves" if found and ready_endpoints(api, found) else None

    def undo() -> None:
        _patch(api, item, {"spec": {"selector": selector}})
        poll(target, filled, WORKLOAD_SECONDS, "served")

    return Fault("selector mismatch", target, lambda: poll(target, empty, WORKLOAD_SECONDS, "without endpoints"), undo)


FAULTS: dict[str, Callable[..., Fault]] = {
    "component stopped": _component_stopped,
    "component hidden": _component_hidden,
    "node dead": _node_dead,
    "image missing": _image_missing,
    "selector mismatch": _selector_mismatch,
}


def _set_image(api: Api, item: Object, image: str) -> None:
    containers = [dict(entry) for entry in item["spec"]["template"]["spec"]["containers"]]
    containers[0]["image"] = image
    _patch(api, item, {"spec": {"template": {"spec": {"containers": containers}}}})


def _patch(api: Api, item: Object, change: Object) -> None:
    resource = api.rest.resource(item["kind"], item["apiVersion"])
    api.rest.call("PATCH", resource.path(api.namespace, item["metadata"]["name"]), change, MERGE)
