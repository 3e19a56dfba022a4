"""Module 16, Controllers and operators: how its exercises are checked."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from kubernetes.client.exceptions import ApiException

from k8s101.cluster.values.deadline import until
from k8s101.lesson.api.names import version
from k8s101.lesson.api.rest import Object, status_message
from k8s101.lesson.api.session import Api
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import begun, existing, expect

TICKETS = "k8s101-controllers-and-operators-tickets"
"""The namespace of exercise 3."""

KIND = "sites.k8s101.test"
GROUP = "k8s101.test"
FOLLOWS_SECONDS = 20
"""How long the operator may take to write a status."""

SETTLES_SECONDS = 3
"""How long a new operator may take to replace what an older one has written, and a new Role to take effect."""

RELEASE = "2.0.0"
UNTOUCHED = 2
"""The generation of tickets after its release."""


def is_ready(site: Object) -> bool:
    """Tell whether a Site's operator says that it is ready, for the spec that it has now."""
    status = site.get("status", {})
    conditions = {entry["type"]: entry["status"] for entry in status.get("conditions", [])}
    return conditions.get("Ready") == "True" and status.get("observedGeneration") == site["metadata"]["generation"]


def _status(api: Api, name: str) -> Object:
    site = api.get(f"site/{name}") or {}
    return dict(site.get("status", {}))


def _url(api: Api) -> Iterator[Finding]:
    kind = api.rest.get("customresourcedefinition", KIND, "")
    yield expect(kind, "the kind Site is there", "the API no longer knows the kind Site")
    assert kind is not None
    served = kind["spec"]["versions"][0]
    known = served["schema"]["openAPIV3Schema"]["properties"].get("status", {}).get("properties", {})
    yield expect(
        "url" in known,
        "its status has a field url",
        "the status of a Site has no field url in its schema, so the API server drops what an operator writes there",
    )
    site = existing(api, "site/party")
    wanted = f"http://{site['spec']['host']}/"
    until(lambda: _status(api, "party").get("url"), FOLLOWS_SECONDS * api.patience, every=0.2)
    until(lambda: _status(api, "party").get("url") == wanted, SETTLES_SECONDS, every=0.2)
    found = _status(api, "party").get("url")
    nobody = "no operator has written party's url: the one that runs is an older one, or none runs"
    yield expect(found, "the operator has written it", nobody)
    yield expect(found == wanted, f"it is {found}", f"party's url is {found}, the task asks for {wanted}")
    yield _written_again(api, wanted)
    shown = ".status.url" in [column["jsonPath"] for column in served.get("additionalPrinterColumns", [])]
    yield expect(shown, "kubectl get sites shows it", "kubectl get sites has no column for the url")


def _written_again(api: Api, wanted: str) -> Finding:
    """Take the url away: who wrote it by hand does not write it again."""
    path = api.rest.resource("site").path(api.namespace, "party")
    body = {"metadata": {"annotations": {"checked": "yes"}}}
    api.rest.call("PATCH", f"{path}/status", {"status": {"url": None}}, "application/merge-patch+json")
    api.rest.call("PATCH", path, body, "application/merge-patch+json")
    body["metadata"]["annotations"]["checked"] = None  # type: ignore[assignment]
    api.rest.call("PATCH", path, body, "application/merge-patch+json")
    back = until(lambda: _status(api, "party").get("url") == wanted, FOLLOWS_SECONDS * api.patience, every=0.2)
    return expect(
        back,
        "and writes it again when it is removed",
        "the url was removed, and no operator has written it again",
    )


def _may(api: Api, verb: str, resource: str, group: str = GROUP, subresource: str = "") -> bool:
    body: Any = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{api.namespace}:night-shift",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{api.namespace}", "system:authenticated"],
            "resourceAttributes": {
                "namespace": api.namespace,
                "verb": verb,
                "group": group,
                "resource": resource,
                "subresource": subresource,
            },
        },
    }
    answer = api.rest.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
    return bool(answer["status"]["allowed"])


def _night(api: Api) -> Iterator[Finding]:
    for verb in ("get", "list", "watch"):
        allowed = until(partial(_may, api, verb, "sites"), SETTLES_SECONDS)
        yield expect(allowed, f"it may {verb} sites", f"night-shift may not {verb} sites")
    # kubectl scale reads the site and patches its scale; it reads the scale only for --current-replicas
    allowed = until(partial(_may, api, "patch", "sites", subresource="scale"), SETTLES_SECONDS)
    told = "night-shift may not patch sites/scale, which kubectl scale does"
    yield expect(allowed, "it may patch sites/scale", told)
    for verb in ("create", "update", "patch", "delete"):
        told = f"night-shift may {verb} sites, which is more than it needs"
        yield expect(not _may(api, verb, "sites"), f"it may not {verb} sites", told)
    for verb, resource, group in (("get", "secrets", ""), ("patch", "deployments", "apps"), ("list", "pods", "")):
        told = f"night-shift may {verb} {resource}, which is more than it needs"
        yield expect(not _may(api, verb, resource, group), f"nor {verb} {resource}", told)


def _tickets_begun(api: Api) -> str | None:
    app = api.rest.get("deployment", "tickets", TICKETS)
    if app is None:
        return "there is no tickets yet"
    rule = api.rest.get("validatingadmissionpolicy", "k8s101-memory-limits", "")
    if app["metadata"]["generation"] == UNTOUCHED and rule and rule["metadata"]["generation"] == 1:
        bound = api.rest.get("validatingadmissionpolicybinding", "k8s101-memory-limits", "")
        if bound and bound["metadata"]["generation"] == 1:
            return "tickets is as your colleague left it"
    return None


def _refused(api: Api) -> bool:
    """Try what the platform team forbids."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "k8s101-check"},
        "spec": {"containers": [{"name": "hello", "image": "k8s101.test/hello:1.1.0"}]},
    }
    try:
        api.rest.call("POST", f"/api/v1/namespaces/{TICKETS}/pods", pod, dryRun="All")
    except ApiException as error:
        return "platform team" in status_message(error)
    return False


def _tickets(api: Api) -> Iterator[Finding]:
    def released() -> bool:
        app = api.rest.get("deployment", "tickets", TICKETS)
        status = (app or {}).get("status", {})
        if app is None or status.get("observedGeneration") != app["metadata"]["generation"]:
            return False
        return {status.get(f"{which}eplicas") for which in ("r", "readyR", "updatedR")} == {app["spec"]["replicas"]}

    app = api.rest.get("deployment", "tickets", TICKETS)
    yield expect(app, "tickets is there", "Deployment tickets was deleted")
    assert app is not None
    image = version(app)
    yield expect(image == RELEASE, f"it asks for {RELEASE}", f"tickets asks for {image}; the team wants {RELEASE}")
    until(released, FOLLOWS_SECONDS * api.patience, every=0.2)
    yield expect(released(), "its Pods run it", f"the rollout does not finish: not all Pods run {RELEASE}")
    lifted = "the rule of the platform team is no longer in force for tickets"
    yield expect(_refused(api), "the rule of the platform team holds", lifted)


EXERCISES = (
    Exercise(
        "url",
        begun("Site", "party"),
        _url,
        (
            "Two files have to change: the kind, which must know the new field and its column, and the operator, which "
            "must write it. Then the new operator must run.",
            "In `site-kind.yaml`, status has properties, and at the end there are the columns. In `site_operator.py`, "
            "status_of returns what is written into the status. `tail operator.log` tells what the operator says.",
            "The kind: url: {type: string} below status.properties, and a column {name: URL, type: string, jsonPath: "
            ".status.url}. The operator: \"url\": f\"http://{site['spec']['host']}/\" in what status_of returns. Then "
            "kubectl apply, kill $(cat operator.pid), and start it as above.",
        ),
    ),
    Exercise(
        "night-shift",
        begun("RoleBinding", "night-shift"),
        _night,
        (
            "kubectl create role writes one rule for all resources that you name. Here two resources need different "
            "verbs.",
            "A rule for sites does not cover their subresources, and kubectl scale writes to one. `operator.yaml` has "
            "an example of a rule for a subresource, and of a RoleBinding.",
            "Take sites/scale and the verb patch out of the draft's rule, and add another rule: apiGroups: "
            "[k8s101.test], resources: [sites/scale], verbs: [patch]. Then kubectl create rolebinding night-shift "
            "--role=night-shift --serviceaccount=k8s101-controllers-and-operators:night-shift",
        ),
    ),
    Exercise(
        "tickets",
        _tickets_begun,
        _tickets,
        (
            "No Pod fails, so no Pod can tell the cause. Who creates the Pods of a Deployment, and what does it say?",
            f"`kubectl describe replicasets -n {TICKETS}` has the events of the new ReplicaSet; `kubectl events -n "
            f"{TICKETS} --types=Warning` shows them, too.",
            f"kubectl set resources deployment/tickets -n {TICKETS} --limits=memory=32Mi",
        ),
    ),
)
