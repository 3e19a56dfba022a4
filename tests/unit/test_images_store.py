"""A real containerd takes the archive, and another one runs on a store that was only linked from the first."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s101.cluster.images import building
from k8s101.cluster.images.layers import IMAGES, SANDBOX_IMAGE, clone_template
from k8s101.cluster.images.stores import _CONFIG, Ask, _running, ensure_template
from k8s101.cluster.linux.mounts import is_overlay, mount
from k8s101.cluster.programs.binaries import ensure
from k8s101.cluster.values.settings import ROOT
from k8s101.errors import Problem

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="containerd's overlay snapshotter needs root")


@pytest.fixture(scope="module")
def tools() -> dict[str, Path]:
    return ensure(["containerd", "ctr", "runc"])


@pytest.fixture(scope="module")
def archive() -> Path:
    return building.ensure_images()


def make_template(cache: Path, archive: Path, containerd: Path, ctr: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("K8S101_CACHE", str(cache))
        return ensure_template(archive, containerd=containerd, ctr=ctr, sandbox=SANDBOX_IMAGE)


@pytest.fixture(scope="module")
def template(tools: dict[str, Path], archive: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="k8s101-test-") as cache:
        yield make_template(Path(cache), archive, tools["containerd"], tools["ctr"])


@pytest.fixture
def root(template: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="k8s101-test-") as place:
        clone_template(template, Path(place, "root"), seen_as=template)
        yield Path(place, "root")


@pytest.fixture
def ask(root: Path, tools: dict[str, Path]) -> Iterator[Ask]:
    """Run containerd on the linked store and return its command-line client."""
    place = root.parent
    (place / "config.toml").write_text(_CONFIG.format(root=root, place=place, sandbox=SANDBOX_IMAGE))
    client = [str(tools["ctr"]), "--address", str(place / "socket"), "--namespace", "k8s.io"]

    def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*client, *arguments], capture_output=True, text=True, timeout=30)

    with _running(place, tools["containerd"], ask):
        yield ask


def fingerprint(template: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.lstat().st_mtime_ns, p.lstat().st_size) for p in template.rglob("*") if not p.is_dir()}


def chain_id(reference: str) -> str:
    """Return the name of an image's top layer in the store (image-spec, config.md, "Layer ChainID")."""
    with tarfile.open(building.ensure_images()) as tar:
        listed = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
    layers = next(entry["Layers"] for entry in listed if entry["RepoTags"] == [reference])
    first, *rest = (f"sha256:{Path(layer).name}" for layer in layers)
    for layer in rest:
        first = "sha256:" + hashlib.sha256(f"{first} {layer}".encode()).hexdigest()
    return first


def run_in(place: Path, ask: Ask, reference: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program of an image without a container: mount its layers and change the root directory."""
    target = tempfile.mkdtemp(prefix="image-", dir=place)
    assert ask("snapshots", "prepare", target, chain_id(reference)).returncode == 0
    mount = ask("snapshots", "mounts", target, target).stdout.strip()
    assert mount.startswith("mount "), mount
    inside = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "/bin/sh", "-c"]
    script = f'{mount} && exec chroot "$0" "$@"'
    environment = {"PATH": "/bin:/sbin:/usr/bin:/usr/sbin"}
    return subprocess.run(
        [*inside, script, target, *command], capture_output=True, text=True, timeout=30, env=environment
    )


def test_linked_store_has_every_image(ask: Ask) -> None:
    listed = ask("images", "list", "--quiet", 'labels."io.cri-containerd.image"==managed').stdout.split()
    assert sorted(name for name in listed if not name.startswith("sha256:")) == sorted(building.references())
    assert SANDBOX_IMAGE in ask("images", "list", "--quiet", 'labels."io.cri-containerd.pinned"==pinned').stdout
    checked = ask("images", "check", "--quiet").stdout.split()
    assert set(building.references()) <= set(checked)


def test_kubelet_would_find_the_images(ask: Ask, root: Path) -> None:
    """The runtime interface leaves out at its start, with a warning, what is not complete."""
    assert ask("version").returncode == 0
    log = (root.parent / "log").read_text()
    assert "content readiness" not in log and "not unpacked" not in log


@pytest.mark.parametrize("version", building.HELLO_VERSIONS)
def test_hello_knows_its_version(ask: Ask, root: Path, version: str) -> None:
    answer = run_in(root.parent, ask, f"{building.HELLO}:{version}", "/bin/hello", "version")
    assert answer.stdout == f"{version}\n", answer.stderr


def test_coredns_starts(ask: Ask, root: Path) -> None:
    answer = run_in(root.parent, ask, building.coredns_reference(), "/coredns", "-version")
    assert building.coredns_reference().rpartition(":v")[2] in answer.stdout, answer.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("echo ok", "ok"),
        ("ps | head -n 1 | grep -c PID", "1"),
        ("ip addr show lo | grep -c LOOPBACK", "1"),
        ("nslookup -timeout=1 x 127.0.0.1 2>&1 | head -n 1", "refused"),
        ("nc -w 1 127.0.0.1 1 2>&1 || echo closed", "closed"),
        ("wget -q -T 1 -O - http://127.0.0.1:1 2>&1; echo ended with $?.", "refused\nended with 1."),
        ("httpd -p 8000 -h /etc; wget -T2 -qO- http://127.0.0.1:8000/passwd | head -n 1", "root:"),
        ("httpd -p 8000 -h /etc; exec wget -T 2 -q -O - http://127.0.0.1:8000/passwd", "root:"),
        ("for n in 1 2; do wget -T 1 -q -O - http://127.0.0.1:1; echo $?; done", "1\n1"),
        ("hello version", "dev"),
        ("whoami", "root"),
    ],
)
def test_toolbox(ask: Ask, root: Path, line: str, said: str) -> None:
    script = f"mkdir -p /proc && mount -t proc proc /proc && ip link set lo up; {line}"
    answer = run_in(root.parent, ask, building.TOOLBOX, "/bin/sh", "-c", script)
    assert said in answer.stdout, answer.stdout + answer.stderr


def test_template_outlives_what_a_node_removes(ask: Ask, template: Path, root: Path) -> None:
    before = fingerprint(template)
    for reference in building.references():
        assert ask("images", "remove", "--sync", reference).returncode == 0
    for name in ask("images", "list", "--quiet").stdout.split():
        assert ask("images", "remove", "--sync", name).returncode == 0
    assert ask("snapshots", "list").stdout.splitlines()[1:] == []
    assert fingerprint(template) == before


def test_removed_image_can_be_imported_again(ask: Ask, root: Path) -> None:
    for name in ask("images", "list", "--quiet").stdout.split():
        assert ask("images", "remove", "--sync", name).returncode == 0
    answer = ask("images", "import", "--local", str(building.ensure_images()))
    assert answer.returncode == 0, answer.stderr
    assert run_in(root.parent, ask, f"{building.HELLO}:1.0.0", "/bin/hello", "version").stdout == "1.0.0\n"


def test_clone_is_kept_until_the_template_changes(template: Path, root: Path, tmp_path: Path) -> None:
    (root / "written-by-the-node").touch()
    clone_template(template, root, seen_as=template)
    assert (root / "written-by-the-node").exists()
    shutil.copytree(template, tmp_path / "newer", symlinks=True)
    clone_template(tmp_path / "newer", root, seen_as=tmp_path / "newer")
    assert not (root / "written-by-the-node").exists()


def test_clone_holds_nothing_big(root: Path) -> None:
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < 2**20


MOUNTED = """
import subprocess, sys
from pathlib import Path
from k8s101.cluster.images.layers import mount_layers

template, root = Path(sys.argv[1]), Path(sys.argv[2])
for _ in range(2):  # a node that starts again finds directories where the links were
    mount_layers(template, root)
version = next(root.glob("*/snapshots/*/fs/etc/hello/version"))
assert version.read_text().strip(), version
assert not any(path.is_symlink() for path in root.glob("*/snapshots/*/fs"))
for path in (version, version.with_name("new")):
    try:
        path.write_text("changed")
    except OSError as error:
        print(error.strerror)
print(subprocess.run(["rm", "-rf", str(version.parents[2])]).returncode)
"""


def test_mounted_layers_cannot_be_changed(template: Path, root: Path) -> None:
    before = fingerprint(template)
    command = ["unshare", "--mount", sys.executable, "-c", MOUNTED, str(template), str(root)]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert answer.stdout.splitlines() == ["Read-only file system"] * 2 + ["1"], answer.stderr
    assert fingerprint(template) == before


def test_template_is_made_once(template: Path, archive: Path, tools: dict[str, Path], tmp_path: Path) -> None:
    nothing = tmp_path / tools["containerd"].parent.name / "nothing"
    assert make_template(template.parent.parent, archive, nothing, nothing) == template


def test_an_overlay_is_told_from_what_it_shows(tmp_path: Path) -> None:
    seen, layer = tmp_path / "seen", tmp_path / "layer"
    for directory in (seen, layer, tmp_path / "upper", tmp_path / "work"):
        directory.mkdir()
    (layer / "inside").mkdir()
    mount("overlay", seen, f"lowerdir={layer},upperdir={tmp_path}/upper,workdir={tmp_path}/work")
    try:
        assert is_overlay(seen) and is_overlay(seen / "inside") and is_overlay(seen / "not/there/yet")
        assert not is_overlay(layer) and not is_overlay(layer / "inside")
    finally:
        subprocess.run(("umount", seen), check=True)


def test_template_may_lie_elsewhere(archive: Path, tools: dict[str, Path], tmp_path: Path) -> None:
    containerd, ctr, place = tools["containerd"], tools["ctr"], tmp_path / "state/images"
    made = ensure_template(archive, containerd=containerd, ctr=ctr, sandbox=SANDBOX_IMAGE, place=place)
    assert made.parent == tmp_path / "state/images"
    assert (made / IMAGES).is_file()


def test_broken_archive_is_a_problem(archive: Path, tools: dict[str, Path], tmp_path: Path) -> None:
    with archive.open("rb") as file:
        (tmp_path / "broken.tar").write_bytes(file.read(100_000))
    with pytest.raises(Problem, match="refused the images"):
        make_template(tmp_path / "cache", tmp_path / "broken.tar", tools["containerd"], tools["ctr"])
    assert [path.name for path in (tmp_path / "cache/image-store").iterdir()] == [".lock"]


def test_containerd_that_does_not_start_is_a_problem(tools: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "containerd"
    broken.write_text("#!/bin/sh\necho no such luck; exit 3\n")
    broken.chmod(0o755)
    with pytest.raises(Problem, match="did not start") as caught:
        make_template(tmp_path / "cache", Path("x.tar"), broken, tools["ctr"])
    assert "no such luck" in caught.value.where
