"""Module 15, Service mesh: how its exercises are checked, mainly by asking as the apps' callers do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import requests
from kubernetes.client import ApiException

from k8s101.cluster.values.deadline import until
from k8s101.lesson.api.forward import open_forward
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.session import Api
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import begun, existing, expect, settles

NEXT = "2.0.0"
MANY, FEW = 200, 8
LEAST, MOST = 26, 74
"""A quarter of MANY, and four standard deviations to either side."""

ASK_SECONDS = 10
TAKES_EFFECT_SECONDS = 15
READ_SECONDS = 90
"""Within which a kubelet renews the files of a ConfigMap even if nothing tells it to look at once."""

ADMIN_PORT = 9901
REFUSED = "Filesystem config update rejected"
"""What Envoy says of a file that it does not take (source/extensions/config_subscription/filesystem)."""

UNTOUCHED = 1
"""The generation of an object that nobody has changed since it was created."""

Answer = tuple[int, str]
"""A status, and the release that answered."""


def ask(count: int, headers: dict[str, str] | None = None) -> list[Answer]:
    """Ask shop, as its users do, and return all answers.

    Args:
        count: how often.
        headers: sent along.
    """
    with open_forward("service/shop", 8000) as way, requests.Session() as session:
        session.trust_env = False
        found = [session.get(way.url, headers=headers, timeout=ASK_SECONDS) for _ in range(count)]
    return [(answer.status_code, answer.headers.get("X-Hello-Version", "")) for answer in found]


def lookups(api: Api, name: str, path: str, count: int) -> list[str]:
    """Ask an app for a page over its Service, and return the number of the look-up behind each answer.

    Args:
        api: the lesson.
        name: of the Service.
        path: of the page.
        count: how often.

    Raises:
        ApiException: nobody answers.
    """
    call = api.core.connect_get_namespaced_service_proxy_with_path
    return [str(re.findall(r"look-up (\d+)", call(f"{name}:8000", api.namespace, path))) for _ in range(count)]


def _settings(api: Api, file: str) -> str:
    return str(existing(api, "configmap/mesh")["data"].get(file, ""))


def _beta_begun(api: Api) -> str | None:
    found = api.get("configmap/mesh")
    if found and "x-beta" in found["data"].get("routes.yaml", "").lower():
        return None
    return "the proxies have no route for the header x-beta yet"


def _changed(api: Api) -> datetime:
    """Return when the settings of the proxies were changed last, to the second."""
    fields = existing(api, "configmap/mesh")["metadata"]["managedFields"]
    return max(datetime.fromisoformat(entry["time"]) for entry in fields)


def _read(api: Api) -> datetime:
    """Return when the proxy of cart, which leads requests to hello, has last taken its routes."""
    with open_forward("deployment/cart", ADMIN_PORT) as way, requests.Session() as session:
        session.trust_env = False
        stats = session.get(f"{way.url}/stats?filter=rds.hello.update_time", timeout=ASK_SECONDS).text
    milliseconds = re.findall(r"update_time: (\d+)", stats)
    return datetime.fromtimestamp(int(milliseconds[0]) / 1000 if milliseconds else 0, UTC)


def _refused(api: Api) -> bool:
    """Tell whether the proxy of cart has refused a file since the settings were changed."""
    changed = _changed(api)
    for name in (pod["metadata"]["name"] for pod in api.list("Pod", "app=cart") if ready(pod)):
        log = api.core.read_namespaced_pod_log(name, api.namespace, container="proxy", timestamps=True)
        late = [line for line in log.splitlines() if REFUSED in line]
        if late and datetime.fromisoformat(late[-1].split()[0]) >= changed:
            return True
    return False


def _from_next(answers: list[Answer]) -> int:
    return sum(version == NEXT for _, version in answers)


def _beta(api: Api) -> Iterator[Finding]:
    until(lambda: _read(api) >= _changed(api) or _refused(api), READ_SECONDS, every=0.5)
    unread = "the proxies have not taken the routes: kubectl logs deployment/cart -c proxy"
    yield expect(_read(api) >= _changed(api), "the proxies have taken the routes", unread)
    testers: list[Answer] = []
    found: list[Answer] = []
    others: list[Answer] = []

    def right() -> bool:
        testers[:], found[:], others[:] = ask(FEW, {"X-Beta": "2"}), ask(MANY), ask(FEW, {"X-Beta": "1"})
        return _from_next(testers) == FEW and LEAST <= _from_next(found) <= MOST and _from_next(others) < FEW

    # connections that were open before keep their old routes for a moment
    until(right, TAKES_EFFECT_SECONDS, every=0.5)
    missed = f"with the header X-Beta: 2, {_from_next(testers)} of {FEW} requests go to {NEXT}"
    yield expect(_from_next(testers) == FEW, "testers always get it", missed)
    status = max(status for status, _ in found)
    yield expect(status == 200, "every request is answered", f"a request for shop is answered {status}")
    share = _from_next(found)
    other = f"{share} of {MANY} requests go to {NEXT}, the task asks for about a quarter"
    yield expect(LEAST <= share <= MOST, f"about a quarter of {MANY} requests go to {NEXT}", other)
    known = "requests with X-Beta: 1 count as testers', too"
    yield expect(_from_next(others) < FEW, "nobody else counts as a tester", known)


def _fast(api: Api) -> Iterator[Finding]:
    yield settles("deployment/fast", "fast has rolled out")
    service = api.get("service/fast")
    yield expect(service, "it has a Service", "there is no Service fast")
    ports = {(port["port"], port["targetPort"]) for port in (service or {"spec": {"ports": []}})["spec"]["ports"]}
    other = "the Service does not lead from port 8000 to port 8000, so it goes around what the task is about"
    yield expect(ports <= {(8000, 8000)}, "the Service leads to the app's own port", other)
    try:
        found = lookups(api, "fast", "something/7", 2)
    except ApiException as error:
        yield expect(False, "", f"the Service fast does not answer ({error.status})")
        return
    twice = "the app looks up the same page twice: requests at its own port do not pass the cache"
    yield expect(len(set(found)) == 1, "the second answer comes from the cache", twice)
    spec = api.list("Pod", "app=fast")[0]["spec"]
    contexts = [entry.get("securityContext", {}) for entry in spec["containers"] + spec.get("initContainers", [])]
    much = "a container is privileged; one capability is enough for the redirect"
    yield expect(not any(context.get("privileged") for context in contexts), "no container is privileged", much)


def _closed(api: Api) -> bool:
    """Tell whether cart refuses callers that show no certificate; the API server is one."""
    try:
        # a path that cart answers itself: an error of the app behind it would look like a refusal
        api.core.connect_get_namespaced_service_proxy_with_path("cart:8001", api.namespace, "cache/healthz")
    except ApiException:
        return True
    return False


def _report_begun(api: Api) -> str | None:
    report = api.get("deployment/report")
    if report is None:
        return "there is no report yet"
    if report["metadata"]["generation"] == UNTOUCHED and "require_client_certificate" in _settings(
        api, "listeners.yaml"
    ):
        return "report is as your colleague left it"
    return None


def _succeeds(api: Api) -> bool:
    """Tell whether the requests of report have been answered lately, as its own counts say."""
    for pod in api.list("Pod", "app=report"):
        if pod["metadata"].get("deletionTimestamp"):
            continue
        try:
            log = api.core.read_namespaced_pod_log(
                pod["metadata"]["name"], api.namespace, container="report", tail_lines=2
            )
        except ApiException:
            continue
        counts = [tuple(map(int, pair)) for pair in re.findall(r"requests (\d+), failed (\d+)", log)]
        if len(counts) == 2 and counts[1][0] > counts[0][0] and counts[1][1] == counts[0][1]:
            return True
    return False


def _report(api: Api) -> Iterator[Finding]:
    yield expect(
        _closed(api), "cart answers nobody without a certificate", "cart now answers callers without a certificate"
    )
    until(lambda: _succeeds(api), TAKES_EFFECT_SECONDS, every=0.5)
    yield expect(_succeeds(api), "report gets its answers", "the requests of report still fail")


EXERCISES = (
    Exercise(
        "beta",
        _beta_begun,
        _beta,
        (
            "Two things are different from routes-canary.yaml: the header with its value, and the weights.",
            "A change is in force only after `bash push.sh`. Envoy does not take a file that it cannot read; then "
            "`kubectl logs deployment/cart -c proxy` says why, and the old routes stay.",
            'In the first route: headers: [{name: x-beta, string_match: {exact: "2"}}]. In the second: weight 75 for '
            "hello, weight 25 for next. Then bash push.sh",
        ),
    ),
    Exercise(
        "fast",
        begun("Deployment", "fast"),
        _fast,
        (
            "Compare the draft with cached.yaml: two init containers, a volume and a label are missing.",
            'The label mesh: "off" belongs to the Pod template. Copy the init containers and the volume as they are. '
            "`kubectl expose deployment fast --port=8000` makes the Service.",
            'In fast.yaml, under template: metadata.labels with mesh: "off"; under template.spec: initContainers and '
            "volumes of cached.yaml. Apply it, and expose it: kubectl expose deployment fast --port=8000",
        ),
    ),
    Exercise(
        "report",
        _report_begun,
        _report,
        (
            "The Pod of report is ready. Compare its column READY with that of cart.",
            "`kubectl get pods --show-labels`: one label of report keeps something away. It is in the Pod template.",
            "kubectl patch deployment report --type=json --patch "
            '\'[{"op": "remove", "path": "/spec/template/metadata/labels/mesh"}]\'',
        ),
    ),
)
