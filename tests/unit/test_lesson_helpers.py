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
from k8s101.lesson.api import apply, friendly, rest, session, wait
from k8s101.lesson.api.diagnose import cause
from k8s101.lesson.api.session import Api
from k8s101.lesson.cells import connect, tables
from k8s101.lesson.pictures import live
from tests.unit.lesson_fixtures import deployment, lesson


@pytest.fixture
def api(tmp_path: Path) -> Api:
    opened = lesson(tmp_path)
    session.make_current(opened)
    return opened


def test_without_a_lesson_helpers_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_current", [])
    with pytest.raises(Problem) as caught:
        tables.show("pods")
    assert caught.value.then == 'api = connect("…")'


def test_manifests_are_found_by_lesson_and_by_path(api: Api) -> None:
    assert api.manifest("hello.yaml") == ROOT / "manifests/06-deployments/hello.yaml"
    assert api.manifest("06-deployments/loop.yaml").is_file()
    with pytest.raises(Problem, match="no manifest 'none.yaml'"):
        api.manifest("none.yaml")


def test_a_manifest_is_shown_numbered(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    tables.show("hello.yaml")
    lines = capsys.readouterr().out.splitlines()
    text = (ROOT / "manifests/06-deployments/hello.yaml").read_text().splitlines()
    assert lines[0] == f" 1  {text[0]}"
    assert len(lines) == len(text)


def test_a_table_is_as_wide_as_its_cells() -> None:
    assert tables.table(("A", "NUMBER"), [("long", "1"), ("x", "22")]) == "A     NUMBER\nlong  1\nx     22"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: [1", "this is not YAML"),
        ("a: 1\n", "an object needs apiVersion, kind and metadata"),
        ("- 1\n", "an object needs apiVersion, kind and metadata"),
    ],
)
def test_a_broken_manifest_is_told_in_words(text: str, found: str) -> None:
    with pytest.raises(Problem, match=found):
        apply.parse(text, "this cell")


@pytest.fixture
def blanks(tmp_path: Path) -> str:
    """A manifest with three blanks."""
    file = tmp_path / "blanks.yaml"
    file.write_text("apiVersion: v1\nkind: ${surge}\nmetadata: {name: '${unavailable}-${version}'}\n")
    return str(file)


def test_open_blanks_are_named_and_nothing_is_applied(
    api: Api, blanks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    apply.apply(blanks, surge=..., unavailable=0, version=...)
    assert capsys.readouterr().out == "not applied: fill in surge, version\n"


def test_a_forgotten_blank_is_an_error(api: Api, blanks: str) -> None:
    with pytest.raises(Problem, match="has blanks: unavailable, version"):
        apply.apply(blanks, surge=1)


@pytest.mark.parametrize("path", sorted((ROOT / "manifests").glob("[0-9][0-9]-*/*.yaml")), ids=lambda path: path.name)
def test_manifests_are_commented_and_valid_yaml(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# ")
    if "apiVersion:" in text:
        assert apply.parse(text, path.name)
    else:
        page = next((ROOT / "notebooks").glob(f"{path.parent.name}.ipynb")).read_text()
        assert f"--patch-file {path.name}" in page, "an object needs apiVersion, kind and metadata"
        assert yaml.safe_load(text)


@pytest.mark.parametrize(
    ("until", "change", "words"),
    [
        ("rolled", {}, None),
        ("Available", {"conditions": [{"type": "Available", "status": "True"}]}, "Available"),
        ("Available", {"conditions": [{"type": "Available", "status": "False"}]}, None),
        (
            "Progressing=False",
            {"conditions": [{"type": "Progressing", "status": "False", "reason": "TooSlow"}]},
            "Progressing=False TooSlow",
        ),
        ("{.status.readyReplicas}=5", {"readyReplicas": 5}, "readyReplicas=5"),
        ("{.status.readyReplicas}=5", {"readyReplicas": 4}, None),
        ("{.status.list[1].name}=b", {"list": [{"name": "a"}, {"name": "b"}]}, "name=b"),
        ("{.status.list[2].name}=b", {"list": []}, None),
        ("{.spec.paused}=true", {}, None),
        ("{.status.list[0]}", {"list": [{"name": "a"}]}, "status.list[0] is there"),
        ("{.status.list}", {"list": []}, None),
        ("{.status.list}", {}, None),
    ],
)
def test_conditions_are_read_from_the_status(until: str, change: dict[str, object], words: str | None) -> None:
    item = deployment()
    item["status"] = {"observedGeneration": 2} | change
    item["metadata"]["generation"] = 2
    assert wait._test(until)(item) == words


def test_a_status_of_an_older_spec_does_not_count() -> None:
    item = deployment()
    item["metadata"]["generation"] = 3
    item["status"] = {"observedGeneration": 2, "conditions": [{"type": "Available", "status": "True"}]}
    assert wait._test("Available")(item) is None


def test_deleted_means_gone() -> None:
    assert wait._test("deleted")(None) == "deleted"
    assert wait._test("deleted")(deployment()) is None


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


def test_a_live_view_prints_a_line_where_nobody_watches(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("K8S101_INTERACTIVE", raising=False)
    live.watch_live("deployment/hello")
    assert capsys.readouterr().out == "live view of deployment/hello: moves only in JupyterLab\n"


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
