"""The writer of image archives: repeatable, valid, and readable as OCI layout and as `docker save`."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from k8s101.cluster.images.oci import Entry, Image, write_archive


def sample(place: Path) -> list[Image]:
    place.mkdir()
    program = place / "program"
    program.write_bytes(b"\x7fELF" + bytes(70_000))
    base = (Entry("bin", mode=0o755), Entry("bin/program", program, 0o755), Entry("bin/link", link="program"))
    return [
        Image(f"registry.example/team/app:{tag}", (base, (Entry("tag", tag.encode()),)), {"User": "1:1"}, {"t": tag})
        for tag in ("one", "two")
    ]


def made(tmp_path: Path, name: str) -> Path:
    images = sample(tmp_path / name)
    archive = tmp_path / name / "archive.tar"
    write_archive(images, archive, place=tmp_path / name, architecture="amd64")
    return archive


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    return contents(made(tmp_path, "first"))


def contents(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        names = [member.name for member in tar.getmembers() if member.isfile()]
        assert len(names) == len(set(names))
        return {name: tar.extractfile(name).read() for name in names}  # type: ignore[union-attr]


def blob(files: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    content = files["blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")]
    assert len(content) == descriptor["size"]
    return content


def test_same_input_gives_same_bytes(tmp_path: Path) -> None:
    first = made(tmp_path, "first")
    umask = os.umask(0o077)
    try:
        second = made(tmp_path, "second")
    finally:
        os.umask(umask)
    assert first.read_bytes() == second.read_bytes()


def test_other_input_gives_other_digests(tmp_path: Path) -> None:
    first = contents(made(tmp_path, "first"))
    images = sample(tmp_path / "second")
    (tmp_path / "second/program").write_bytes(b"another")
    write_archive(images, tmp_path / "other.tar", place=tmp_path / "second", architecture="amd64")
    second = contents(tmp_path / "other.tar")
    digests = [{m["digest"] for m in json.loads(each["index.json"])["manifests"]} for each in (first, second)]
    assert digests[0].isdisjoint(digests[1])


def test_layout_is_consistent(files: dict[str, bytes]) -> None:
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    for name in files:
        if name.startswith("blobs/"):
            assert hashlib.sha256(files[name]).hexdigest() == Path(name).name
    index = json.loads(files["index.json"])
    assert len(index["manifests"]) == 2
    for entry in index["manifests"]:
        manifest = json.loads(blob(files, entry))
        config = json.loads(blob(files, manifest["config"]))
        layers = [hashlib.sha256(blob(files, layer)).hexdigest() for layer in manifest["layers"]]
        assert config["rootfs"]["diff_ids"] == [f"sha256:{layer}" for layer in layers]
        assert (config["os"], config["architecture"]) == ("linux", "amd64")
        assert config["config"]["User"] == "1:1"


def test_both_name_lists_agree(files: dict[str, bytes]) -> None:
    names = [entry["annotations"]["io.containerd.image.name"] for entry in json.loads(files["index.json"])["manifests"]]
    docker = json.loads(files["manifest.json"])
    assert names == ["registry.example/team/app:one", "registry.example/team/app:two"]
    assert [image["RepoTags"] for image in docker] == [[name] for name in names]
    for image in docker:
        assert {image["Config"], *image["Layers"]} <= files.keys()


def test_shared_layers_are_written_once(files: dict[str, bytes]) -> None:
    one, two = (image["Layers"] for image in json.loads(files["manifest.json"]))
    assert one[0] == two[0] and one[1] != two[1]
    assert sum(name.startswith("blobs/") for name in files) == 3 + 2 + 2  # layers, configurations, manifests


def test_layer_keeps_modes_and_links_but_neither_times_nor_owners(files: dict[str, bytes]) -> None:
    layer = files[json.loads(files["manifest.json"])[0]["Layers"][0]]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        members = {member.name: member for member in tar.getmembers()}
    assert members["bin"].isdir() and members["bin/program"].mode == 0o755
    assert members["bin/link"].issym() and members["bin/link"].linkname == "program"
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members.values()} == {(0, 0, 0, "", "")}
