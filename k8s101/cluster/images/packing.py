"""Upstream programs as images under upstream names and tags, one archive each, for clusters that pull nothing."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
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
from k8s101.errors import Problem


@dataclass(frozen=True)
class Packing:
    """How one program becomes an image.

    Args:
        reference: the image's full name and tag, as upstream's manifests write it.
        program: the name of the program.
        path: where upstream's image has it.
        user: whom it runs as, as in a Dockerfile.
        linked: whether it needs the C library, which this machine's then goes along.
        tools: programs of this machine that upstream's image has, too, by name.
    """

    reference: str
    program: str
    path: str
    user: str = "65532:65532"
    linked: bool = False
    tools: Sequence[str] = ()


def ensure_archive(packing: Packing, report: Report = quiet) -> Path:
    """Return the archive of one image, after making its program and it on first need.

    Args:
        packing: what is in it.
        report: called with the progress of builds.

    Raises:
        Problem: the program could not be made.
    """
    project = project_of(packing.program)
    tools = [_of_this_machine(name) for name in packing.tools]
    linked = [ensure([packing.program], report)[packing.program]] if packing.linked else []
    files = [*tools, *libraries([*linked, *tools])]
    recipe = repr((packing, project.cache_name, architecture())).encode()
    for module in (__file__, oci.__file__):
        recipe += Path(module).read_bytes()
    for file in files:
        recipe += str(file).encode() + hashlib.sha256(file.read_bytes()).digest()
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
                write_images([_image(packing, project, program, files)], target, place, report)
    return target


def _of_this_machine(name: str) -> Path:
    if (found := shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")) is None:
        raise Problem(
            f"{name} is missing, which belongs into an image", where="PATH", then="install it, then run this again"
        )
    return Path(found)


def libraries(programs: Sequence[Path]) -> list[Path]:
    """Return what programs need of this machine to be started: the dynamic linker and the libraries that it finds.

    Loader and libraries go into an image under their own paths, where this loader looks for them.

    Args:
        programs: programs that are linked dynamically.

    Raises:
        Problem: a library is missing here.
    """
    found: set[Path] = set()
    for program in programs:
        answer = subprocess.run(["ldd", program], capture_output=True, text=True)
        if answer.returncode or "not found" in answer.stdout:
            missing = next((line.strip() for line in answer.stdout.splitlines() if "not found" in line), answer.stderr)
            raise Problem(
                f"{program.name} cannot be started here: {missing.strip()}",
                where=f"ldd {program}",
                then="use a machine with glibc, or install that library",
            )
        found |= {Path(path) for path in re.findall(r"(/\S+) \(0x", answer.stdout)}
    return sorted(found)


def _image(packing: Packing, project: Project, program: Path, files: Sequence[Path]) -> Image:
    contents = {PurePosixPath(packing.path): program} | {PurePosixPath(file): file for file in files}
    folders = sorted({str(path.parent) for path in contents if path.name in {packing.program, *packing.tools}})
    parents = {parent for path in contents for parent in path.parents if parent.name}
    layer = (
        *(Entry(_inside(parent), mode=0o755) for parent in sorted(parents)),
        *(Entry(_inside(path), file, 0o755) for path, file in contents.items()),
        Entry("tmp", mode=0o1777),
    )
    config = {
        "User": packing.user,
        "Env": [f"PATH=/usr/local/bin:/usr/bin:/bin:{':'.join(folders)}"],
        "Entrypoint": [packing.path],
        "WorkingDir": "/",
    }
    tag = packing.reference.rpartition(":")[2]
    taken = (*(["the C library"] if packing.linked else []), *packing.tools)
    made_of = " and ".join((f"{project.module} {project.version}", *(f"{what} of this machine" for what in taken)))
    return Image(packing.reference, (layer,), config, labels_of(packing.program, tag, made_of, project.pins))


def _inside(path: PurePosixPath) -> str:
    return str(path.relative_to("/"))
