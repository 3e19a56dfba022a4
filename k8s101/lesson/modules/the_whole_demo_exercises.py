"""Module 21, the whole demo: how its exercises are checked."""

from __future__ import annotations

from collections.abc import Iterator

from kubernetes import client

from k8s101.cluster.values.deadline import until
from k8s101.errors import Problem
from k8s101.lesson.api.diagnose import pods_of
from k8s101.lesson.api.forward import open_forward
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import begun, existing, expect, same_version, settles

KIOSK = "k8s101-the-whole-demo-kiosk"
"""The namespace of exercise 3."""

UNTOUCHED = 1
"""The generation of an object that nobody has changed since it was created."""

RULES_SECONDS = 2
MUST = (("get", "pods", ""), ("list", "pods", ""), ("get", "pods", "log"))
MUST_NOT = (
    ("delete", "pods", ""),
    ("create", "pods", "exec"),
    ("list", "secrets", ""),
    ("list", "configmaps", ""),
    ("watch", "pods", ""),
)
"""What a reporter may do and may not do: verb, kind, subresource."""


def may(api: Api, account: str, verb: str, kind: str, part: str = "", namespace: str = "") -> bool:
    """Ask the API server what an account of the lesson may do.

    Args:
        api: the lesson.
        account: the name of a ServiceAccount in the lesson's namespace.
        verb: what it would do, such as `list`.
        kind: to which resource, such as `pods`.
        part: a subresource, such as `log`.
        namespace: where; empty for the lesson's namespace.
    """
    asked = client.V1ResourceAttributes(
        namespace=namespace or api.namespace, verb=verb, resource=kind, subresource=part or None
    )
    user = f"system:serviceaccount:{api.namespace}:{account}"
    spec = client.V1SubjectAccessReviewSpec(user=user, resource_attributes=asked)
    review = client.V1SubjectAccessReview(spec=spec)
    answer = client.AuthorizationV1Api(api.core.api_client).create_subject_access_review(review)
    return bool(answer.status and answer.status.allowed)


def _front(api: Api) -> Iterator[Finding]:
    yield settles("deployment/front", "all Pods of front are ready")
    pods = [pod for pod in pods_of(api, existing(api, "deployment/front")) if ready(pod)]
    yield expect(len(pods) == 4, "it has four Pods", f"it has {len(pods)} Pods, the task asks for four")
    yield same_version(pods, "2.0.0")
    container = pods[0]["spec"]["containers"][0]
    sources = [entry.get("configMapRef", {}).get("name") for entry in container.get("envFrom", [])]
    single = [entry["name"] for entry in container.get("env", []) if "configMapKeyRef" in entry.get("valueFrom", {})]
    keys = (existing(api, "configmap/settings").get("data") or {}).keys()
    by_hand = f"its variables from ConfigMaps are {', '.join(single) or 'none'}, and settings has {', '.join(keys)}"
    yield expect("settings" in sources or set(keys) <= set(single), "it has all settings as variables", by_hand)


def _reporter(api: Api) -> Iterator[Finding]:
    existing(api, "serviceaccount/reporter")
    # the API server hears of a new binding a moment after it has stored it
    until(lambda: all(may(api, "reporter", *each) for each in MUST), RULES_SECONDS)
    for verb, kind, part in MUST:
        what = f"{verb} {kind}{'/' if part else ''}{part}"
        yield expect(may(api, "reporter", verb, kind, part), f"it may {what}", f"it may not {what}")
    for verb, kind, part in MUST_NOT:
        what = f"{verb} {kind}{'/' if part else ''}{part}"
        more = f"it may also {what}, and the task says: nothing else"
        yield expect(not may(api, "reporter", verb, kind, part), f"it may not {what}", more)
    elsewhere = may(api, "reporter", "list", "pods", namespace="default")
    wide = "it may list Pods in other namespaces, too: its binding counts for the whole cluster"
    yield expect(not elsewhere, "and other namespaces are closed to it", wide)


def _kiosk_begun(api: Api) -> str | None:
    found = [api.rest.get(kind, "kiosk", KIOSK) for kind in ("ingress", "deployment")]
    service = api.rest.get("service", "kiosk", KIOSK)
    if not any((*found, service)):
        return "there is no kiosk yet"
    generations = {item["metadata"]["generation"] for item in found if item}
    ports = [entry["port"] for entry in service["spec"]["ports"]] if service else []
    same = len([item for item in found if item]) == len(found) and generations == {UNTOUCHED} and ports == [8000]
    return "kiosk is as your colleague left it" if same else None


def _kiosk(api: Api) -> Iterator[Finding]:
    ingress = api.rest.get("ingress", "kiosk", KIOSK)
    yield expect(ingress, "there is an Ingress kiosk", "there is no Ingress kiosk any more, so nobody gets in")
    spec = (ingress or {})["spec"]
    kind = spec.get("ingressClassName")
    yield expect(kind == "traefik", "Traefik serves it", f"its class is {kind or 'missing'}: Traefik does not serve it")
    paths = [
        path
        for rule in spec.get("rules", [])
        if rule.get("host") == "kiosk.test"
        for path in rule.get("http", {}).get("paths", [])
    ]
    yield expect(paths, "it has a rule for kiosk.test", "it has no rule for kiosk.test any more")
    yield from _leads_to_the_app(api, paths[0]["backend"].get("service", {}))


def _leads_to_the_app(api: Api, backend: Object) -> Iterator[Finding]:
    """Follow a backend of the Ingress to the app, as the controller does."""
    name = backend.get("name", "")
    service = api.rest.get("service", name, KIOSK) if name else None
    yield expect(service, f"the Service {name} exists", f"there is no Service {name or 'in its backend'}")
    ports = (service or {})["spec"].get("ports", [])
    wanted = backend.get("port", {})
    found = [entry for entry in ports if wanted in ({"number": entry["port"]}, {"name": entry.get("name")})]
    yield expect(
        found, "which has the port that the Ingress names", "the path from the Ingress to a Pod is still broken"
    )
    number = found[0]["port"]
    yield expect(_version(name, number) == "2.0.0", "and its app answers", f"nothing answers behind port {number}")


def _version(service: str, port: int) -> str:
    """Return the release that answers behind a Service, empty if none does."""
    try:
        with open_forward(f"service/{service}", port, KIOSK) as way:
            return str(way.get("/").headers.get("X-Hello-Version", ""))
    except Problem:
        return ""


EXERCISES = (
    Exercise(
        "front",
        begun("Deployment", "front"),
        _front,
        (
            "Three things in the file differ from the task: a number, a tag, and where the variables come from.",
            "05-hello.yaml shows how all keys of a ConfigMap become variables. `kubectl get pods -l app=front` shows "
            "how many are ready.",
            "replicas: 4, image k8s101.test/hello:2.0.0, and instead of env: envFrom: [{configMapRef: {name: "
            "settings}}]",
        ),
    ),
    Exercise(
        "reporter",
        begun("ServiceAccount", "reporter"),
        _reporter,
        (
            "A Role alone grants nothing to anybody. And is reading a log the same as reading a Pod?",
            "`kubectl auth can-i get pods --subresource=log --as=system:serviceaccount:k8s101-the-whole-demo:reporter` "
            "asks for the account. 14-viewer.yaml shows what connects a Role and an account.",
            "Add pods/log to the resources of the Role, and create a RoleBinding: kubectl create rolebinding reporter "
            "--role=reporter --serviceaccount=k8s101-the-whole-demo:reporter",
        ),
    ),
    Exercise(
        "kiosk",
        _kiosk_begun,
        _kiosk,
        (
            "Follow the path of a request: Ingress, Service, Pod. How far does it get?",
            "`kubectl describe ingress kiosk -n k8s101-the-whole-demo-kiosk` shows the backend, but does not check its "
            "port. Compare both with `kubectl get services -n k8s101-the-whole-demo-kiosk`.",
            "The Ingress names a port that the Service does not have. Change one of the two; targetPort stays 8000.",
        ),
    ),
)
