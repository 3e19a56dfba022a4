"""Module 20, Security: how its exercises are checked, mainly by asking the API server who may do what."""

from __future__ import annotations

from collections.abc import Iterator

from k8s101.cluster.values.deadline import until
from k8s101.lesson.api.diagnose import why_pod
from k8s101.lesson.api.names import ready, tidy
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import begun, expect

PAY, LAB, REPORTS = "k8s101-security-pay", "k8s101-security-lab", "k8s101-security-reports"
"""Namespaces of other teams."""

ENFORCE = "pod-security.kubernetes.io/enforce"
TAKES_EFFECT_SECONDS = 2
REFUSED_SECONDS = 4
ROLLOUT_SECONDS = 15
OLD_RULES = [["get", "list", "watch"], ["get", "watch"]]
OLD_SUBJECTS = [{"kind": "ServiceAccount", "name": "reports", "namespace": "default"}]


def may(
    api: Api, user: str, verb: str, resource: str, namespace: str, *, name: str = "", groups: tuple[str, ...] = ()
) -> bool:
    """Ask the API server whether somebody may do something.

    Args:
        api: the lesson.
        user: who, as the API server calls them.
        verb: such as `get`.
        resource: `pods`, `pods/log` or `deployments.apps`.
        namespace: where; empty for everywhere.
        name: of one object, empty for any.
        groups: to which the user belongs.
    """
    resource, _, part = resource.partition("/")
    resource, _, group = resource.partition(".")
    asked = {"verb": verb, "resource": resource, "subresource": part, "group": group, "namespace": namespace}
    spec = {"user": user, "groups": [*groups], "resourceAttributes": asked | {"name": name}}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    answer = api.rest.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
    return bool(answer["status"].get("allowed"))


def account(name: str, namespace: str) -> str:
    """Return what the API server calls a ServiceAccount.

    Args:
        name: of the account.
        namespace: where it is.
    """
    return f"system:serviceaccount:{namespace}:{name}"


def app_may(api: Api, name: str, namespace: str, verb: str, resource: str, where: str = "", one: str = "") -> bool:
    """Ask whether an app may do something, as `may` does; by default in its own namespace.

    Args:
        api: the lesson.
        name: of its ServiceAccount.
        namespace: of its ServiceAccount.
        verb: such as `get`.
        resource: such as `pods`.
        where: another namespace.
        one: the name of one object, empty for any.
    """
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return may(api, account(name, namespace), verb, resource, where or namespace, name=one, groups=groups)


def _pay(api: Api) -> Object | None:
    return api.rest.get("Deployment", "pay", PAY)


def _level(api: Api) -> str:
    namespace = api.rest.get("Namespace", PAY, "") or {"metadata": {}}
    return str(namespace["metadata"].get("labels", {}).get(ENFORCE, ""))


def _security(pod: Object) -> dict[str, object]:
    """Return what holds for the first container of a Pod: its own settings win over the Pod's."""
    own = pod["spec"]["containers"][0].get("securityContext", {})
    return {**pod["spec"].get("securityContext", {}), **own}


def _pay_begun(api: Api) -> str | None:
    found = _pay(api)
    if found is None:
        return f"there is no Deployment pay in namespace {PAY}"
    template = found["spec"]["template"]["spec"]
    settings = (template.get("securityContext"), template["containers"][0].get("securityContext"))
    return None if any(settings) else "pay is as its team left it"


def _careful(api: Api) -> Iterator[Finding]:
    level = _level(api) or "no level"
    yield expect(
        level == "restricted", "its namespace is still restricted", f"the namespace of pay enforces {level} now"
    )
    # a refusal may still be that of the manifest before; one that stays will not end
    if not until(lambda: _trouble(api) is None, REFUSED_SECONDS) and "is forbidden" not in str(_trouble(api)):
        until(lambda: _trouble(api) is None, ROLLOUT_SECONDS * api.patience)
    trouble = _trouble(api)
    yield expect(trouble is None, "pay runs, and all its Pods were admitted", str(trouble))
    pods = [pod for pod in api.rest.list("Pod", PAY, "app=pay") if ready(pod)]
    for pod in pods:
        open_root = not _security(pod).get("readOnlyRootFilesystem")
        yield expect(not open_root, "its files can't be changed", "its container can still write to its own image")
        token = pod["spec"].get("automountServiceAccountToken", True)
        yield expect(
            not token, "it gets no token", "its Pods still get a token for the API, and pay never calls the API"
        )


def _trouble(api: Api) -> str | None:
    """Return why pay has not rolled out, None if it has."""
    found = _pay(api) or {"metadata": {}, "status": {}, "spec": {}}
    conditions = {entry["type"]: entry for entry in found["status"].get("conditions", [])}
    if conditions.get("ReplicaFailure", {}).get("status") == "True":
        return tidy(str(conditions["ReplicaFailure"]["message"]))
    status, wanted = found["status"], found["spec"].get("replicas", 1)
    seen = status.get("observedGeneration") == found["metadata"].get("generation")
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    if seen and counts == [wanted] * 3:
        return None
    pods = [pod for pod in api.rest.list("Pod", PAY, "app=pay") if not ready(pod)]
    return why_pod(api, pods[-1]) if pods else "its rollout has not ended"


def _mailer(api: Api) -> Iterator[Finding]:
    def allowed(verb: str, resource: str, name: str = "", where: str = "") -> bool:
        return app_may(api, "mailer", api.namespace, verb, resource, where, name)

    until(lambda: allowed("get", "secrets", "smtp"), TAKES_EFFECT_SECONDS)
    yield expect(allowed("get", "secrets", "smtp"), "mailer may read smtp", "mailer may not get the Secret smtp")
    wide = "mailer may read the other Secrets, too"
    yield expect(not allowed("get", "secrets", "database"), "it may read no other Secret", wide)
    listed = "mailer may list Secrets, and a list contains all of them with their contents"
    many = any(allowed(verb, "secrets") for verb in ("list", "watch"))
    yield expect(not many, "it may not list Secrets", listed)
    far = "mailer may read Secrets named smtp in every namespace"
    yield expect(not allowed("get", "secrets", "smtp", "kube-system"), "it may do so in this namespace only", far)
    more = next((item for item in ("pods", "secrets", "deployments.apps") if allowed("create", item)), "")
    yield expect(not more, "and it may create nothing", f"mailer may create {more}")
    default = app_may(api, "default", api.namespace, "get", "secrets", one="smtp")
    others = "every Pod here without an account of its own may read smtp, too"
    yield expect(not default, "nobody else got this right", others)


def _reports_begun(api: Api) -> str | None:
    role, binding = (api.rest.get(kind, "reports", REPORTS) for kind in ("Role", "RoleBinding"))
    if role is None and binding is None:
        return f"there is no reports in namespace {REPORTS} yet"
    count = len(api.rest.list("RoleBinding", REPORTS))
    if role and binding and count == 1 and not app_may(api, "reports", REPORTS, "list", "pods"):
        same = [sorted(rule["verbs"]) for rule in role["rules"]] == OLD_RULES
        if same and binding.get("subjects") == OLD_SUBJECTS:
            return "reports is as your colleague left it"
    return None


def _reports(api: Api) -> Iterator[Finding]:
    def allowed(verb: str, resource: str, where: str = "") -> bool:
        return app_may(api, "reports", REPORTS, verb, resource, where)

    until(lambda: allowed("list", "pods") and allowed("get", "deployments.apps"), TAKES_EFFECT_SECONDS)
    nothing = "reports may still read nothing at all in its namespace"
    yield expect(allowed("get", "pods"), "reports may get Pods", nothing)
    yield expect(
        allowed("list", "pods"), "it may list them", "reports may get one Pod by name now, and may not list them"
    )
    yield expect(
        allowed("list", "deployments.apps"), "it may list Deployments", "reports may no longer list Deployments"
    )
    more = [f"{verb} {thing}" for verb, thing in (("get", "secrets"), ("delete", "pods")) if allowed(verb, thing)]
    yield expect(not more, "it may do nothing else", f"reports may now also {' and '.join(more)}")
    far = allowed("list", "pods", "kube-system")
    yield expect(not far, "and that in its namespace only", "reports may now list the Pods of other namespaces, too")
    others = app_may(api, "default", REPORTS, "list", "pods")
    yield expect(not others, "no other account here may", "every account of the namespace may list Pods now")
    # kubectl set subject adds a subject and leaves the wrong one
    stray = app_may(api, "reports", "default", "list", "pods", REPORTS)
    yield expect(
        not stray, "and none of namespace default", "the account reports of namespace default may list them, too"
    )


EXERCISES = (
    Exercise(
        "pay",
        _pay_begun,
        _careful,
        (
            "Each refusal lists what Pod Security demands. The task asks for two things more. What does the Pod "
            "careful say that pay does not say?",
            "Two settings belong in the Pod's securityContext or in the container's, three only in the container's, "
            "and one line stands beside terminationGracePeriodSeconds.",
            "runAsNonRoot: true and seccompProfile: {type: RuntimeDefault} for the Pod; allowPrivilegeEscalation: "
            "false, capabilities: {drop: [ALL]} and readOnlyRootFilesystem: true for the container; "
            "automountServiceAccountToken: false.",
        ),
    ),
    Exercise(
        "mailer",
        begun("ServiceAccount", "mailer"),
        _mailer,
        (
            "A Role alone grants nothing to anybody. Which two other objects do you need, and which verb is enough for "
            "one Secret?",
            "`kubectl explain role.rules.resourceNames` describes the missing field. `kubectl create rolebinding "
            "--help` shows how to name a ServiceAccount.",
            "In the Role: verbs: [get] and resourceNames: [smtp]. Then kubectl create serviceaccount mailer, and "
            "kubectl create rolebinding mailer --role=mailer --serviceaccount=k8s101-security:mailer",
        ),
    ),
    Exercise(
        "reports",
        _reports_begun,
        _reports,
        (
            "The message names user, verb, resource and namespace. Compare each of them with the Role and with the "
            "RoleBinding, letter by letter.",
            "`kubectl describe role,rolebinding -n k8s101-security-reports` shows both. `kubectl auth can-i --list "
            "--as=…` shows what holds for the account.",
            "The RoleBinding names an account of namespace default, and the Role lacks the verb list for Pods. Change "
            "both with kubectl edit rolebinding reports and kubectl edit role reports, each with "
            "-n k8s101-security-reports.",
        ),
    ),
)
