"""What the workshop's images hold, and how their archive is made, found again and made anew."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from k8s101.cluster.images import building
from k8s101.cluster.images.layers import SANDBOX_IMAGE
from k8s101.cluster.images.oci import Image
from k8s101.cluster.programs import builds
from k8s101.cluster.programs.binaries import ensure
from k8s101.cluster.programs.toolchain import TOOLCHAIN
from k8s101.errors import Problem


class Archive:
    """An archive's images by reference."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as tar:
            self.files = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]
        self.images = {entry["RepoTags"][0]: entry for entry in json.loads(self.files["manifest.json"])}

    def config(self, reference: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.files[self.images[reference]["Config"]])["config"]
        return found

    def tree(self, reference: str) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
        tree = {}
        for layer in self.images[reference]["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(self.files[layer])) as tar:
                for member in tar:
                    file = tar.extractfile(member) if member.isfile() else None
                    tree[member.name] = member, file.read() if file else b""
        return tree


@pytest.fixture(scope="module")
def path() -> Path:
    return building.ensure_images()


@pytest.fixture(scope="module")
def archive(path: Path) -> Archive:
    return Archive(path)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty cache that needs no build of upstream's programs."""
    made = tmp_path / "bin"
    made.mkdir()
    for name, program in ensure(["coredns", "etcd", "etcdctl"]).items():
        (made / name).symlink_to(program)
    monkeypatch.setenv("K8S101_BIN", str(made))
    monkeypatch.setenv("K8S101_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_names(archive: Archive) -> None:
    assert tuple(archive.images) == building.references()
    assert "k8s101.test/hello:1.0.0" in archive.images
    assert SANDBOX_IMAGE in archive.images


def test_hello_versions_share_all_but_a_few_bytes(archive: Archive) -> None:
    names = [name for name in archive.images if name.startswith(building.HELLO)]
    assert [name.rpartition(":")[2] for name in names] == list(building.HELLO_VERSIONS)
    assert len({archive.images[name]["Layers"][0] for name in [*names, building.TOOLBOX]}) == 1
    for name in names:
        assert archive.tree(name)["etc/hello/version"][1].decode() == name.rpartition(":")[2] + "\n"


def test_hello_runs_as_a_number_and_not_as_root(archive: Archive) -> None:
    for name in archive.images:
        if name != building.TOOLBOX:
            user = archive.config(name)["User"].split(":")[0]
            assert user.isdigit() and user != "0", name


def test_every_entry_point_is_in_its_image(archive: Archive) -> None:
    for name in archive.images:
        config, tree = archive.config(name), archive.tree(name)
        command = [*config.get("Entrypoint", []), *config.get("Cmd", [])][0]
        file, _ = tree[command.lstrip("/") if command.startswith("/") else f"bin/{command}"]
        assert file.issym() or file.mode & 0o111, name


def test_toolbox_has_its_tools(archive: Archive) -> None:
    tree = archive.tree(building.TOOLBOX)
    for name in ("sh", "ps", "ip", "nc", "nslookup", "ping", "vi", "cat", "ls", "sleep", "wget"):
        assert tree[f"bin/{name}"][0].linkname == "hello"
    assert tree["bin/busybox"][0].isfile()
    assert archive.config(building.TOOLBOX)["Cmd"] == ["sh"]


def test_only_wget_is_taken_from_busybox(archive: Archive, tmp_path: Path) -> None:
    program = tmp_path / "busybox"
    program.write_bytes(archive.tree(building.TOOLBOX)["bin/busybox"][1])
    program.chmod(0o755)
    before, after = (
        subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
        for busybox in (building.find_busybox(), program)
    )
    assert [name for name in before if name not in after] == ["wget"] and len(before) == len(after)
    for name in before:  # a name that its table does not find says so before anything else
        answer = subprocess.run([program, name, "--help"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert ("applet not found" in answer.stderr) == (name == "wget"), answer.stderr


def test_labels_say_who_made_it_of_what(archive: Archive) -> None:
    for name in archive.images:
        labels = archive.config(name)["Labels"]
        assert "made on this machine" in labels["org.opencontainers.image.vendor"]
        assert len(labels["org.opencontainers.image.revision"]) == 64
        assert labels["org.opencontainers.image.version"] == name.rpartition(":")[2]
    made_of = archive.config(building.coredns_reference())["Labels"]["org.opencontainers.image.description"]
    assert made_of == "made of github.com/coredns/coredns " + building.coredns_reference().rpartition(":")[2]


def test_the_store_brings_its_client(archive: Archive) -> None:
    tree = archive.tree(building.etcd_reference())
    assert {name for name, (member, _) in tree.items() if member.isfile()} == {"bin/etcd", "bin/etcdctl"}


def test_made_once_and_then_found(path: Path) -> None:
    before = path.stat()
    assert building.ensure_images() == path
    assert path.stat() == before


def test_second_build_has_the_same_digest(path: Path, empty_cache: Path) -> None:
    again = building.ensure_images()
    assert again.parent == empty_cache / "images" and again.name == path.name
    digests = [hashlib.sha256(each.read_bytes()).hexdigest() for each in (path, again)]
    assert digests[0] == digests[1]


def test_two_runs_at_once(empty_cache: Path) -> None:
    command = [sys.executable, "-m", "k8s101.cluster.images.building"]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], answers
    assert answers[0][0] == answers[1][0]
    assert Path(answers[0][0].strip()).is_file()
    assert [file.name for file in (empty_cache / "images").glob(".*tmp*")] == []


def test_changed_sources_give_another_archive(
    path: Path, tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(building.SOURCES, tmp_path / "images")
    with (tmp_path / "images/hello/version.go").open("a") as file:
        file.write("// changed\n")
    monkeypatch.setattr(building, "SOURCES", tmp_path / "images")
    assert building.ensure_images().name != path.name


def test_broken_sources_are_a_problem(tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(building.SOURCES, tmp_path / "images")
    (tmp_path / "images/pause/main.go").write_text("package main\n\nfunc main() { nonsense() }\n")
    monkeypatch.setattr(building, "SOURCES", tmp_path / "images")
    with pytest.raises(Problem, match="building pause failed") as caught:
        building.ensure_images()
    assert "nonsense" in caught.value.where
    assert [file.suffix for file in (empty_cache / "images").iterdir()] == [".lock"]


def test_missing_busybox_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Problem, match="busybox is missing") as caught:
        building.find_busybox()
    assert "apt-get install busybox-static" in caught.value.then


def test_dynamic_busybox_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    static = building.find_busybox()
    dynamic = shutil.which("ls")
    assert dynamic is not None
    (tmp_path / "busybox").symlink_to(dynamic)
    (tmp_path / "busybox-static").symlink_to(static)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert building.find_busybox() == static


def test_agnhost_is_an_archive_of_its_own() -> None:
    archive = Archive(building.ensure_image("agnhost"))
    assert list(archive.images) == [building.AGNHOST]
    assert archive.config(building.AGNHOST)["Entrypoint"] == ["/agnhost"]


def test_agnhost_has_the_version_of_its_sources() -> None:
    go = builds.find_go((1, 26), lambda _: None)
    listed = subprocess.run(
        [go, "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes"],
        capture_output=True, text=True, cwd=TOOLCHAIN / "kubernetes",
    )  # fmt: skip
    version = Path(listed.stdout.strip(), "test/images/agnhost/VERSION")
    if not listed.stdout.strip() or not version.is_file():
        pytest.skip("the sources of Kubernetes are not in Go's module cache")
    assert version.read_text().strip() == building.AGNHOST.rpartition(":")[2]


def test_unknown_image_is_a_problem() -> None:
    with pytest.raises(Problem, match="no image nginx"):
        building.ensure_image("nginx")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_archive_belongs_to_the_user_behind_sudo(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", "12345")
    target = building._archive("sample", [])
    building.write_images([Image("registry.example/a:1", ())], target, tmp_path, lambda _: None)
    assert target.stat().st_uid == 12345 == target.parent.stat().st_uid
