"""Module 06, Deployments: what it asks and how its exercises are checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from k8s101.errors import Problem
from k8s101.lesson.api.diagnose import pods_of
from k8s101.lesson.api.names import condition, owner, ready, version
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.rollout import Rollout, last_rollout
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import settled
from k8s101.lesson.pictures import graph
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Question


def _hello(api: Api) -> Object:
    found = api.get("deployment/hello")
    if found is None:
        raise Problem("there is no Deployment hello", where=f"namespace {api.namespace}", then='apply("hello.yaml")')
    return found


def _tree(before: Before, api: Api) -> str:
    return str(len(graph.collect(api).below(_hello(api)["metadata"]["uid"]).nodes))


def _lost(before: Before, api: Api) -> str:
    wanted = int(_hello(api)["spec"]["replicas"])
    pods = [pod for pod in pods_of(api, _hello(api)) if ready(pod)]
    fresh = {pod["metadata"]["uid"] for pod in pods} - before.pods.keys()
    if len(pods) < wanted:
        return "the Deployment stays one short until you act"
    if fresh:
        return "a new Pod with a new name takes its place"
    return "the same Pod starts again"


def _failed(before: Before, api: Api) -> str:
    path = f"/api/v1/namespaces/{api.namespace}/services/loop:8001/proxy/totals"
    totals = api.rest.call("GET", path)
    if totals["failed"] == 0:
        return "none"
    return "about a third" if totals["failed"] > totals["requests"] / 5 else "those under way when a Pod stops"


def _paused(before: Before, api: Api) -> str:
    mine = [item for item in api.list("ReplicaSet") if owner(item) == _hello(api)["metadata"]["uid"]]
    fresh = [item for item in mine if item["metadata"]["uid"] not in before.replicasets]
    return {0: "none: a paused Deployment forgets changes", 1: "one"}.get(len(fresh), "two")


def _bad_release(before: Before, api: Api) -> str:
    deployment = _hello(api)
    new = [pod for pod in pods_of(api, deployment) if version(pod) == "1.1.1"]
    if version(deployment) != "1.1.1":
        return "is taken back by Kubernetes"
    if not new:
        return "does not even begin"
    stalled = condition(deployment, "Progressing").get("reason") == "ProgressDeadlineExceeded"
    return "stops by itself, half-way" if stalled else "replaces all Pods"


QUESTIONS = (
    Question(
        "tree",
        "You create one Deployment with three replicas. How many objects will its ownership tree hold?",
        {
            "1": "The Deployment is one object, but it makes others and owns them.",
            "3": "You counted the Pods only; what creates and counts them is an object too.",
            "4": "Between the Deployment and its Pods stands a ReplicaSet.",
            "5": "one Deployment, one ReplicaSet, three Pods",
        },
        _tree,
    ),
    Question(
        "lost-pod",
        "You delete one Pod. What happens?",
        {
            "the Deployment stays one short until you act": "Nobody has to act: a controller compares all the time.",
            "the same Pod starts again": "A Pod that is deleted never comes back; restarts happen inside living Pods.",
            "a new Pod with a new name takes its place": "the ReplicaSet counts two of three and creates one",
            "nothing: Deployments protect their Pods": "Any Pod can be deleted; what is protected is their number.",
        },
        _lost,
    ),
    Question(
        "failed-requests",
        "All five Pods are replaced while the client calls. How many of its requests fail?",
        {
            "none": "a Pod gets requests only while it is ready, and serves on while it leaves",
            "those under way when a Pod stops": "A Pod is told to stop and finishes what it has begun.",
            "about a third": "Pods are replaced a few at a time; requests go to those that are ready.",
            "it depends on the client": "This client does nothing clever: one new connection for each request.",
        },
        _failed,
    ),
    Question(
        "paused",
        "While the Deployment is paused you change two fields, then you resume it. How many rollouts follow?",
        {
            "two": "Changes made during the pause are not queued; the template they add up to is rolled out.",
            "one": "the template as it stands at the end is what counts",
            "none: a paused Deployment forgets changes": "The change is in the spec; only acting on it waits.",
        },
        _paused,
    ),
    Question(
        "bad-release",
        "Release 1.1.1 answers every request with status 500. Its rollout …",
        {
            "replaces all Pods": "An old Pod goes only when a new one is ready, and here none gets ready.",
            "stops by itself, half-way": "new Pods never get ready, so the old ones stay",
            "is taken back by Kubernetes": "Kubernetes reports and waits; going back is your decision.",
            "does not even begin": "Nobody knows before it runs: the Pods are created and fail their probe.",
        },
        _bad_release,
    ),
    Question(
        "new-rollout",
        "What makes a Deployment replace its Pods?",
        {
            "any change of the Deployment": "A new number of replicas only adds Pods or takes some away.",
            "a change of its Pod template": "a new template is a new revision, and its ReplicaSet makes new Pods",
            "a change of anything that its Pods use": "It compares templates; what they refer to is not looked at.",
        },
        "a change of its Pod template",
    ),
    Question(
        "ended",
        "The only container of a Deployment's Pod ends without an error. What happens?",
        {
            "the Pod is completed": "Pods of a Deployment are meant to run for ever.",
            "the container is started again": "the Pods of a Deployment have restartPolicy Always",
            "the Pod is deleted and replaced": "The Pod stays; the kubelet restarts containers inside it.",
        },
        "the container is started again",
    ),
    Question(
        "keeper",
        "A Pod of a Deployment is lost. Who counts and makes a new one?",
        {
            "the kubelet of its node": "A kubelet restarts containers of Pods that it has; a lost Pod it has no more.",
            "the ReplicaSet's controller": "the Deployment owns a ReplicaSet, and that counts Pods",
            "the scheduler": "The scheduler chooses a node for a Pod that somebody else has made.",
        },
        "the ReplicaSet's controller",
    ),
    Question(
        "stalled",
        "A rollout of a Deployment gets nowhere. What tells you?",
        {
            "its condition Progressing turns False": "after progressDeadlineSeconds; going back is your decision",
            "Kubernetes goes back by itself": "It reports and waits; going back is your decision.",
            "nothing does": "The Deployment's status has a condition for it, with a deadline.",
        },
        "its condition Progressing turns False",
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
    trouble = settled("deployment/hello")
    yield Finding(trouble is None, trouble or "hello runs 2.0.0 on 5 of 5 Pods")
    rollout = _recorded(api)
    update = _hello(api)["spec"]["strategy"]["rollingUpdate"]
    again = 'then go back with kubectl("rollout undo deployment/hello") and try again'
    few = f"only {rollout.lowest} of 5 were ready at one moment: maxUnavailable {update['maxUnavailable']} allows it; "
    yield Finding(rollout.lowest >= 5, few + again if rollout.lowest < 5 else "5 Pods were ready at every moment")
    many = f"{rollout.highest} Pods existed at one moment: maxSurge {update['maxSurge']} allows it; "
    yield Finding(rollout.highest <= 6, many + again if rollout.highest > 6 else "never more than 6 Pods existed")


def _recorded(api: Api) -> Rollout:
    if api.recorder is None:
        raise Problem("nothing was recorded", where="this lesson", then="run the notebook from its first cell")
    api.recorder.catch_up()
    return last_rollout(api.recorder, _hello(api))


def _web_begun(api: Api) -> str | None:
    return None if api.get("deployment/web") else "there is no Deployment web yet"


def _spread(api: Api) -> Iterator[Finding]:
    trouble = settled("deployment/web")
    web = api.get("deployment/web") or {}
    pods = [pod for pod in pods_of(api, web) if ready(pod)]
    if trouble:
        yield Finding(False, trouble)
        return
    yield Finding(len(pods) == 5, f"web has {len(pods)} ready Pods{'' if len(pods) == 5 else ', the task wants 5'}")
    others = sorted({version(pod) for pod in pods} - {"1.1.0"})
    yield Finding(not others, f"its Pods run {others[0]}, the task wants 1.1.0" if others else "all run 1.1.0")
    nodes = Counter(pod["spec"]["nodeName"] for pod in pods)
    names = [node["metadata"]["name"] for node in api.rest.list("Node", "")]
    fullest, most = max(sorted(nodes.items()), key=lambda pair: pair[1])
    if len(pods) - most < 3:
        yield Finding(
            False, f"{fullest} runs {most} of {len(pods)} Pods: without it only {len(pods) - most} stay ready"
        )
        return
    empty = sorted(set(names) - nodes.keys())
    yield Finding(not empty, f"{empty[0]} runs none of them" if empty else f"all {len(names)} nodes run some")
    yield Finding(True, f"without any one node at least {len(pods) - most} stay ready")
    kept = web["spec"]["revisionHistoryLimit"]
    yield Finding(kept == 2, f"{kept} old revisions are kept{'' if kept == 2 else ': look at revisionHistoryLimit'}")


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
        _web_begun,
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
