"""Module 17, Helm: how its exercises are checked, by what Helm stores and by what runs."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from kubernetes.client.exceptions import ApiException

from k8s101.cluster.values.deadline import until
from k8s101.lesson.api.names import ready, version
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import expect, same_version, settles

TICKETS = "k8s101-helm-tickets"
LEFT = 2
"""The revision at which the colleague's release was left."""

ANSWER_SECONDS = 10
READY_SECONDS = 20
PORT = 8000
REPOSITORY = "k8s101.test/hello"


@dataclass(frozen=True)
class Release:
    """One revision of a release, as Helm stores it.

    Args:
        revision: its number.
        status: such as `deployed` or `pending-upgrade`.
        content: the rest: `chart`, `config`, `manifest`, `hooks`; empty if it can't be read.
    """

    revision: int
    status: str
    content: dict[str, Any]

    @property
    def chart(self) -> str:
        """The chart's name and version."""
        found = self.content.get("chart", {}).get("metadata", {})
        return f"{found.get('name')}-{found.get('version')}"

    @property
    def values(self) -> dict[str, Any]:
        """The values that were given."""
        return self.content.get("config") or {}


def releases(api: Api, name: str, namespace: str = "") -> list[Release]:
    """Return the revisions of a release in order, none if there is no such release.

    Args:
        api: the lesson.
        name: the release.
        namespace: where it is, the lesson's namespace if left out.
    """
    secrets = api.rest.list("Secret", namespace or api.namespace, f"owner=helm,name={name}")
    return sorted((_release(secret) for secret in secrets), key=lambda found: found.revision)


def _release(secret: Object) -> Release:
    labels = secret["metadata"]["labels"]
    try:
        packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
        content = json.loads(gzip.decompress(packed))
    except (KeyError, binascii.Error, OSError, EOFError, zlib.error, ValueError):
        content = {}
    return Release(int(labels["version"]), labels["status"], content)


def _begun(name: str) -> Callable[[Api], str | None]:
    def missing(api: Api) -> str | None:
        return None if releases(api, name) else f"there is no release {name} yet"

    return missing


def _last(api: Api, name: str, namespace: str = "") -> Finding:
    found = releases(api, name, namespace)[-1]
    other = f"the last revision of {name}, number {found.revision}, has the status {found.status}"
    return expect(found.status == "deployed", f"{name} is deployed", other)


def _pods(api: Api, name: str, namespace: str = "") -> list[Object]:
    """Return the ready Pods of the Deployment of that name."""
    space = namespace or api.namespace
    item = api.rest.get("Deployment", name, space)
    labels = item["spec"]["selector"]["matchLabels"] if item else {}
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    return [pod for pod in api.rest.list("Pod", space, selector) if ready(pod)] if item else []


def _told(api: Api, service: str, path: str, namespace: str = "") -> str:
    """Ask the app behind a Service; return why not where it does not answer."""
    url = f"/api/v1/namespaces/{namespace or api.namespace}/services/{service}:{PORT}/proxy{path}"
    try:
        return until(lambda: api.rest.text(url), ANSWER_SECONDS, every=0.3, errors=(ApiException,))
    except ApiException as error:
        return f"status {error.status}"


def _stage(api: Api) -> Iterator[Finding]:
    yield _last(api, "stage")
    found = releases(api, "stage")[-1]
    wrong = f"stage was made from {found.chart}, the task asks for hello-0.1.0"
    yield expect(found.chart == "hello-0.1.0", "it was made from hello-0.1.0", wrong)
    yield settles("deployment/stage", "its Pods are ready")
    pods = _pods(api, "stage")
    yield expect(len(pods) == 2, "there are two", f"it has {len(pods)} ready Pods, the task asks for two")
    yield same_version(pods, "1.1.0")
    told = _told(api, "stage", "/config")
    greeting = "APP_GREETING=try me"
    yield expect(greeting in told or '"APP_GREETING":"try me"' in told, "its greeting is: try me", f"it says {told!r}")


def _team(api: Api) -> Iterator[Finding]:
    yield _last(api, "team")
    found = releases(api, "team")[-1]
    name = found.chart.partition("-")[0]
    other = f"team was made from the chart {name}, the task wants a chart of its own, named team"
    yield expect(name == "team", "it has a chart of its own", other)
    yield settles("deployment/team", "its Pods are ready")
    pods = _pods(api, "team")
    yield expect(len(pods) == 3, "there are three", f"it has {len(pods)} ready Pods, the task asks for three")
    image = pods[0]["spec"]["containers"][0]["image"]
    yield expect(image.startswith(f"{REPOSITORY}:"), "they run the story app", f"its Pods run {image}")
    yield same_version(pods, "1.1.0")
    answer = _told(api, "team", "/")
    nobody = f"http://team:{PORT}/ is answered by nobody: look at the port of Service team"
    yield expect(answer.startswith("hello 1.1.0"), f"http://team:{PORT}/ answers", nobody)
    tests = [hook for hook in found.content.get("hooks") or [] if "test" in hook.get("events", [])]
    yield expect(tests, "it brings a test", "its chart has no test any more, and the task wants one that succeeds")
    yield _tested(tests)


def _tested(tests: list[dict[str, Any]]) -> Finding:
    """Say how the tests of a release ended: Helm writes it into the revision."""
    phases = [hook.get("last_run", {}).get("phase") or "" for hook in tests]
    if not any(phases):
        return expect(False, "", "nobody has run its test since the last upgrade: helm test team")
    return expect(set(phases) == {"Succeeded"}, "its test succeeds", "its test has failed: helm test team --logs")


def _tickets_begun(api: Api) -> str | None:
    found = releases(api, "tickets", TICKETS)
    if not found:
        return "there is no release tickets yet"
    untouched = [entry.revision for entry in found] == [1, LEFT] and found[-1].status == "pending-upgrade"
    item = api.rest.get("Deployment", "tickets", TICKETS)
    if untouched and item and item["metadata"]["generation"] == LEFT:
        return "tickets is as your colleagues left it"
    return None


def _tickets(api: Api) -> Iterator[Finding]:
    found = releases(api, "tickets", TICKETS)
    last = found[-1]
    refused = "the pipeline of the team would still be refused"
    yield expect(not last.status.startswith("pending"), "Helm accepts upgrades of tickets again", refused)
    anew = "tickets was installed anew: its users had no app meanwhile, and its history is lost"
    yield expect(last.revision >= LEFT, "its history is there", anew)
    yield _last(api, "tickets", TICKETS)
    item = api.rest.get("Deployment", "tickets", TICKETS)
    asked = version(item) if item else "nothing"
    yield expect(asked == "2.0.0", "tickets asks for 2.0.0", f"tickets asks for {asked}, the team wants 2.0.0")
    tag = (last.values.get("image") or {}).get("tag")
    other = f"the values of the last revision say {tag or 'nothing'}: the next upgrade would bring that back"
    yield expect(tag == "2.0.0", "so do the values of its last revision", other)
    wanted = item["spec"]["replicas"] if item else 0
    until(lambda: _new(api) >= wanted, READY_SECONDS)
    yield expect(
        _new(api) >= wanted, f"all {wanted} Pods of it are ready", f"{_new(api)} of {wanted} Pods of it are ready"
    )


def _new(api: Api) -> int:
    return sum(version(pod) == "2.0.0" for pod in _pods(api, "tickets", TICKETS))


EXERCISES = (
    Exercise(
        "stage",
        _begun("stage"),
        _stage,
        (
            "Helm's message names each value that the chart does not accept, one after the other. Compare the file "
            "with hello/values.yaml.",
            "A number has no quotes. The tag of the image stands below image. `helm show values` prints what a chart "
            "accepts, and --version chooses a version in the registry.",
            "replicas: 2, then image: with tag: 1.1.0 below it, and greeting: try me. Then helm install stage "
            "oci://localhost:5001/charts/hello --version 0.1.0 --plain-http --values stage.yaml --wait --timeout 60s",
        ),
    ),
    Exercise(
        "team",
        _begun("team"),
        _team,
        (
            "Everything that you need to change is in `team/values.yaml`, except for one image. Which image does the "
            "test use?",
            "`helm template team team` shows what would be sent. In values.yaml change replicaCount, the repository "
            "and the tag of the image, and the port of the Service; the container gets the same port.",
            "replicaCount: 3; repository: k8s101.test/hello; tag: 1.1.0 in quotation marks; port: 8000. In "
            "templates/tests/test-connection.yaml: image: k8s101.test/toolbox:1.0. Then helm upgrade --install team "
            "team --wait --timeout 60s, and helm test team",
        ),
    ),
    Exercise(
        "tickets",
        _tickets_begun,
        _tickets,
        (
            "Helm says that an operation is in progress. Which one? `helm history` shows all revisions of a release.",
            "Nobody is at work: the command that had begun revision 2 was killed, and its status stayed. A rollback is "
            "allowed all the same. Before you upgrade again, look at what revision 2 was waiting for.",
            "helm rollback tickets 1 -n k8s101-helm-tickets. The tag 2.0 does not exist, so: helm upgrade tickets "
            "hello -n k8s101-helm-tickets --set image.tag=2.0.0 --wait --timeout 60s",
        ),
    ),
)
