"""Mount the shared layers of images into one node's store; imports little, because each node's first process does."""

from __future__ import annotations

from pathlib import Path

from k8s101.cluster.linux.mounts import bind

LAYERS = "io.containerd.snapshotter.v1.overlayfs"
"""Where containerd's overlay snapshotter keeps its files below `root`."""


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
