"""Module 19, Observe and operate: how its exercises are checked."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

from kubernetes.client.exceptions import ApiException

from k8s101.cluster.values.deadline import until
from k8s101.lesson.api.names import condition
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import existing, expect, same_version, settles

HPA = "horizontalpodautoscaler"
PROMETHEUS = "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1"
SCALED_SECONDS = 90
"""An autoscaler looks every few seconds, and at CPU only after two measurements of a new Pod."""

SCRAPED_SECONDS = 20
UNTOUCHED = 1
"""The generation of an object that nobody has changed since it was created."""


def _cpu_target(hpa: Object) -> object:
    for metric in hpa["spec"].get("metrics") or []:
        if metric["type"] == "Resource" and metric["resource"]["name"] == "cpu":
            return metric["resource"]["target"].get("averageUtilization")
    return None


def _hello_begun(api: Api) -> str | None:
    found = api.get(f"{HPA}/hello")
    if found is None:
        return "there is no HorizontalPodAutoscaler hello"
    spec = found["spec"]
    as_before = (spec.get("minReplicas"), spec["maxReplicas"], _cpu_target(found)) == (1, 4, 50)
    return "the autoscaler hello is as it was before" if as_before else None


def _hello(api: Api) -> Iterator[Finding]:
    found = existing(api, f"{HPA}/hello")
    spec = found["spec"]
    least, most = spec.get("minReplicas"), spec["maxReplicas"]
    yield expect((least, most) == (2, 6), "from 2 to 6 Pods", f"it allows {least} to {most} Pods, the task says 2 to 6")
    target = _cpu_target(found)
    other = (
        f"its target is {target} % of the requested CPU, the task says 70"
        if target
        else "it has no target for CPU in percent"
    )
    yield expect(target == 70, "its target is 70 % of the requested CPU", other)
    down = spec.get("behavior", {}).get("scaleDown", {})
    window = down.get("stabilizationWindowSeconds")
    early = f"it looks back {window} s only before it removes a Pod, the task says five minutes"
    yield expect(window in (None, 300), "it looks back five minutes before it removes a Pod", early)
    policies = [(entry["type"], entry["value"], entry["periodSeconds"]) for entry in down.get("policies") or []]
    told = ", ".join(f"{value} {kind} in {seconds} s" for kind, value, seconds in policies) or "nothing"
    fast = f"its policies for the way down say {told}; the task allows one Pod a minute"
    slow = policies == [("Pods", 1, 60)] and down.get("selectPolicy") != "Disabled"
    yield expect(slow, "it removes at most one Pod a minute", fast)
    target_of = spec["scaleTargetRef"]
    wanted = (target_of["kind"], target_of["name"]) == ("Deployment", "hello")
    yield expect(wanted, "it scales hello", f"it scales {target_of['kind']} {target_of['name']}, not hello")
    until(lambda: _wanted(api, "hello") >= 2, SCALED_SECONDS)
    few = "it wants fewer than 2 Pods: what does `kubectl describe hpa hello` say?"
    yield expect(_wanted(api, "hello") >= 2, "it wants two Pods now", few)


def _wanted(api: Api, name: str) -> int:
    return int(existing(api, f"deployment/{name}")["spec"]["replicas"])


def asked(api: Api, query: str) -> list[Object]:
    """Return what Prometheus answers to a query; nothing while it cannot be asked.

    Args:
        api: the lesson.
        query: in PromQL.
    """
    try:
        answer = api.rest.call("GET", f"{PROMETHEUS}/query?{urlencode({'query': query})}")
    except ApiException:
        return []
    found: list[Object] = answer["data"]["result"]
    return found


def _shop_begun(api: Api) -> str | None:
    return None if api.get("deployment/shop") else "there is no Deployment shop yet"


def _shop(api: Api) -> Iterator[Finding]:
    yield settles("deployment/shop", "shop has rolled out")
    item = existing(api, "deployment/shop")
    pods = [pod for pod in api.list("Pod", "app=shop") if not pod["metadata"].get("deletionTimestamp")]
    yield expect(len(pods) == 2, "it has two Pods", f"it has {len(pods)} Pods, the task asks for 2")
    yield same_version(pods, "2.0.0")
    key = "prometheus.io/scrape"
    above = "the annotation is at the Deployment; Prometheus looks at Pods"
    here = item["spec"]["template"]["metadata"].get("annotations", {})
    asks = here.get(key)
    none = above if key in item["metadata"].get("annotations", {}) else f"its Pods have no annotation {key}"
    yield expect(asks is not None, "its Pods have the annotation", none)
    yield expect(asks == "true", 'the annotation is "true"', f'the annotation {key} is "{asks}", and not "true"')
    query = f'up{{namespace="{api.namespace}", app="shop"}}'

    def states() -> list[str]:
        return [series["value"][1] for series in asked(api, query)]

    good = ["1", "1"]
    seen = good if until(lambda: states() == good, SCRAPED_SECONDS) else states()
    yield expect(seen, "Prometheus scrapes them", "Prometheus has not found them: which port should it ask?")
    mute = f"{seen.count('0')} of {len(seen)} addresses that Prometheus asks do not answer: is it the right port?"
    yield expect(seen == good, "both answer", mute)


def _tickets_begun(api: Api) -> str | None:
    app, hpa = api.get("deployment/tickets"), api.get(f"{HPA}/tickets")
    if app is None or hpa is None:
        return "there is no tickets yet"
    same = app["metadata"]["generation"] == UNTOUCHED and hpa["spec"]["metrics"][0]["type"] == "Resource"
    return "tickets is as your colleagues left it" if same else None


def _tickets(api: Api) -> Iterator[Finding]:
    yield settles("deployment/tickets", "tickets has rolled out")
    names = {entry["name"] for entry in existing(api, "deployment/tickets")["spec"]["template"]["spec"]["containers"]}
    yield expect(names == {"tickets", "cache"}, "both containers are there", "a container of tickets is missing")

    def active() -> bool:
        return condition(existing(api, f"{HPA}/tickets"), "ScalingActive").get("status") == "True"

    until(active, SCALED_SECONDS)
    yield expect(active(), "its autoscaler knows a number", "the autoscaler of tickets still has no number to go by")
    spec = existing(api, f"{HPA}/tickets")["spec"]
    kinds = {metric["type"] for metric in spec["metrics"]}
    yield expect(kinds <= {"Resource", "ContainerResource"}, "it scales by CPU", "it no longer goes by CPU")


EXERCISES = (
    Exercise(
        "hello",
        _hello_begun,
        _hello,
        (
            "Four numbers and one list are different from hpa.yaml. What is the default of the window that you deleted "
            "or changed?",
            "`kubectl explain hpa.spec.behavior.scaleDown.policies` names the fields of a policy. Each of them limits "
            "what may change within a period.",
            "minReplicas: 2, maxReplicas: 6, averageUtilization: 70, stabilizationWindowSeconds: 300, and below "
            "scaleDown: policies: [{type: Pods, value: 1, periodSeconds: 60}]",
        ),
    ),
    Exercise(
        "shop",
        _shop_begun,
        _shop,
        (
            "Prometheus decides by annotations of Pods. Look at hello.yaml: under which metadata are they?",
            "A manifest of a Deployment has two places called metadata. Everything below template is for the Pods. "
            "Values of annotations are texts, so true and 8000 need quotation marks.",
            'Below spec.template.metadata: annotations: {prometheus.io/scrape: "true", prometheus.io/port: "8000"}, '
            "and replicas: 2.",
        ),
    ),
    Exercise(
        "tickets",
        _tickets_begun,
        _tickets,
        (
            "The column TARGETS says what the autoscaler knows. Which object tells why?",
            "`kubectl describe hpa tickets` has a condition ScalingActive with a message. It names what is missing. "
            "The Pod has two containers.",
            "The container cache requests no CPU, so nobody can say what 50 % would be: kubectl set resources "
            "deployment/tickets -c cache --requests=cpu=50m",
        ),
    ),
)
