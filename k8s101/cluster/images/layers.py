"""Give one node the shared store of images; imports little, because each node's first process does."""

from __future__ import annotations

import shutil
from pathlib import Path

from k8s101.cluster.linux.mounts import bind

SANDBOX_IMAGE = "registry.k8s.io/pause:3.10.2"
"""What holds the namespaces of each Pod."""

BLOBS = "io.containerd.content.v1.content/blobs/sha256"
IMAGES = "io.containerd.metadata.v1.bolt/meta.db"
LAYERS = "io.containerd.snapshotter.v1.overlayfs"
"""Where containerd's overlay snapshotter keeps its files below `root`, and above its contents and their names."""

_MARK = "k8s101-template"


def clone_template(template: Path, root: Path, *, seen_as: Path) -> None:
    """Make the store of one node's containerd, which must not run; a store of this template is left alone.

    A store of another template is replaced: its containers ended with the node, the kubelet makes new ones.

    Args:
        template: what `ensure_template` returned.
        root: containerd's `root` directory, on a file system that can hold upper layers of an overlay.
        seen_as: the template's path as the node sees it.
    """
    mark, origin = root / _MARK, f"{template.name} {seen_as}\n"
    if mark.is_file() and mark.read_text() == origin:
        return
    shutil.rmtree(root, ignore_errors=True)
    for blob in (template / BLOBS).iterdir():
        _link(root / BLOBS / blob.name, seen_as / BLOBS / blob.name)
    for layer in (template / LAYERS / "snapshots").iterdir():
        _link(root / LAYERS / "snapshots" / layer.name / "fs", seen_as / LAYERS / "snapshots" / layer.name / "fs")
    for database in (IMAGES, f"{LAYERS}/metadata.db"):
        (root / database).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(template / database, root / database)
    mark.write_text(origin)


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def mount_layers(template: Path, root: Path) -> None:
    """Put a read-only mount in the place of each link to a layer of the template.

    To be called in the node's own mount namespace, before its containerd starts. The links are enough for all
    Pods but those with a user namespace: for them containerd mounts the directory of all layers once more, with
    other owners, and a link would lead out of that mount.

    Args:
        template: the template as the node sees it.
        root: containerd's `root` directory, made by `clone_template`.

    Raises:
        OSError: the kernel refused a mount.
    """
    for layer in (template / LAYERS / "snapshots").iterdir():
        place = root / LAYERS / "snapshots" / layer.name / "fs"
        if place.is_symlink():
            place.unlink()
            place.mkdir()
        if place.is_dir():  # else the node has removed the image
            # containerd empties the directory of a layer it removes
            bind(layer / "fs", place, read_only=True)
