"""Upstream programs as images under upstream names and tags, one archive each, for clusters that pull nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from k8s101.cluster.images import oci
from k8s101.cluster.images.building import labels_of, write_images
from k8s101.cluster.images.oci import Entry, Image
from k8s101.cluster.programs.binaries import ensure, project_of
from k8s101.cluster.programs.cache import explained, locked, make_dir, scratch
from k8s101.cluster.programs.toolchain import Project, architecture
from k8s101.cluster.values.progress import Progress, Report, quiet
from k8s101.cluster.values.settings import cache_dir


@dataclass(frozen=True)
class Packing:
    """How one program becomes an image.

    Args:
        reference: the image's full name and tag, as upstream's manifests write it.
        program: the name of the program.
        path: where upstream's image has it.
        user: whom it runs as, as in a Dockerfile.
    """

    reference: str
    program: str
    path: str
    user: str = "65532:65532"


def ensure_archive(packing: Packing, report: Report = quiet) -> Path:
    """Return the archive of one image, after making its program and it on first need.

    Args:
        packing: what is in it.
        report: called with the progress of builds.

    Raises:
        Problem: the program could not be made.
    """
    project = project_of(packing.program)
    recipe = repr((packing, project.cache_name, architecture())).encode()
    for module in (__file__, oci.__file__):
        recipe += Path(module).read_bytes()
    name = f"{packing.program}-{hashlib.sha256(recipe).hexdigest()[:16]}.tar"
    target = make_dir(cache_dir() / "images") / name
    if target.is_file():
        return target

    def say(message: str) -> None:
        report(Progress("images", "", 0, 0, message))

    lock = target.parent / f".{packing.program}.lock"
    with explained(), locked(lock, lambda: say(f"waiting for another run to make {packing.program}")):
        if not target.is_file():
            program = ensure([packing.program], report)[packing.program]
            with scratch(target.parent, packing.program) as place:
                write_images([_image(packing, project, program)], target, place, report)
    return target


def _image(packing: Packing, project: Project, program: Path) -> Image:
    path = PurePosixPath(packing.path).relative_to("/")
    parents = [Entry(str(parent), mode=0o755) for parent in reversed(path.parents) if parent.name]
    layer = (*parents, Entry(str(path), program, 0o755), Entry("tmp", mode=0o1777))
    config = {
        "User": packing.user,
        "Env": [f"PATH=/usr/local/bin:/usr/bin:/bin:{PurePosixPath(packing.path).parent}"],
        "Entrypoint": [packing.path],
        "WorkingDir": "/",
    }
    tag = packing.reference.rpartition(":")[2]
    return Image(
        packing.reference,
        (layer,),
        config,
        labels_of(packing.program, tag, f"{project.module} {project.version}", project.pins),
    )
