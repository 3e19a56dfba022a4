"""Module 11, Volumes: how its exercises are checked."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from kubernetes.client.exceptions import ApiException

from k8s101.errors import Problem
from k8s101.lesson.api.diagnose import pods_of, why_pod
from k8s101.lesson.api.names import condition, ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import poll, settled
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import begun, existing, expect, fine, settles

RESTARTED = "kubectl.kubernetes.io/restartedAt"
"""What `kubectl rollout restart` notes in the Pod template."""

NO_CLASS = "fast"
"""The class of exercise 3, which nobody has made."""

REPAIR_SECONDS = 15
LOG_SECONDS = 10
START_SECONDS = 20
SIZES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "": 1}


def size(quantity: str) -> float:
    """Return the bytes that a quantity such as 20Mi stands for.

    Args:
        quantity: as the API server reports it.
    """
    found = re.fullmatch(r"([\d.]+)([A-Za-z]*)", quantity)
    return float(found[1]) * SIZES.get(found[2], 0) if found else 0


def lines_of_diary(api: Api) -> int:
    """Return how many lines Pod diary found in its volume when it started, 0 if its log does not say."""
    try:
        log = api.rest.text(f"/api/v1/namespaces/{api.namespace}/pods/diary/log")
    except ApiException:
        return 0
    found = re.findall(r"^/data/diary\.txt:(\d+)$", log, re.MULTILINE)
    return int(found[-1]) if found else 0


def volume_at(pod: Object, path: str) -> tuple[Object, Object]:
    """Return what a Pod mounts at a path: the mount and the volume, empty if there is none.

    Args:
        pod: a Pod, or the template of one.
        path: where a container sees the volume.
    """
    for container in pod["spec"]["containers"]:
        for mount in container.get("volumeMounts") or []:
            if mount["mountPath"].rstrip("/") == path:
                return mount, next(v for v in pod["spec"]["volumes"] if v["name"] == mount["name"])
    return {}, {}


def source(volume: Object) -> str:
    """Return what a volume is made of, such as `emptyDir`, or `no volume`."""
    return next((key for key in volume if key != "name"), "no volume")


def _placed_or_stuck(pod: Object | None) -> str | None:
    """Say how it ended: a Pod that was just created may take a moment, one that no node fits does not get better."""
    if pod is None or ready(pod):
        return "ready" if pod else None
    return "stuck" if condition(pod, "PodScheduled").get("reason") == "Unschedulable" else None


def _running(api: Api) -> str | None:
    """Wait until Pod diary is ready and has written into its log, or return what holds it up."""
    with contextlib.suppress(Problem):
        poll("pod/diary", _placed_or_stuck, START_SECONDS, "ready")
    pod = existing(api, "pod/diary")
    if not ready(pod):
        return why_pod(api, pod)
    poll("pod/diary", lambda _: "logged" if lines_of_diary(api) else None, LOG_SECONDS, "logged")
    return None


def _kept(api: Api) -> Iterator[Finding]:
    pod = existing(api, "pod/diary")
    _, volume = volume_at(pod, "/data")
    kind = source(volume)
    yield expect(kind == "persistentVolumeClaim", "/data is on a claim", f"Pod diary has {kind} at /data")
    used = volume["persistentVolumeClaim"]["claimName"]
    yield expect(used == "diary", "the claim is diary", f"Pod diary uses claim {used}; the task names it diary")
    yield fine(_running(api), "Pod diary runs")
    claim = existing(api, "persistentvolumeclaim/diary")
    asked = claim["spec"]["resources"]["requests"]["storage"]
    yield expect(
        size(asked) >= size("20Mi"), f"it requests {asked}", f"the claim requests {asked}, the task asks for 20Mi"
    )
    made_by = claim["spec"].get("storageClassName")
    yield expect(made_by == "local-path", "of the default class", f"its class is {made_by}, which is not the default")
    lines = lines_of_diary(api)
    yield expect(
        lines >= 2,
        "a Pod has found the lines of an earlier one",
        "this Pod is the first that writes into the claim: delete it, apply the file again, and see what is left",
    )


def _library(api: Api) -> Iterator[Finding]:
    library = existing(api, "deployment/library")
    template = library["spec"]["template"]
    _, books = volume_at(template, "/books")
    kind = source(books)
    yield expect(kind == "persistentVolumeClaim", "/books is on a claim", f"the template has {kind} at /books")
    yield from _scratch(volume_at(template, "/scratch")[1])
    yield settles("deployment/library", "its Pod runs, and the rollout has ended")
    claim = existing(api, f"persistentvolumeclaim/{books['persistentVolumeClaim']['claimName']}")
    modes = claim["spec"]["accessModes"]
    yield expect(
        modes == ["ReadWriteOncePod"],
        "one Pod at a time may use the claim",
        f"{', '.join(modes)}: several Pods may use the claim at the same time",
    )
    asked = claim["spec"]["resources"]["requests"]["storage"]
    yield expect(
        size(asked) >= size("30Mi"), f"it requests {asked}", f"the claim requests {asked}, the task asks for 30Mi"
    )
    again = (template["metadata"].get("annotations") or {}).get(RESTARTED)
    yield expect(again, "it has been restarted", "nobody has restarted it yet: kubectl rollout restart")


def _scratch(volume: Object) -> Iterator[Finding]:
    kind = source(volume)
    yield expect(kind == "emptyDir", "/scratch ends with its Pod", f"the template has {kind} at /scratch")
    medium, limit = volume["emptyDir"].get("medium", ""), volume["emptyDir"].get("sizeLimit", "")
    yield expect(medium == "Memory", "it is in memory", "/scratch is on the node's disk, the task asks for memory")
    yield expect(
        size(limit) == size("16Mi"),
        "and may hold 16Mi",
        f"/scratch may hold {limit}, the task asks for 16Mi" if limit else "nothing limits what /scratch may hold",
    )


def _orders_begun(api: Api) -> str | None:
    orders, claim = api.get("deployment/orders"), api.get("persistentvolumeclaim/orders")
    if orders is None:
        return "there is no Deployment orders yet"
    same = orders["metadata"]["generation"] == 1 and claim and claim["spec"]["storageClassName"] == NO_CLASS
    others = api.get("persistentvolumeclaim/order") or api.rest.get("StorageClass", NO_CLASS, "")
    return "orders is as your colleague left it" if same and not others else None


def _repaired(api: Api) -> Iterator[Finding]:
    wanted = existing(api, "deployment/orders")["spec"]["replicas"]
    yield expect(wanted >= 1, "orders asks for a Pod", "orders asks for no Pod at all")
    kind = source(volume_at(existing(api, "deployment/orders")["spec"]["template"], "/orders")[1])
    yield expect(
        kind == "persistentVolumeClaim",
        "its files are on a claim",
        f"the template has {kind} at /orders; the orders must outlive their Pod",
    )
    yield expect(
        settled("deployment/orders", REPAIR_SECONDS) is None,
        "its Pod runs",
        "its Pod does not run yet: the reason is still there, or there is a second one",
    )
    pod = next(pod for pod in pods_of(api, existing(api, "deployment/orders")) if ready(pod))
    used = volume_at(pod, "/orders")[1]["persistentVolumeClaim"]["claimName"]
    yield expect(True, f"and claim {used} is bound", "")


EXERCISES = (
    Exercise(
        "diary",
        begun("PersistentVolumeClaim", "diary"),
        _kept,
        (
            "Which line of the Pod decides how long the file in /data lives?",
            "notes.yaml is a claim without a class, and writer.yaml shows how a Pod names a claim. The volumes of a "
            "Pod cannot be changed, so delete the old Pod diary first.",
            "accessModes: [ReadWriteOnce], requests: {storage: 20Mi}, and persistentVolumeClaim: {claimName: diary} "
            "in place of emptyDir: {}. Apply, delete the Pod, apply again.",
        ),
    ),
    Exercise(
        "library",
        begun("Deployment", "library"),
        _library,
        (
            "While a rolling update runs, how many Pods want the claim, and how many may have it?",
            "till.yaml has a claim for one Pod at a time, relay.yaml a volume in memory, and ledger.yaml says when "
            "the old Pod stops. `kubectl explain deployment.spec.strategy` describes the field.",
            "A claim with accessModes: [ReadWriteOncePod]; in the template two volumes and two volumeMounts, /books "
            "and /scratch, with emptyDir: {medium: Memory, sizeLimit: 16Mi}; strategy: {type: Recreate}.",
        ),
    ),
    Exercise(
        "orders",
        _orders_begun,
        _repaired,
        (
            "The Pod is Pending, so it has no log. Who would say why no node was found for it?",
            "`kubectl describe pod` names what the Pod misses. When that is repaired, look again, and describe what "
            "the Pod then waits for.",
            "The Pod asks for a claim under a wrong name: compare with `kubectl get pvc`. The claim asks for a class "
            "that `kubectl get storageclass` does not list; a claim's class cannot be changed, so create the claim "
            "again.",
        ),
    ),
)
