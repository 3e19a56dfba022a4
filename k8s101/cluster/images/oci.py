"""Write container images into one archive, without a container engine and byte for byte repeatable.

The archive is an OCI image layout with the `manifest.json` of `docker save` beside the index, the form that
Docker itself has written since version 25, so that containerd, kind, k3d and minikube load it. Formats:
https://github.com/opencontainers/image-spec (image layout, manifest, configuration, layer).
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

_MEDIA = "application/vnd.oci.image"
_BLOBS = "blobs/sha256"


@dataclass(frozen=True)
class Entry:
    """One file, directory or link of a layer.

    Args:
        path: where it is in the image, without a leading slash.
        content: bytes, or the path of a file to copy; None for a directory or a link.
        mode: permission bits.
        link: what a symbolic link points to.
    """

    path: str
    content: bytes | Path | None = None
    mode: int = 0o644
    link: str = ""

    def header(self) -> tarfile.TarInfo:
        """Return the tar header: owned by root, without a time, so that equal contents give equal bytes."""
        info = tarfile.TarInfo(self.path)
        info.mode = self.mode
        if self.link:
            info.type, info.linkname, info.mode = tarfile.SYMTYPE, self.link, 0o777
        elif self.content is None:
            info.type = tarfile.DIRTYPE
        elif isinstance(self.content, Path):
            info.size = self.content.stat().st_size
        else:
            info.size = len(self.content)
        return info


@dataclass(frozen=True)
class Image:
    """One image.

    Args:
        reference: its full name with the registry's host and a tag.
        layers: the entries of each layer, the lowest first; images that share a layer share its bytes.
        config: what containers are started with (`Entrypoint`, `Cmd`, `Env`, `User`, …).
        labels: what the image tells about itself.
    """

    reference: str
    layers: tuple[tuple[Entry, ...], ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Blob:
    """Content under its own digest: in memory, or a file that the archive is to take in."""

    source: bytes | Path

    @cached_property
    def digest(self) -> str:
        if isinstance(self.source, bytes):
            return hashlib.sha256(self.source).hexdigest()
        with self.source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def entry(self) -> Entry:
        return Entry(f"{_BLOBS}/{self.digest}", self.source)

    def descriptor(self, kind: str) -> dict[str, Any]:
        size = self.entry.header().size
        return {"mediaType": f"{_MEDIA}.{kind}", "digest": f"sha256:{self.digest}", "size": size}


def write_archive(images: Iterable[Image], target: Path, *, place: Path, architecture: str) -> None:
    """Write images into one archive.

    Layers are not compressed: every node reads them at every start, a registry never.

    Args:
        images: the images; equal layers are written once.
        target: the archive's path.
        place: a directory for temporary files.
        architecture: the processor's kind, as Go spells it.
    """
    layers: dict[tuple[Entry, ...], _Blob] = {}
    blobs: dict[str, Entry] = {}
    index, docker = [], []
    for image in images:
        for layer in image.layers:
            if layer not in layers:
                layers[layer] = _write_layer(layer, place / f"layer-{len(layers)}.tar")
        parts = [layers[layer] for layer in image.layers]
        config = _Blob(_json(_configuration(image, parts, architecture)))
        manifest = _Blob(_json(_manifest(config, parts)))
        blobs |= {blob.digest: blob.entry for blob in (*parts, config, manifest)}
        names = {
            "io.containerd.image.name": image.reference,
            "org.opencontainers.image.ref.name": image.reference,
        }
        index.append(manifest.descriptor("manifest.v1+json") | {"annotations": names})
        docker.append(
            {
                "Config": config.entry.path,
                "RepoTags": [image.reference],
                "Layers": [part.entry.path for part in parts],
            }
        )
    with target.open("wb") as file:
        _write_tar(file, [*_front(index, docker), *(blobs[digest] for digest in sorted(blobs))])


def _front(index: list[dict[str, Any]], docker: list[dict[str, Any]]) -> list[Entry]:
    """Return what a reader wants first."""
    layout = {"schemaVersion": 2, "mediaType": f"{_MEDIA}.index.v1+json", "manifests": index}
    return [
        Entry("oci-layout", _json({"imageLayoutVersion": "1.0.0"})),
        Entry("index.json", _json(layout)),
        Entry("manifest.json", _json(docker)),
        Entry("blobs", mode=0o755),
        Entry(_BLOBS, mode=0o755),
    ]


def _configuration(image: Image, layers: list[_Blob], architecture: str) -> dict[str, Any]:
    return {
        "architecture": architecture,
        "os": "linux",
        "config": {**image.config, "Labels": dict(sorted(image.labels.items()))},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in layers]},
    }


def _manifest(config: _Blob, layers: list[_Blob]) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": f"{_MEDIA}.manifest.v1+json",
        "config": config.descriptor("config.v1+json"),
        "layers": [layer.descriptor("layer.v1.tar") for layer in layers],
    }


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _write_layer(entries: tuple[Entry, ...], path: Path) -> _Blob:
    with path.open("wb") as file:
        _write_tar(file, entries)
    return _Blob(path)


def _write_tar(file: BinaryIO, entries: Iterable[Entry]) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for entry in entries:
            if isinstance(entry.content, Path):
                with entry.content.open("rb") as content:
                    archive.addfile(entry.header(), content)
            else:
                archive.addfile(entry.header(), io.BytesIO(entry.content or b""))
