"""Make the workshop's container images from static programs: what is in each, and the archives in the cache.

Run as a program, `python -m k8s101.cluster.images.building` does that and prints the archive's path.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from k8s101.cluster.images import oci
from k8s101.cluster.images.layers import SANDBOX_IMAGE
from k8s101.cluster.images.oci import Entry, Image, write_archive
from k8s101.cluster.programs import builds
from k8s101.cluster.programs.binaries import ensure
from k8s101.cluster.programs.cache import explained, hand_over, locked, make_dir, scratch
from k8s101.cluster.programs.projects import PROJECTS
from k8s101.cluster.programs.toolchain import Project, architecture
from k8s101.cluster.values.progress import Progress, Report, display, quiet
from k8s101.cluster.values.settings import ROOT, cache_dir, invoking_user
from k8s101.errors import Problem

SOURCES = ROOT / "images"
HELLO = "k8s101.test/hello"
HELLO_VERSIONS = ("1.0.0", "1.0.1", "1.1.0", "1.1.1", "2.0.0", "2.1.0", "2.1.1")
TOOLBOX = "k8s101.test/toolbox:1.0"
OPERATOR = "k8s101.test/operator:1.0"
AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.66.1"
"""The version stands in test/images/agnhost/VERSION of the Kubernetes sources."""

_OWN = ("hello", "operator", "pause")
"""Our own programs, each in a folder of `images/`."""

_ETCD = ("etcd", "etcdctl")
_GO = (1, 26)
_PT_INTERP = 3
_NOBODY = "65532:65532"
_PATH = "PATH=/bin"
_USERS = b"root:x:0:0:root:/:/bin/sh\nnonroot:x:65532:65532:nonroot:/tmp:/bin/false\n"
_GROUPS = b"root:x:0:\nnonroot:x:65532:\n"


def references() -> tuple[str, ...]:
    """Return the full names of the images that every cluster has."""
    hello = (f"{HELLO}:{version}" for version in HELLO_VERSIONS)
    return (*hello, TOOLBOX, OPERATOR, SANDBOX_IMAGE, coredns_reference(), etcd_reference())


def coredns_reference() -> str:
    """Return the full name of the CoreDNS image: the pinned version's."""
    return f"registry.k8s.io/coredns/coredns:{_component('coredns').version}"


def etcd_reference() -> str:
    """Return the full name of the etcd image: the first two numbers of the pinned version, as manifests write it."""
    return f"k8s101.test/etcd:{'.'.join(_component('etcd').version.lstrip('v').split('.')[:2])}"


def ensure_images(report: Report = quiet) -> Path:
    """Return the archive of the workshop's images, after making it if sources or pins have changed.

    Args:
        report: called with the progress of builds.

    Raises:
        Problem: a program is missing or could not be built.
    """
    busybox = find_busybox()
    own = [path for name in _OWN for path in _sources(name)]
    inputs = [*own, busybox, *_pins("coredns"), *_pins("etcd")]
    target = _archive("workshop", inputs)
    if target.is_file():
        return target
    with explained(), locked(target.parent / ".workshop.lock", lambda: _say(report, "waiting for another run")):
        if not target.is_file():
            upstream = ensure(["coredns", *_ETCD], report)
            with scratch(target.parent, "workshop") as place:
                built = {name: _build(name, place, report) for name in _OWN}
                write_images(_workshop(built, upstream, busybox), target, place, report)
    return target


def ensure_image(name: str, report: Report = quiet) -> Path:
    """Return the archive of one image that only some lessons or tests need.

    Args:
        name: `agnhost`.
        report: called with the progress of builds.

    Raises:
        Problem: there is no such image, or its program could not be made.
    """
    if name != "agnhost":
        raise Problem(f"there is no image {name}", where="k8s101/cluster/images/building.py", then="take: agnhost")
    target = _archive(name, _pins("kubernetes"))
    with explained(), locked(target.parent / f".{name}.lock", lambda: _say(report, "waiting for another run")):
        if not target.is_file():
            program = ensure([name], report)[name]
            with scratch(target.parent, name) as place:
                write_images([_agnhost(program)], target, place, report)
    return target


def find_busybox() -> Path:
    """Return the static busybox of this machine, from which the toolbox is made.

    Raises:
        Problem: there is none.
    """
    for name in ("busybox", "busybox-static", "busybox.static"):
        found = shutil.which(name)
        if found and _is_static(Path(found)):
            return Path(found).resolve()
    raise Problem(
        "a statically linked busybox is missing, of which the toolbox image is made",
        where="PATH",
        then="run: sudo apt-get install busybox-static",
    )


def _without_wget(busybox: bytes) -> bytes:
    """Return a busybox that does not know wget: its shell prefers its own programs to those in PATH."""
    return busybox.replace(b"\0wget\0", b"\0wge_\0")  # as long, and where it was in the sorted table


def _is_static(program: Path) -> bool:
    """Tell whether a program needs no dynamic linker (man 5 elf)."""
    with program.open("rb") as file:
        head = file.read(1 << 12)
    if not head.startswith(b"\x7fELF\x02\x01"):  # 64 bits, little endian
        return False
    (table,), (size, count) = struct.unpack_from("<Q", head, 32), struct.unpack_from("<HH", head, 54)
    kinds = [struct.unpack_from("<I", head, table + size * row)[0] for row in range(count)]
    return _PT_INTERP not in kinds


def _component(name: str) -> Project:
    return next(component for component in PROJECTS if component.name == name)


def _sources(name: str) -> list[Path]:
    files = [path for path in (SOURCES / name).rglob("*") if path.is_file()]
    return sorted(path for path in files if path.name in ("go.mod", "go.sum") or path.suffix == ".go")


def _pins(component: str) -> list[Path]:
    return list(_component(component).pins)


def _archive(name: str, inputs: Iterable[Path]) -> Path:
    """Return where the archive made of these files belongs; other contents give another name."""
    digest = hashlib.sha256(repr((architecture(), references(), AGNHOST)).encode())
    for path in (*inputs, Path(__file__), Path(oci.__file__)):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return make_dir(cache_dir() / "images") / f"{name}-{digest.hexdigest()[:16]}.tar"


def _say(report: Report, message: str) -> None:
    report(Progress("images", "", 0, 0, message))


def _build(name: str, place: Path, report: Report) -> Path:
    """Build one of our own programs and return its path in the scratch directory."""
    _say(report, f"building the program of the image {name}")
    kept = ("PATH", "GOCACHE", "GOPATH", "XDG_CACHE_HOME")
    env = {key: os.environ[key] for key in kept if key in os.environ} | {
        "HOME": str(invoking_user().home),
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false -mod=readonly -trimpath",
        "GOTMPDIR": str(place),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    go = builds.find_go(_GO, report)
    command = [go, "-C", str(SOURCES / name), "build", "-ldflags", "-s -w -buildid=", "-o", str(place / name), "."]
    builds.run(command, what=f"building {name}", line=lambda _: None, cwd=place, env=env)
    return place / name


def write_images(images: Iterable[Image], target: Path, place: Path, report: Report) -> None:
    """Write the archive of some images and move it to its place when it is complete.

    Args:
        images: the images.
        target: the archive's final path.
        place: a directory for drafts, on the same file system.
        report: called with what is being done.
    """
    _say(report, "writing the images")
    draft = place / target.name
    write_archive(images, draft, place=place, architecture=architecture())
    hand_over(draft)
    draft.rename(target)


def labels_of(title: str, version: str, made_of: str, inputs: Iterable[Path]) -> dict[str, str]:
    """Return labels that keep anybody from taking the image for one from the project's registry."""
    prefix = "org.opencontainers.image"
    return {
        f"{prefix}.title": title,
        f"{prefix}.version": version,
        f"{prefix}.vendor": "Kubernetes 101 workshop, made on this machine",
        f"{prefix}.description": f"made of {made_of}",
        f"{prefix}.revision": hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest(),
    }


def _workshop(built: dict[str, Path], upstream: dict[str, Path], busybox: Path) -> list[Image]:
    app = (
        Entry("bin", mode=0o755),
        Entry("bin/hello", built["hello"], 0o755),
        Entry("etc", mode=0o755),
        Entry("etc/group", _GROUPS),
        Entry("etc/passwd", _USERS),
        Entry("tmp", mode=0o1777),
    )
    return [
        *(_hello(app, version) for version in HELLO_VERSIONS),
        _toolbox(app, busybox),
        Image(
            OPERATOR,
            ((Entry("bin", mode=0o755), Entry("bin/operator", built["operator"], 0o755)),),
            {"User": _NOBODY, "Env": [_PATH], "Entrypoint": ["operator"]},
            labels_of("operator", OPERATOR.rpartition(":")[2], "images/operator", _sources("operator")),
        ),
        Image(
            SANDBOX_IMAGE,
            ((Entry("pause", built["pause"], 0o755),),),
            {"User": "65535:65535", "Env": [_PATH], "Entrypoint": ["/pause"]},
            labels_of("pause", SANDBOX_IMAGE.rpartition(":")[2], "images/pause", _sources("pause")),
        ),
        _upstream(coredns_reference(), upstream["coredns"], "coredns", {"User": _NOBODY}),
        _etcd([upstream[name] for name in _ETCD]),
    ]


def _hello(app: tuple[Entry, ...], version: str) -> Image:
    """All versions share one program: a file of a few bytes tells it which one it is."""
    release = (Entry("etc/hello", mode=0o755), Entry("etc/hello/version", f"{version}\n".encode()))
    config = {
        "User": _NOBODY,
        "ExposedPorts": {"8000/tcp": {}},
        "Env": [_PATH],
        "Entrypoint": ["hello"],
        "WorkingDir": "/",
    }
    labels = labels_of("hello", version, "images/hello", _sources("hello"))
    return Image(f"{HELLO}:{version}", (app, release), config, labels)


def _toolbox(app: tuple[Entry, ...], busybox: Path) -> Image:
    """Put our own program under all names of busybox: as process 1 it ends when told, and it does the work of wget."""
    names = {*subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split(), "wget"}
    tools = (
        Entry("bin/busybox", _without_wget(busybox.read_bytes()), 0o755),
        *(Entry(f"bin/{name}", link="hello") for name in sorted(names - {"busybox"})),
        Entry("root", mode=0o700),
    )
    config = {"Env": [_PATH, "HOME=/root"], "Cmd": ["sh"], "WorkingDir": "/"}
    labels = labels_of("toolbox", "1.0", "busybox and images/hello", [busybox, *_sources("hello")])
    return Image(TOOLBOX, (app, tools), config, labels)


def _etcd(programs: list[Path]) -> Image:
    """Put the store and its client where `kubectl exec` finds them by name."""
    files = (Entry(f"bin/{program.name}", program, 0o755) for program in programs)
    layer = (Entry("bin", mode=0o755), *files, Entry("tmp", mode=0o1777))
    source, reference = _component("etcd"), etcd_reference()
    made_of = f"{source.module} {source.version}"
    labels = labels_of("etcd", reference.rpartition(":")[2], made_of, source.pins)
    return Image(reference, (layer,), {"User": _NOBODY, "Env": [_PATH], "Entrypoint": ["etcd"]}, labels)


def _agnhost(program: Path) -> Image:
    return _upstream(AGNHOST, program, "kubernetes", {"Cmd": ["pause"]})


def _upstream(reference: str, program: Path, component: str, config: dict[str, object]) -> Image:
    """Return an image with one upstream program under its own name and nothing else."""
    source = _component(component)
    layer = (Entry(program.name, program, 0o755), Entry("tmp", mode=0o1777))
    start = {"Env": [_PATH], "Entrypoint": [f"/{program.name}"], "WorkingDir": "/"}
    made_of = f"{source.module} {source.version}"
    labels = labels_of(program.name, reference.rpartition(":")[2], made_of, _pins(component))
    return Image(reference, (layer,), config | start, labels)


@click.command()
def main() -> None:
    """Make sure that the archive of the workshop's images is there, and print its path."""
    try:
        with display() as report:
            archive = ensure_images(report)
    except Problem as problem:
        click.echo(problem, err=True)
        sys.exit(1)
    click.echo(archive)


if __name__ == "__main__":
    main()
