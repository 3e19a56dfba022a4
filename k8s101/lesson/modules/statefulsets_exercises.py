"""Module 12, StatefulSets: how its exercises are checked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from k8s101.errors import Problem
from k8s101.lesson.api.diagnose import cause, pods_of
from k8s101.lesson.api.names import ready, version
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import poll, settled
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import begun, existing, expect, settles

NO_CLASS = "fast"
"""The class of exercise 3, which nobody has made."""

READY_SECONDS = 15
REPAIR_SECONDS = 15


def claims_at(pod: Object, path: str) -> str:
    """Return the claim that a Pod mounts at a path, empty if there is none."""
    for container in pod["spec"]["containers"]:
        for mount in container.get("volumeMounts") or []:
            if mount["mountPath"].rstrip("/") == path:
                volume = next(v for v in pod["spec"]["volumes"] if v["name"] == mount["name"])
                return str(volume.get("persistentVolumeClaim", {}).get("claimName", ""))
    return ""


def _pods(api: Api, name: str) -> list[Object]:
    pods = [pod for pod in pods_of(api, existing(api, f"statefulset/{name}")) if ready(pod)]
    return sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))


def _named(api: Api, name: str) -> Iterator[Finding]:
    """Say whether the Service that a set names is there, is headless, and selects its Pods."""
    found = existing(api, f"statefulset/{name}")
    wanted = found["spec"].get("serviceName", "")
    yield expect(wanted, f"{name} names Service {wanted}", f"{name} names no Service, so its Pods have no DNS names")
    service = api.get(f"service/{wanted}")
    yield expect(service, f"Service {wanted} exists", f"{name} names Service {wanted}, and there is none")
    spec = service["spec"] if service else {}
    address = spec.get("clusterIP")
    yield expect(
        address == "None",
        "it has no address of its own",
        f"Service {wanted} has an address: its name does not lead to Pods",
    )
    labels = found["spec"]["template"]["metadata"].get("labels", {})
    selector = spec.get("selector") or {}
    yield expect(
        selector and selector.items() <= labels.items(),
        "it selects the Pods",
        f"Service {wanted} selects {selector or 'nothing'}, and the Pods have the labels {labels}",
    )


def _disks(pods: list[Object], path: str) -> Finding:
    names = [claims_at(pod, path) for pod in pods]
    without = [pod["metadata"]["name"] for pod, name in zip(pods, names, strict=True) if not name]
    if without:
        return expect(False, "", f"{without[0]} has no claim at {path}")
    return expect(
        len(set(names)) == len(names), f"each has a claim of its own at {path}", f"they share the claim {names[0]}"
    )


def _shelf(api: Api) -> Iterator[Finding]:
    spec = existing(api, "statefulset/shelf")["spec"]
    policy = spec.get("podManagementPolicy")
    yield expect(policy == "Parallel", "its Pods start at once", "its Pods start one after the other")
    yield from _named(api, "shelf")
    kept = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    scaled, deleted = kept.get("whenScaled"), kept.get("whenDeleted")
    yield expect(
        scaled == "Delete", "scaling down deletes claims", "the claim of a Pod stays when the set is scaled down"
    )
    yield expect(deleted == "Retain", "deleting the set keeps them", "whoever deletes the set deletes the claims, too")
    yield settles("statefulset/shelf", "its Pods are ready")
    pods = _pods(api, "shelf")
    yield expect(len(pods) == 3, "there are three", f"it has {len(pods)} Pods, the task asks for three")
    yield _disks(pods, "/books")


def _ledger(api: Api) -> Iterator[Finding]:
    yield from _named(api, "ledger")
    spec = existing(api, "statefulset/ledger")["spec"]
    wanted = spec["replicas"]
    yield expect(wanted == 2, "it asks for two Pods", f"it asks for {wanted} Pods, the task for two")
    pods = _ready(api)
    well = len(pods) == 2
    yield expect(well, "both are ready", lambda: cause(api, existing(api, "statefulset/ledger")))
    yield _disks(pods, "/data")
    first, second = (version(pod) for pod in pods)
    yield expect(first == "1.0.0", "ledger-0 runs 1.0.0", f"ledger-0 runs {first}, the task wants 1.0.0 there")
    yield expect(second == "1.1.0", "ledger-1 runs 1.1.0", f"ledger-1 runs {second}, the task wants 1.1.0 there")
    asked = version(existing(api, "statefulset/ledger"))
    yield expect(asked == "1.1.0", "and so does the template", f"the template asks for {asked}, so 1.1.0 will not last")


def _ready(api: Api) -> list[Object]:
    """Wait for the Pods of ledger; a set that is updated in part is never settled as a whole."""
    with contextlib.suppress(Problem):
        poll("statefulset/ledger", _updated_as_far_as_wanted, READY_SECONDS, "ready")
    return _pods(api, "ledger")


def _updated_as_far_as_wanted(found: Object | None) -> str | None:
    if found is None:
        return None
    spec, status = found["spec"], found.get("status", {})
    strategy = spec["updateStrategy"]
    held_back = strategy.get("rollingUpdate", {}).get("partition", 0)
    if strategy["type"] == "OnDelete":
        held_back = spec["replicas"]
    seen = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
    updated = status.get("updatedReplicas", 0) >= spec["replicas"] - held_back
    return "ready" if seen and updated and status.get("readyReplicas", 0) == spec["replicas"] else None


def _orders_begun(api: Api) -> str | None:
    orders = api.get("statefulset/orders")
    if orders is None:
        return "there is no StatefulSet orders yet"
    templates = orders["spec"].get("volumeClaimTemplates") or [{"spec": {}}]
    same = orders["metadata"]["generation"] == 1 and templates[0]["spec"].get("storageClassName") == NO_CLASS
    others = api.get("service/orders") or api.rest.get("StorageClass", NO_CLASS, "")
    return "orders is as your colleague left it" if same and not others else None


def _orders(api: Api) -> Iterator[Finding]:
    wanted = existing(api, "statefulset/orders")["spec"]["replicas"]
    yield expect(wanted >= 2, "orders asks for two Pods", f"orders asks for {wanted} Pods; it needs both")
    template = existing(api, "statefulset/orders")["spec"]["template"]["spec"]
    asks = any("orders-0.orders" in str(each.get("args", "")) for each in template.get("initContainers", []))
    yield expect(asks, "each asks the first one", "the Pods no longer ask orders-0 before they start")
    yield expect(
        settled("statefulset/orders", REPAIR_SECONDS) is None,
        "its Pods run",
        "its Pods do not all run yet: the reason is still there, or there is a second one",
    )
    yield _disks(_pods(api, "orders"), "/data")
    yield from _named(api, "orders")


EXERCISES = (
    Exercise(
        "shelf",
        begun("StatefulSet", "shelf"),
        _shelf,
        (
            "etcd.yaml shows what stands in the first blank and in the last, parallel.yaml shows the others.",
            "serviceName is the name of the Service in the same file, and a mount and its claim template have the "
            "same name. `kubectl explain statefulset.spec.persistentVolumeClaimRetentionPolicy` tells the rest.",
            "serviceName: shelf, podManagementPolicy: Parallel, whenScaled: Delete, whenDeleted: Retain, "
            "and name: books in the template of the claims.",
        ),
    ),
    Exercise(
        "ledger",
        begun("StatefulSet", "ledger"),
        _ledger,
        (
            "Compare the draft with etcd.yaml from top to bottom: four things differ.",
            "The kind; serviceName; volumeClaimTemplates, with a mount at /data; and a StatefulSet has no strategy but "
            "an updateStrategy. probe.yaml shows how to hold an update back.",
            "updateStrategy: {rollingUpdate: {partition: 1}}, apply with 1.0.0, then "
            "kubectl set image statefulset/ledger hello=k8s101.test/hello:1.1.0",
        ),
    ),
    Exercise(
        "orders",
        _orders_begun,
        _orders,
        (
            "An ordered set creates orders-1 only once orders-0 is ready. What does orders-0 wait for?",
            "`kubectl describe pvc` names what is missing. Templates of claims can't be changed, so save the set "
            "with `-o yaml`, delete it and its claims, and apply a corrected file. Then read the log of what orders-1 "
            "runs first.",
            "Take the line with the class out of the template of the claims. Then create a headless Service with the "
            "name that serviceName says: kubectl create service clusterip orders --clusterip=None --tcp=8000",
        ),
    ),
)
