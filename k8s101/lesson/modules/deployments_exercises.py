"""Module 06, Deployments: how its exercises are checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from k8s101.lesson.api.diagnose import pods_of
from k8s101.lesson.api.names import condition, ready, tidy, version
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.rollout import last_rollout
from k8s101.lesson.api.session import Api
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import begun, existing, expect, recorded, same_version, settles, spread_by_rule

SHOP = "k8s101-deployments-shop"
"""The namespace of exercise 3: a quota holds for all Pods of its namespace."""

SHOP_QUOTA = {"requests.memory": "160Mi"}
SHOP_GENERATION = 2
"""The Deployment of exercise 3 was created and then released once."""

AGAIN = "undo the rollout, make sure that five Pods of 1.1.0 are ready, and try again"


def _hello(api: Api) -> Object:
    return existing(api, "deployment/hello")


def _update_begun(api: Api) -> str | None:
    return "Deployment hello still asks for 1.1.0" if version(_hello(api)) == "1.1.0" else None


def _updated(api: Api) -> Iterator[Finding]:
    hello = _hello(api)
    wanted, asked = hello["spec"]["replicas"], version(hello)
    yield expect(asked == "2.0.0", "hello asks for 2.0.0", f"hello asks for {asked}, the task for 2.0.0")
    yield expect(wanted == 5, "and for five Pods", f"hello asks for {wanted} Pods, the task for five: look at replicas")
    yield settles("deployment/hello", "all five run 2.0.0 and are ready")
    rollout = last_rollout(recorded(api), _hello(api))
    update = hello["spec"]["strategy"].get("rollingUpdate", {})
    away, surge = update.get("maxUnavailable"), update.get("maxSurge")
    yield expect(
        rollout.lowest >= 5,
        "five Pods were ready at every moment",
        f"only {rollout.lowest} Pods were ready at one moment, and maxUnavailable is {away}; {AGAIN}",
    )
    yield expect(
        rollout.highest <= 6,
        "never more than six Pods existed",
        f"{rollout.highest} Pods existed at one moment, and maxSurge is {surge}; {AGAIN}",
    )


def _web(api: Api) -> Iterator[Finding]:
    yield settles("deployment/web", "all Pods of web are ready")
    web = existing(api, "deployment/web")
    pods = [pod for pod in pods_of(api, web) if ready(pod)]
    yield expect(len(pods) == 5, "it has five Pods", f"it has {len(pods)} Pods, the task asks for five")
    yield same_version(pods, "1.1.0")
    yield _asks(pods[0]["spec"]["containers"][0].get("readinessProbe", {}))
    yield from _spread(web, pods)
    kept = web["spec"]["revisionHistoryLimit"]
    yield expect(kept == 2, "two old revisions are kept", f"{kept} old revisions are kept, the task asks for two")


def _asks(probe: Object) -> Finding:
    if not probe:
        return expect(False, "", "without a readiness probe, its Pods count as ready as soon as their container runs")
    path = probe.get("httpGet", {}).get("path")
    return expect(path == "/", "their readiness probe asks for /", f"their readiness probe does not ask for /: {probe}")


def _spread(web: Object, pods: list[Object]) -> Iterator[Finding]:
    nodes = Counter(pod["spec"]["nodeName"] for pod in pods)
    fullest, most = max(sorted(nodes.items()), key=lambda pair: pair[1])
    left = len(pods) - most
    yield expect(
        left >= 3,
        f"if any one node dies, {left} stay ready",
        f"{fullest} runs {most} of them: if it dies, {left} stay ready",
    )
    yield spread_by_rule(web)


def _shop(api: Api) -> Object | None:
    return api.rest.get("Deployment", "shop", SHOP)


def _quota(api: Api) -> dict[str, str] | None:
    found = api.rest.get("ResourceQuota", "team-shop", SHOP)
    return found["spec"].get("hard") if found else None


def _shop_begun(api: Api) -> str | None:
    shop = _shop(api)
    if shop is None:
        return f"there is no Deployment shop in namespace {SHOP} yet"
    untouched = shop["metadata"]["generation"] == SHOP_GENERATION and _quota(api) == SHOP_QUOTA
    return "shop is as your colleague left it" if untouched else None


def _repaired(api: Api) -> Iterator[Finding]:
    shop = _shop(api) or {}
    asked, wanted = version(shop), shop["spec"]["replicas"]
    yield expect(asked == "1.1.0", "shop asks for 1.1.0", f"shop asks for {asked}; the release was meant to be 1.1.0")
    yield expect(wanted >= 4, "it asks for four Pods", f"shop asks for {wanted} Pods; it had four before the release")
    pods = [pod for pod in api.rest.list("Pod", SHOP, "app=shop") if ready(pod)]
    new = [pod for pod in pods if version(pod) == "1.1.0"]
    yield expect(
        len(new) >= 4, "four Pods of 1.1.0 are ready", f"{len(new)} of 4 Pods of 1.1.0 are ready{_reason(api, shop)}"
    )
    yield expect(
        len(pods) == len(new), "no Pod of 1.0.0 is left", "Pods of 1.0.0 still get requests: the rollout goes on"
    )


def _reason(api: Api, shop: Object) -> str:
    """Say what holds the rollout up, to those who have found the place already."""
    memory = shop["spec"]["template"]["spec"]["containers"][0].get("resources", {}).get("requests", {}).get("memory")
    if memory == "96Mi" and _quota(api) == SHOP_QUOTA:
        return ": the release is still stuck, and the reason is still there"
    failure = condition(shop, "ReplicaFailure")
    return f": {tidy(str(failure['message']))}" if failure.get("status") == "True" else ": the rollout goes on"


EXERCISES = (
    Exercise(
        "zero-downtime",
        _update_begun,
        _updated,
        (
            "Of the five Pods, how many may be missing at any moment? How many more than five may exist?",
            "`kubectl explain deployment.spec.strategy.rollingUpdate` describes both values. The missing line is a "
            "field of spec that hello.yaml has, with another number.",
            "maxSurge: 1 and maxUnavailable: 0 under rollingUpdate; replicas: 5 directly under spec.",
        ),
    ),
    Exercise(
        "web",
        begun("Deployment", "web"),
        _web,
        (
            "Which node's death would hurt most? Look at `kubectl get pods -l app=web -o wide`.",
            "`kubectl explain deployment.spec.template.spec.topologySpreadConstraints` describes a rule that spreads "
            "Pods. `kubectl explain deployment.spec.revisionHistoryLimit` describes how old revisions are kept.",
            "In the Pod template: topologyKey kubernetes.io/hostname, maxSkew 1, whenUnsatisfiable DoNotSchedule, "
            "nodeTaintsPolicy Honor, labelSelector app=web; a readinessProbe as in hello.yaml. In spec: "
            "revisionHistoryLimit 2.",
        ),
    ),
    Exercise(
        "shop",
        _shop_begun,
        _repaired,
        (
            "Go down the ownership tree, as you did with release 1.1.1. Which of its objects exist, and which do not?",
            "No Pod of 1.1.0 exists, so no Pod can tell you why. Who should have created it? Describe that object.",
            "The events of the new ReplicaSet say what refuses its Pods. Compare what one new Pod requests with what "
            "`kubectl describe quota` leaves. Request less, or allow more; the old Pods need room, too.",
        ),
    ),
)
