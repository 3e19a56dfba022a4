"""Name the cause of a trouble from what the cluster itself reports."""

from __future__ import annotations

from datetime import UTC, datetime

from k8s101.lesson.api.names import REVISION, condition, owner, pod_state, ready, short, tidy, waiting
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api

LACKING = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
}
"""What a container that cannot start waits for; it does not come by itself."""

NOT_STARTED = "StartError"
"""How a container ended whose program could not be run."""

HOPELESS = {*LACKING, "CrashLoopBackOff"}

WORKLOADS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job")
MAKERS = ("StatefulSet", "DaemonSet", "Job")
"""Kinds that tell only by events that they cannot make Pods."""

SELECTED_NODE = "volume.kubernetes.io/selected-node"
"""What the scheduler notes on a claim whose volume shall be made on the node that it has found."""

PROBE_FAILURES = 5
UNSCHEDULABLE_SECONDS = 5


def cause(api: Api, item: Object) -> str:
    """Return one sentence on why an object is not as it should be.

    Args:
        api: the lesson.
        item: the object as it is now.
    """
    kind = item["kind"]
    if kind == "Pod":
        return why_pod(api, item)
    if kind == "Service":
        return why_service(api, item)
    if kind in WORKLOADS:
        return why_workload(api, item)
    for entry in item.get("status", {}).get("conditions") or []:
        # those of a namespace that is being deleted name what is left, or say that all is well
        if entry.get("message") and (kind != "Namespace" or entry["status"] == "True"):
            return f"{entry['type']}={entry['status']}: {tidy(entry['message'])}"
    return _last_warning(api, item) or "the cluster reports no cause"


def why_pod(api: Api, pod: Object) -> str:
    """Return one sentence on why a Pod is not ready."""
    name, state = short(pod), pod_state(pod)
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return f"Pod {name} is on no node: {tidy(scheduled.get('message', ''))}"
    if not pod["spec"].get("nodeName"):
        return f"Pod {name} is on no node, and no scheduler has said why: is {scheduler(pod)} there?"
    if held := _why_waiting(waiting(pod)) or _why_waiting(_refused(api, pod)):
        return f"Pod {name} cannot start: {held}"
    if state == "not ready":
        return f"Pod {name} runs but is not ready: {_last_warning(api, pod) or 'its probe has not passed yet'}"
    return f"Pod {name} is {state}: {_last_warning(api, pod) or 'no event says why'}"


def _refused(api: Api, pod: Object) -> Object:
    """Return a container whose image nobody has, as events tell it: beside others, the status comes seconds later."""
    containers = pod["spec"].get("initContainers", []) + pod["spec"]["containers"]
    entries = [entry for key in ("initContainerStatuses", "containerStatuses") for entry in pod["status"].get(key, [])]
    waits = {entry["name"] for entry in entries if "waiting" in entry["state"]}
    told = [event["message"] for event in _warnings(api, pod) if event["reason"] == "Failed"] if waits else []
    for container in containers:
        name, image = container["name"], container["image"]
        if name in waits and any(message.startswith(f'Failed to pull image "{image}"') for message in told):
            return {"reason": "ErrImagePull", "name": name, "image": image, "alone": len(containers) == 1}
    return {}


def _why_waiting(found: Object) -> str:
    """Say what keeps a container from starting, empty if it has started before or nothing is known."""
    reason, image, message = (str(found.get(key, "")) for key in ("reason", "image", "message"))
    of = "" if found.get("alone") else f" of container {found.get('name')}"
    if reason == "ErrImageNeverPull":
        return f"its node has no image {image}{of}, and imagePullPolicy: Never keeps it from getting it"
    if reason == "InvalidImageName":
        return f"{image!r}{of} is no name that an image can have"
    if "Image" in reason:  # what the registry said differs from machine to machine
        return f"its node has no image {image}{of} and cannot get it"
    if reason == "CreateContainerConfigError":
        return f"container {found['name']}: {tidy(message)}"
    if found.get("ended", {}).get("reason") == NOT_STARTED:
        # the runtime tells what each of its parts was doing, and the cause last
        return f"container {found['name']}: {tidy(str(found['ended'].get('message', '')).rpartition('init: ')[2])}"
    return ""


def scheduler(pod: Object) -> str:
    """Return the name of the scheduler that shall place a Pod."""
    name = pod["spec"].get("schedulerName", "default-scheduler")
    return "kube-scheduler" if name == "default-scheduler" else str(name)


def why_workload(api: Api, item: Object) -> str:
    """Return one sentence on why a Deployment, or the like, lacks ready Pods."""
    pods = [pod for pod in pods_of(api, item) if not ready(pod) and pod_state(pod) != "stopping"]
    if pods:  # the newest Pods show what the latest change did, those in trouble more than those that begin
        newest = max(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])
        sisters = [pod for pod in pods if owner(pod) == owner(newest)]
        return why_pod(api, next((pod for pod in sisters if hopeless(api, pod)), newest))
    if item["kind"] != "Job" and not item.get("status", {}).get("observedGeneration"):
        return (
            f"no controller has looked at {item['kind']} {item['metadata']['name']}: is kube-controller-manager there?"
        )
    if item["spec"].get("paused"):
        return f"{item['kind']} {item['metadata']['name']} is paused: changes wait until it is resumed"
    failure = condition(item, "ReplicaFailure")
    if failure.get("status") == "True":
        return f"Pods cannot be created: {tidy(failure.get('message', ''))}"
    if item["spec"].get("replicas") == 0:
        return f"{item['kind']} {item['metadata']['name']} asks for 0 replicas"
    return _last_warning(api, item) or "all its Pods are ready; its controller has not reported more"


def why_service(api: Api, service: Object) -> str:
    """Return one sentence on why a Service has no ready endpoints."""
    name = service["metadata"]["name"]
    wanted = _selector(service)
    if not wanted:
        return f"Service {name} has no selector, so nobody fills in its endpoints"
    pods = api.list("Pod", wanted)
    if not pods:
        return f"Service {name} has no endpoints: its selector {wanted} matches no Pod label"
    waiting = [pod for pod in pods if not ready(pod)]
    if len(waiting) == len(pods):
        return f"Service {name} has no ready endpoints: {why_pod(api, waiting[0])}"
    return f"Service {name} has {len(pods) - len(waiting)} ready endpoints"


def _selector(service: Object) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((service["spec"].get("selector") or {}).items()))


def ready_endpoints(api: Api, service: Object) -> int:
    """Count the Pods to which a Service sends requests."""
    slices = api.list("EndpointSlice", f"kubernetes.io/service-name={service['metadata']['name']}")
    return sum(bool(entry["conditions"].get("ready")) for piece in slices for entry in piece.get("endpoints") or [])


def stuck(api: Api, item: Object) -> bool:
    """Tell whether a Pod of a Deployment, or the like, has shown that it will not get ready by itself."""
    seen = item.get("status", {}).get("observedGeneration")
    if seen is not None and seen < item["metadata"].get("generation", 0):
        return False  # what its Pods show is older than what is asked for
    # one that stops fails its probe, too
    staying = [pod for pod in _newest(api, item) if "deletionTimestamp" not in pod["metadata"]]
    return any(hopeless(api, pod) for pod in staying if not ready(pod))


def held_up(api: Api, item: Object) -> bool:
    """Tell whether somebody has to act before an object, or the Pods of one, can get ready.

    What a Pod that ran once suffers from may pass; a container that was never started has no such hope.
    """
    if item["kind"] == "Service":
        pods = api.list("Pod", selector) if (selector := _selector(item)) else []
        return bool(pods) and all(map(_never_starts, pods))
    if item["kind"] == "Pod":
        return _never_starts(item)
    seen = item.get("status", {}).get("observedGeneration")
    if item["kind"] not in WORKLOADS or (seen is not None and seen < item["metadata"].get("generation", 0)):
        return False  # what its Pods show is older than what is asked for
    if item["spec"].get("paused") or condition(item, "ReplicaFailure").get("status") == "True":
        return True
    pods = _newest(api, item)
    if not pods and item["kind"] in MAKERS:
        return any(event.get("reason") == "FailedCreate" for event in _warnings(api, item))
    return any(_never_starts(pod) for pod in pods if "deletionTimestamp" not in pod["metadata"])


def _never_starts(pod: Object) -> bool:
    """Tell whether a container lacks something, or has no such program."""
    found = waiting(pod)
    return found.get("reason") in LACKING or found.get("ended", {}).get("reason") == NOT_STARTED


def _newest(api: Api, item: Object) -> list[Object]:
    """Return the Pods of an object, of a Deployment those of its newest template: a repair replaces all others."""
    own = [entry for entry in api.list("ReplicaSet") if owner(entry) == item["metadata"]["uid"]]
    if not own:
        return pods_of(api, item)
    newest = max(own, key=lambda entry: int(entry["metadata"].get("annotations", {}).get(REVISION, 0)))
    return [pod for pod in pods_of(api, item) if owner(pod) == newest["metadata"]["uid"]]


def hopeless(api: Api, pod: Object) -> bool:
    """Tell whether a Pod has shown that it will not get ready by itself."""
    if pod_state(pod) in HOPELESS or _refused(api, pod):
        return True
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        if _gets_volume(api, pod):
            return False
        since = datetime.fromisoformat(scheduled["lastTransitionTime"])
        return (datetime.now(UTC) - since).total_seconds() > UNSCHEDULABLE_SECONDS
    return any(event.get("count", 1) >= PROBE_FAILURES for event in _warnings(api, pod))


def _gets_volume(api: Api, pod: Object) -> bool:
    """Tell whether a Pod has a node after all, on which a volume is made for it; its condition tells older news."""
    names = [volume.get("persistentVolumeClaim", {}).get("claimName") for volume in pod["spec"].get("volumes") or []]
    found = [claim for name in names if name and (claim := api.get(f"persistentvolumeclaim/{name}"))]
    placed = [claim for claim in found if SELECTED_NODE in claim["metadata"].get("annotations", {})]
    # a bound volume may be what keeps a Pod away from nodes, but then the condition does not speak of the claim
    lacked_claim = "persistentvolumeclaim" in str(condition(pod, "PodScheduled").get("message"))
    return any(lacked_claim or claim["status"].get("phase") == "Pending" for claim in placed)


def pods_of(api: Api, item: Object) -> list[Object]:
    """Return the Pods that an object owns, directly or through a ReplicaSet or a Job."""
    uids = {item["metadata"]["uid"]}
    for kind in ("ReplicaSet", "Job"):
        uids |= {entry["metadata"]["uid"] for entry in api.list(kind) if owner(entry) in uids}
    return [pod for pod in api.list("Pod") if owner(pod) in uids]


def _warnings(api: Api, item: Object) -> list[Object]:
    uid = item["metadata"]["uid"]
    events = api.rest.list("Event", item["metadata"].get("namespace", "default"), f"involvedObject.uid={uid}")
    return [event for event in events if event["type"] == "Warning"]


def _last_warning(api: Api, item: Object) -> str:
    def when(event: Object) -> str:
        return str(event.get("lastTimestamp") or event["metadata"]["creationTimestamp"])

    last = max(_warnings(api, item), key=when, default=None)
    return tidy(str(last["message"]).split("\n")[0]) if last else ""
