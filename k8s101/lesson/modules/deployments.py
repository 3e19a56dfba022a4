"""Module 06, Deployments: what it asks and how its exercises are checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from k8s101.lesson.api.diagnose import pods_of
from k8s101.lesson.api.names import condition, owner, ready, version
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.rollout import last_rollout
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import settled
from k8s101.lesson.pictures import graph
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Option, Question, among
from k8s101.lesson.quiz.checking import begun, existing, expect, recorded, same_version, settles


def _hello(api: Api) -> Object:
    return existing(api, "deployment/hello")


def _tree(before: Before, api: Api) -> str:
    tree = graph.collect(api).below(_hello(api)["metadata"]["uid"])
    return among(len(tree.nodes), {1: "one", 3: "three", 4: "four", 5: "five"})


def _lost(before: Before, api: Api) -> str:
    wanted = int(_hello(api)["spec"]["replicas"])
    pods = [pod for pod in pods_of(api, _hello(api)) if ready(pod)]
    fresh = {pod["metadata"]["uid"] for pod in pods} - before.pods.keys()
    if len(pods) < wanted:
        return "short"
    if fresh:
        return "new"
    return "same"


def _failed(before: Before, api: Api) -> str:
    path = f"/api/v1/namespaces/{api.namespace}/services/loop:8001/proxy/totals"
    totals = api.rest.call("GET", path)
    if totals["failed"] == 0:
        return "none"
    return "third" if totals["failed"] > totals["requests"] / 5 else "in-flight"


def _paused(before: Before, api: Api) -> str:
    mine = [item for item in api.list("ReplicaSet") if owner(item) == _hello(api)["metadata"]["uid"]]
    fresh = [item for item in mine if item["metadata"]["uid"] not in before.replicasets]
    return {0: "none", 1: "one"}.get(len(fresh), "two")


def _bad_release(before: Before, api: Api) -> str:
    deployment = _hello(api)
    new = [pod for pod in pods_of(api, deployment) if version(pod) == "1.1.1"]
    if version(deployment) != "1.1.1":
        return "undone"
    if not new:
        return "none"
    stalled = condition(deployment, "Progressing").get("reason") == "ProgressDeadlineExceeded"
    return "half-way" if stalled else "replaced"


QUESTIONS = (
    Question(
        "tree",
        "You create one Deployment with three replicas. How many objects will its ownership tree hold?",
        {
            "one": Option("1", "The Deployment is one object, but it makes others and owns them."),
            "three": Option("3", "You counted the Pods only; what creates and counts them is an object too."),
            "four": Option("4", "Between the Deployment and its Pods stands a ReplicaSet."),
            "five": Option("5", "one Deployment, one ReplicaSet, three Pods"),
        },
        _tree,
    ),
    Question(
        "lost-pod",
        "You delete one Pod. What happens?",
        {
            "short": Option(
                "the Deployment stays one short until you act", "Nobody has to act: a controller compares all the time."
            ),
            "same": Option(
                "the same Pod starts again",
                "A Pod that is deleted never comes back; restarts happen inside living Pods.",
            ),
            "new": Option(
                "a new Pod with a new name takes its place", "the ReplicaSet counts two of three and creates one"
            ),
            "protected": Option(
                "nothing: Deployments protect their Pods", "Any Pod can be deleted; what is protected is their number."
            ),
        },
        _lost,
    ),
    Question(
        "failed-requests",
        "All five Pods are replaced while the client calls. How many of its requests fail?",
        {
            "none": Option("none", "a Pod gets requests only while it is ready, and serves on while it leaves"),
            "in-flight": Option(
                "those under way when a Pod stops", "A Pod is told to stop and finishes what it has begun."
            ),
            "third": Option("about a third", "Pods are replaced a few at a time; requests go to those that are ready."),
            "client": Option(
                "it depends on the client", "This client does nothing clever: one new connection for each request."
            ),
        },
        _failed,
    ),
    Question(
        "paused",
        "While the Deployment is paused you change two fields, then you resume it. How many rollouts follow?",
        {
            "two": Option(
                "two", "Changes made during the pause are not queued; the template they add up to is rolled out."
            ),
            "one": Option("one", "the template as it stands at the end is what counts"),
            "none": Option(
                "none: a paused Deployment forgets changes", "The change is in the spec; only acting on it waits."
            ),
        },
        _paused,
    ),
    Question(
        "bad-release",
        "Release 1.1.1 answers every request with status 500. Its rollout …",
        {
            "replaced": Option(
                "replaces all Pods", "An old Pod goes only when a new one is ready, and here none gets ready."
            ),
            "half-way": Option("stops by itself, half-way", "new Pods never get ready, so the old ones stay"),
            "undone": Option(
                "is taken back by Kubernetes", "Kubernetes reports and waits; going back is your decision."
            ),
            "none": Option(
                "does not even begin", "Nobody knows before it runs: the Pods are created and fail their probe."
            ),
        },
        _bad_release,
    ),
    Question(
        "new-rollout",
        "What makes a Deployment replace its Pods?",
        {
            "any": Option(
                "any change of the Deployment", "A new number of replicas only adds Pods or takes some away."
            ),
            "template": Option(
                "a change of its Pod template", "a new template is a new revision, and its ReplicaSet makes new Pods"
            ),
            "used": Option(
                "a change of anything that its Pods use", "It compares templates; what they refer to is not looked at."
            ),
        },
        "template",
    ),
    Question(
        "ended",
        "The only container of a Deployment's Pod ends without an error. What happens?",
        {
            "completed": Option("the Pod is completed", "Pods of a Deployment are meant to run for ever."),
            "restarted": Option("the container is started again", "the Pods of a Deployment have restartPolicy Always"),
            "replaced": Option(
                "the Pod is deleted and replaced", "The Pod stays; the kubelet restarts containers inside it."
            ),
        },
        "restarted",
    ),
    Question(
        "keeper",
        "A Pod of a Deployment is lost. Who counts and makes a new one?",
        {
            "kubelet": Option(
                "the kubelet of its node",
                "A kubelet restarts containers of Pods that it has; a lost Pod it has no more.",
            ),
            "replicaset": Option(
                "the ReplicaSet's controller", "the Deployment owns a ReplicaSet, and that counts Pods"
            ),
            "scheduler": Option("the scheduler", "The scheduler chooses a node for a Pod that somebody else has made."),
        },
        "replicaset",
    ),
    Question(
        "stalled",
        "A rollout of a Deployment gets nowhere. What tells you?",
        {
            "condition": Option(
                "its condition Progressing turns False", "after progressDeadlineSeconds; going back is your decision"
            ),
            "undone": Option("Kubernetes goes back by itself", "It reports and waits; going back is your decision."),
            "nothing": Option("nothing does", "The Deployment's status has a condition for it, with a deadline."),
        },
        "condition",
    ),
)


def _update_begun(api: Api) -> str | None:
    if version(_hello(api)) == "1.1.0":
        return "Deployment hello still asks for 1.1.0"
    return None


def _updated(api: Api) -> Iterator[Finding]:
    found = version(_hello(api))
    if found != "2.0.0":
        yield Finding(False, f"hello asks for {found}, the task for 2.0.0")
        return
    yield settles("deployment/hello", "hello runs 2.0.0 on 5 of 5 Pods")
    rollout = last_rollout(recorded(api), _hello(api))
    update = _hello(api)["spec"]["strategy"]["rollingUpdate"]
    again = 'then go back with kubectl("rollout undo deployment/hello") and try again'
    few = f"only {rollout.lowest} of 5 were ready at one moment: maxUnavailable {update['maxUnavailable']} allows it; "
    yield expect(rollout.lowest >= 5, "5 Pods were ready at every moment", few + again)
    many = f"{rollout.highest} Pods existed at one moment: maxSurge {update['maxSurge']} allows it; "
    yield expect(rollout.highest <= 6, "never more than 6 Pods existed", many + again)


def _spread(api: Api) -> Iterator[Finding]:
    trouble = settled("deployment/web")
    web = api.get("deployment/web") or {}
    pods = [pod for pod in pods_of(api, web) if ready(pod)]
    if trouble:
        yield Finding(False, trouble)
        return
    yield expect(len(pods) == 5, f"web has {len(pods)} ready Pods", f"web has {len(pods)} ready Pods, the task wants 5")
    yield same_version(pods, "1.1.0")
    nodes = Counter(pod["spec"]["nodeName"] for pod in pods)
    names = [node["metadata"]["name"] for node in api.rest.list("Node", "")]
    fullest, most = max(sorted(nodes.items()), key=lambda pair: pair[1])
    if len(pods) - most < 3:
        yield Finding(
            False, f"{fullest} runs {most} of {len(pods)} Pods: without it only {len(pods) - most} stay ready"
        )
        return
    empty = sorted(set(names) - nodes.keys())
    yield expect(not empty, f"all {len(names)} nodes run some", f"{', '.join(empty)} runs none of them")
    yield Finding(True, f"without any one node at least {len(pods) - most} stay ready")
    kept = web["spec"]["revisionHistoryLimit"]
    yield expect(
        kept == 2, f"{kept} old revisions are kept", f"{kept} old revisions are kept: look at revisionHistoryLimit"
    )


EXERCISES = (
    Exercise(
        "zero-downtime",
        _update_begun,
        _updated,
        (
            "Five ready Pods at every moment: how many of the five may then be away?",
            "If none may be away, the update needs room for a Pod on top. The task says how many Pods may exist.",
            'surge=1, unavailable=0, version="2.0.0"',
        ),
    ),
    Exercise(
        "spread",
        begun("Deployment", "web"),
        _spread,
        (
            "Begin with hello.yaml. Which node loss would hurt most? Count Pods by node.",
            'kubectl("explain deployment.spec.template.spec.topologySpreadConstraints") says how to spread by rule; '
            'kubectl("explain deployment.spec.revisionHistoryLimit") what keeps old revisions.',
            "Spread by kubernetes.io/hostname with maxSkew 1 and DoNotSchedule, labelSelector app=web; "
            "replicas 5; revisionHistoryLimit 2.",
        ),
    ),
)
