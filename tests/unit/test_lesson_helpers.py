"""The parts of the helpers that need no cluster."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest
import yaml
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from k8s101.cluster.access import identity
from k8s101.cluster.values.settings import ROOT, Settings
from k8s101.errors import Problem
from k8s101.lesson.api import friendly, rest, session, wait
from k8s101.lesson.api.diagnose import SELECTED_NODE, cause, hopeless
from k8s101.lesson.api.session import Api
from k8s101.lesson.cells import connect
from k8s101.lesson.pictures.draw import draw
from tests.unit.lesson_fixtures import deployment, lesson, pod, replicaset


@pytest.fixture
def api(tmp_path: Path) -> Api:
    opened = lesson(tmp_path)
    session.make_current(opened)
    return opened


def test_without_a_lesson_helpers_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_current", [])
    with pytest.raises(Problem) as caught:
        draw("deployment/hello")
    assert caught.value.then == 'api = connect("…")'


LACKS_CLAIM = '0/3 nodes are available: persistentvolumeclaim "books" not found.'
ELSEWHERE = "0/3 nodes are available: 3 node(s) didn't match PersistentVolume's node affinity."


@pytest.mark.parametrize(
    ("message", "phase", "placed", "expected"),
    [
        (LACKS_CLAIM, "Pending", False, True),
        (LACKS_CLAIM, "Pending", True, False),
        (LACKS_CLAIM, "Bound", True, False),
        ("0/3 nodes are available: 3 Insufficient memory.", "Pending", True, False),
        (ELSEWHERE, "Bound", True, True),
    ],
)
def test_a_pod_whose_volume_is_being_made_is_not_hopeless(
    api: Api, monkeypatch: pytest.MonkeyPatch, message: str, phase: str, placed: bool, expected: bool
) -> None:
    annotations = {SELECTED_NODE: "worker-1"} if placed else {}
    claim = {"metadata": {"name": "books", "annotations": annotations}, "status": {"phase": phase}}
    scheduled = {"type": "PodScheduled", "status": "False", "message": message}
    waiting = pod("p", replicaset("1", "1.0.0"))
    waiting["spec"]["volumes"] = [{"name": "books", "persistentVolumeClaim": {"claimName": "books"}}]
    waiting["status"] = {"conditions": [scheduled | {"lastTransitionTime": "2026-01-01T00:00:00Z"}]}
    monkeypatch.setattr(Api, "get", lambda self, reference: claim)
    monkeypatch.setattr(rest.Rest, "list", lambda self, *arguments: [])
    assert hopeless(api, waiting) is expected


def test_manifests_are_found_by_lesson_and_by_path(api: Api) -> None:
    assert api.manifest("hello.yaml") == ROOT / "manifests/06-deployments/hello.yaml"
    assert api.manifest("06-deployments/loop.yaml").is_file()
    with pytest.raises(Problem, match="no manifest 'none.yaml'"):
        api.manifest("none.yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "manifests").glob("[0-9][0-9]-*/*.yaml")), ids=lambda path: path.name)
def test_manifests_are_commented_and_valid_yaml(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# ")
    if "apiVersion:" in text:
        items = [item for item in yaml.safe_load_all(text) if item is not None]
        assert items and all({"apiVersion", "kind"} <= item.keys() for item in items)
        # what a program reads as its configuration has no name
        assert all("metadata" in item or "config.k8s.io/" in item["apiVersion"] for item in items)
    else:
        page = next((ROOT / "notebooks").glob(f"{path.parent.name}.ipynb")).read_text()
        used = f"--patch-file {path.name}" in page or f"--values {path.name}" in page
        assert used, "an object needs apiVersion, kind and metadata"
        assert yaml.safe_load(text)


def test_a_status_of_an_older_spec_does_not_count() -> None:
    item = deployment()
    item["metadata"]["generation"] = 3
    item["status"] = {"observedGeneration": 2, "updatedReplicas": 5, "availableReplicas": 5, "replicas": 5}
    assert wait.rolled_out(item) is None


def test_a_reference_needs_kind_and_name() -> None:
    assert session.split("deployment/hello") == ("deployment", "hello")
    for wrong in ("hello", "/hello", "pod/"):
        with pytest.raises(Problem, match="names no object"):
            session.split(wrong)


def test_requests_to_the_cluster_go_past_proxies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "example.org")
    monkeypatch.delenv("no_proxy", raising=False)
    for _ in range(2):
        connect.bypass_proxies(Settings(tmp_path))
    entries = os.environ["NO_PROXY"].split(",")
    assert entries[0] == "example.org"
    assert {"127.0.0.1", "localhost", "10.101.0.0/24", "10.244.0.0/16", "10.96.0.0/16"} <= set(entries)
    assert len(entries) == len(set(entries))


def test_the_fingerprint_is_of_the_authority_that_the_kubeconfig_trusts(tmp_path: Path) -> None:
    data = base64.b64encode(b"certificate").decode()
    config = {"clusters": [{"cluster": {"certificate-authority-data": data}}]}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    assert identity.fingerprint(tmp_path / "kubeconfig") == hashlib.sha256(b"certificate").hexdigest()


def test_refusals_are_shown_as_one_sentence() -> None:
    error = ApiException(status=422, reason="Unprocessable Entity", body='{"message": "replicas: must be positive"}')
    assert rest.status_message(error) == "replicas: must be positive"
    assert friendly.lines(error) == ["The API server answers 422 Unprocessable Entity: replicas: must be positive"]
    problem = Problem("a", where="b", then="c")
    assert friendly.lines(problem) == ["a", "  where: b", "  next:  c"]
    silence = friendly.lines(HTTPError())
    assert silence[0] == "the cluster does not answer (HTTPError)" and "connect()" in silence[2]


def test_a_kind_is_known_by_all_its_names() -> None:
    entry = {
        "resource": "deployments",
        "singularResource": "deployment",
        "shortNames": ["deploy"],
        "responseKind": {"kind": "Deployment"},
        "scope": "Namespaced",
    }
    found = rest._resource(entry, "apps/v1")
    assert found.names == {"deployments", "deployment", "deploy"}
    assert found.path("n", "a b") == "/apis/apps/v1/namespaces/n/deployments/a%20b"


def test_a_namespace_that_stays_says_what_is_left(tmp_path: Path) -> None:
    conditions = [
        {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "All resources are discovered"},
        {"type": "NamespaceContentRemaining", "status": "True", "message": "Some resources are remaining: pods"},
    ]
    item = {"kind": "Namespace", "metadata": {"name": "left"}, "status": {"conditions": conditions}}
    assert cause(lesson(tmp_path), item) == "NamespaceContentRemaining=True: Some resources are remaining: pods"
