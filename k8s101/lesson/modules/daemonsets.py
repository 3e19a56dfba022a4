"""Module 07, DaemonSets: what it asks and how its exercises are checked."""

from __future__ import annotations

from collections.abc import Iterator

import requests

from k8s101.lesson.api.diagnose import pods_of, why_pod
from k8s101.lesson.api.names import owner, ready, version
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import settled
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Option, Question
from k8s101.lesson.quiz.checking import existing, expect, fine, recorded, same_version

CALLS = 40
CALL_SECONDS = 5
NEWCOMER = "worker-4"


def _nodes(api: Api) -> list[Object]:
    return api.rest.list("Node", "")


def _names(api: Api) -> list[str]:
    return [node["metadata"]["name"] for node in _nodes(api)]


def _places(api: Api, name: str) -> list[str]:
    """Return the node of each Pod of a DaemonSet, sorted; Pods of nodes that are gone do not count."""
    places = [pod["spec"].get("nodeName", "") for pod in pods_of(api, existing(api, f"daemonset/{name}"))]
    return sorted(set(places) & set(_names(api))) if len(places) > 1 else places


def _how_many(before: Before, api: Api) -> str:
    places = _places(api, "agent")
    if places == sorted(_names(api)):
        return "each"
    return "one" if len(places) == 1 else "none"


def _newcomer(before: Before, api: Api) -> str:
    # the lesson has written nothing since the node came
    if NEWCOMER in _places(api, "agent"):
        return "nobody"
    return "you"


def _no_label(before: Before, api: Api) -> str:
    states = [bool(pod["spec"].get("nodeName")) for pod in pods_of(api, existing(api, "daemonset/fast"))]
    if not states:
        return "none"
    return "anywhere" if all(states) else "pending"


def _who_answers(before: Before, api: Api) -> str:
    service = api.get("service/agent") or {}
    node = _nodes(api)[0]
    address = next(entry["address"] for entry in node["status"]["addresses"] if entry["type"] == "InternalIP")
    url = f"http://{address}:{service['spec']['ports'][0]['nodePort']}/"
    hosts = {requests.get(url, timeout=CALL_SECONDS).headers["X-Hello-Host"] for _ in range(CALLS)}
    if len(hosts) > 1:
        return "all"
    pod = api.get(f"pod/{hosts.pop()}") or {"spec": {}}
    here = pod["spec"].get("nodeName") == node["metadata"]["name"]
    return "own" if here else "same"


def _on_delete(before: Before, api: Api) -> str:
    daemonset = existing(api, "daemonset/agent")
    pods = [pod for pod in pods_of(api, daemonset) if not pod["metadata"].get("deletionTimestamp")]
    fresh = [pod for pod in pods if version(pod) == version(daemonset)]
    return "deleted" if len(fresh) == 1 else "all"


def _bad_release(before: Before, api: Api) -> str:
    daemonset = existing(api, "daemonset/agent")
    status = daemonset["status"]
    if status.get("conditions"):
        return "condition"
    if version(daemonset) != "1.1.1":
        return "undone"
    left = status["desiredNumberScheduled"] - status.get("updatedNumberScheduled", 0)
    return "silent" if left else "replaced"


QUESTIONS = (
    Question(
        "how-many",
        "The manifest names no number. How many agents will there be?",
        {
            "one": Option("one, until you scale it", "That is a Deployment; a DaemonSet cannot be scaled at all."),
            "each": Option("one on each node", "the nodes are counted, and each gets one"),
            "none": Option(
                "none: the number is missing", "A DaemonSet has no such field; its number follows from the nodes."
            ),
        },
        _how_many,
    ),
    Question(
        "newcomer",
        "A new node joins. Who has to act so that it gets an agent?",
        {
            "you": Option(
                "you, by applying the manifest again",
                "What you want is stored already; it holds for future nodes, too.",
            ),
            "nobody": Option("nobody: it happens by itself", "the controller watches nodes as well as Pods"),
            "never": Option(
                "nobody can: the agents were placed when you applied the manifest",
                "A controller never stops comparing.",
            ),
        },
        _newcomer,
    ),
    Question(
        "no-label",
        "No node bears the label disk=fast yet. What will become of the Pods of `fast`?",
        {
            "pending": Option(
                "they wait, as Pending", "So would a Deployment's. Here the nodes come first, and no node wants a Pod."
            ),
            "none": Option(
                "there is none, and that is no error", "no node matches, so none is wanted: 0 of 0 is complete"
            ),
            "anywhere": Option("they run, on any node", "A nodeSelector is a condition, not a preference."),
        },
        _no_label,
    ),
    Question(
        "who-answers",
        "You call port 30007 of one node, forty times. Who answers?",
        {
            "own": Option("the agent of that node", "A node port belongs to the Service, not to the Pods of the node."),
            "all": Option("the agents of all nodes", "each node sends requests to any ready Pod of the Service"),
            "same": Option("always the same one, on any node", "Each new connection is given to a Pod at random."),
        },
        _who_answers,
    ),
    Question(
        "on-delete",
        "The strategy is now OnDelete. You set release 1.1.0 and delete one agent. Which agents run 1.1.0 then?",
        {
            "all": Option(
                "all agents, one after the other", "That is RollingUpdate; now the controller waits for you."
            ),
            "deleted": Option(
                "only the agent that you delete", "its successor is made from the new template, the others stay"
            ),
            "none": Option(
                "none: a successor is a copy of what was there", "A new Pod is always made from the current template."
            ),
        },
        _on_delete,
    ),
    Question(
        "bad-release",
        "Release 1.1.1 answers every request with status 500. What becomes of its rollout?",
        {
            "replaced": Option("all agents are replaced", "The next node waits until the agent of this one is ready."),
            "silent": Option(
                "it stops at the first node, without a word", "one node is without an agent, and no condition says so"
            ),
            "condition": Option(
                "it stops, and a condition says so", "A Deployment has the condition Progressing, a DaemonSet has none."
            ),
            "undone": Option("it is taken back", "Kubernetes never goes back by itself."),
        },
        _bad_release,
    ),
)


def _update_begun(api: Api) -> str | None:
    if version(existing(api, "daemonset/agent")) == "1.1.0":
        return "DaemonSet agent still asks for 1.1.0"
    return None


def _updated(api: Api) -> Iterator[Finding]:
    daemonset = existing(api, "daemonset/agent")
    if version(daemonset) != "2.0.0":
        yield Finding(False, f"agent asks for {version(daemonset)}, the task for 2.0.0")
        return
    trouble = settled("daemonset/agent")
    total = len(_names(api))
    yield fine(trouble, f"agent runs 2.0.0 on {total} of {total} nodes")
    covered = _fewest_covered(api, daemonset)
    away = daemonset["spec"]["updateStrategy"].get("rollingUpdate", {}).get("maxUnavailable")
    few = (
        f"at one moment only {covered} of {total} nodes had a ready agent: maxUnavailable {away} allows it; "
        'go back with kubectl("rollout undo daemonset/agent") and try again'
    )
    good = covered >= total
    yield expect(good, f"all {total} nodes had a ready agent at every moment", few)


def _fewest_covered(api: Api, daemonset: Object) -> int:
    """Return the smallest number of nodes with a ready Pod since the first Pod of the present release came."""
    nodes, new = set(_names(api)), version(daemonset)
    fewest, now = len(nodes), dict[str, Object]()
    for seen in recorded(api, ("Pod",)).history("Pod"):
        if owner(seen.object) != daemonset["metadata"]["uid"]:
            continue
        now[seen.uid] = seen.object
        if seen.type == "DELETED":
            del now[seen.uid]
        staying = [pod for pod in now.values() if not pod["metadata"].get("deletionTimestamp")]
        if all(version(pod) != new for pod in staying):
            fewest = len(nodes)
            continue
        fewest = min(fewest, len({pod["spec"].get("nodeName") for pod in staying if ready(pod)} & nodes))
    return fewest


def _audit_begun(api: Api) -> str | None:
    found = api.get("daemonset/audit") or api.get("deployment/audit")
    return None if found else "there is no DaemonSet audit yet"


def _audit(api: Api) -> Iterator[Finding]:
    if api.get("daemonset/audit") is None:
        yield Finding(False, "audit is a Deployment: it counts copies, the task asks for nodes")
        return
    trouble = settled("daemonset/audit")
    if trouble:
        yield Finding(False, trouble)
        return
    pods = {pod["spec"].get("nodeName"): pod for pod in pods_of(api, existing(api, "daemonset/audit"))}
    for node in _nodes(api):
        name = node["metadata"]["name"]
        if name not in pods:
            yield Finding(False, f"{name} has no audit Pod: {_why_none(node)}")
        elif not ready(pods[name]):
            yield Finding(False, why_pod(api, pods[name]))
    yield Finding(True, f"audit runs on {len(pods)} of {len(_names(api))} nodes")
    yield same_version(list(pods.values()), "1.1.0")


def _why_none(node: Object) -> str:
    taints = [f"{taint['key']}={taint.get('value', '')}:{taint['effect']}" for taint in node["spec"].get("taints", [])]
    return f"it bears the taint {taints[0]}" if taints else "the nodeSelector, or the affinity, leaves it out"


EXERCISES = (
    Exercise(
        "surge",
        _update_begun,
        _updated,
        (
            "A ready agent on every node at every moment: on how many nodes may it then be away?",
            "If it may be away nowhere, a second agent must start beside the first. Read surge.yaml.",
            'surge=1, unavailable=0, version="2.0.0"',
        ),
    ),
    Exercise(
        "audit",
        _audit_begun,
        _audit,
        (
            "Begin with fast.yaml. Which nodes does it leave out, and which field does that?",
            'One node keeps Pods away by a taint: kubectl("describe nodes") shows it. '
            'kubectl("explain daemonset.spec.template.spec.tolerations") says what a Pod needs to be let in.',
            "No nodeSelector, and tolerations: [{key: dedicated, operator: Exists}]; image hello:1.1.0.",
        ),
    ),
)
