"""The image that Dockerfile describes, really built and used: with real nodes, and with a guest as an ordinary user.

Built by buildah as root in chroots, so that it works on a machine that is a container itself. What runs there finds the
cgroup tree and /proc/sys read-only, whatever capabilities it is given; so the image is used as Docker uses it, by runc.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from k8s101.cluster.backends.kinds import prepare
from k8s101.cluster.values.settings import ROOT, cache_dir
from tests.images.container import Image, run

BASE = "docker.io/library/debian:12"
IMAGE = "localhost/kubernetes-101"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
"""The machine's certificates, which may have one more than Debian's."""

LOCAL_CERTIFICATE = "/usr/local/share/ca-certificates/machine.crt"
"""Where Debian's package of certificates looks for more of them when it is installed."""

BUILD_SECONDS, USE_SECONDS, BASE_SECONDS = 1500, 600, 600
POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'
COURSE = "/opt/kubernetes-101"
USE = f"cd {COURSE} && python -m k8s101.notebook papermill 00 && k8s101 status; end=$?; "
USE += 'cat "$K8S101_STATE/settings.json"; id -u; k8s101 down; exit $end'


def changing(directory: str, names: list[str]) -> set[str]:
    """Return what changes in a cache while it is used: locks, builds that go on, what Helm and kubectl keep."""
    kept = {"helm", "kubectl"} if Path(directory) == cache_dir() else set()
    return {name for name in names if name.startswith(".") or name in kept}


def linked(source: str, target: str) -> None:
    """Give a file a second name, or on another file system a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@contextmanager
def overlaid(lower: Path, directory: Path) -> Iterator[Path]:
    """Give a directory of which nothing changes whatever is written to the one that is yielded.

    Args:
        lower: what is to be seen.
        directory: where what is written goes; it is made.
    """
    parts = {name: directory / name for name in ("seen", "upper", "work")}
    for part in parts.values():
        part.mkdir(parents=True)
    layers = f"lowerdir={lower},upperdir={parts['upper']},workdir={parts['work']},metacopy=on"
    subprocess.run(("mount", "-t", "overlay", "overlay", "-o", layers, parts["seen"]), check=True)
    try:
        yield parts["seen"]
    finally:
        subprocess.run(("umount", "--lazy", parts["seen"]), check=True)


class Builder:
    """Buildah with images and containers of its own.

    Args:
        directory: where they are kept.
        cache: the programs that the image shall have.
    """

    def __init__(self, directory: Path, cache: Path) -> None:
        self.directory = directory
        self.cache = cache
        (directory / "policy.json").write_text(POLICY)
        (directory / "registries.conf").touch()
        (directory / "pip.conf").write_text(f"[global]\ncert = {BUNDLE}\n")

    def run(self, verb: str, *arguments: str | Path, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a verb of buildah."""
        store = ("--root", self.directory / "store", "--runroot", self.directory / "run", "--storage-driver=vfs")
        environment = os.environ | {"CONTAINERS_REGISTRIES_CONF": str(self.directory / "registries.conf")}
        trusted = (f"--signature-policy={self.directory}/policy.json",) if verb in ("build", "pull", "commit") else ()
        command = ("buildah", *store, verb, *trusted, *arguments)
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment, check=False)

    def build(self, image: str, file: Path, context: Path, *options: str, seconds: float) -> str:
        """Build an image and return what was printed."""
        # buildah's --env is for the image that is made, not for the steps that make it
        certificates = (
            f"--volume={BUNDLE}:{LOCAL_CERTIFICATE}:ro",
            f"--volume={self.directory}/pip.conf:/etc/pip.conf:ro",
        )
        around = ("--isolation=chroot", "--network=host", f"--volume={self.cache}:/opt/k8s101-cache:rw", *certificates)
        more = ("--layers=false", f"--tag={image}", f"--file={file}")
        done = self.run("build", *around, *more, *options, context, seconds=seconds)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        return done.stdout + done.stderr

    def make_base(self) -> None:
        """Pull the base image, or make it of Debian's packages where no registry can be reached."""
        if self.run("pull", BASE).returncode == 0:
            return
        if not shutil.which("debootstrap"):
            pytest.skip(f"{BASE} cannot be pulled, and debootstrap, which would make it, is not installed")
        tree = self.directory / "debian"
        make = ("debootstrap", "--variant=minbase", "bookworm", tree)
        subprocess.run(make, check=True, timeout=BASE_SECONDS, capture_output=True)
        (self.directory / "base").write_text("FROM scratch\nCOPY . /\nCMD bash\n")
        done = self.run("build", f"--tag={BASE}", f"--file={self.directory}/base", tree, seconds=BASE_SECONDS)
        assert done.returncode == 0, done.stderr
        shutil.rmtree(tree)

    def opened(self, image: str) -> Image:
        """Return an image with its files laid open."""
        made = self.run("from", "--pull-never", image, seconds=BASE_SECONDS)
        assert made.returncode == 0, made.stderr
        files = self.run("mount", made.stdout.strip()).stdout.strip()
        settings = json.loads(self.run("inspect", "--type=image", image).stdout)["OCIv1"]["config"]
        return Image(Path(files), settings)


@pytest.fixture(scope="module")
def builder() -> Iterator[Builder]:
    """A builder that has the image; its cache is a copy of this user's, as far as something is written to it."""
    if os.getuid() != 0:
        pytest.skip("only root can build an image in chroots")
    if not shutil.which("buildah"):
        pytest.skip("buildah is not installed: apt-get install buildah debootstrap")
    for kind in ("nodes", "guest"):
        prepare(kind, print)
    directory = Path(tempfile.mkdtemp(prefix="k8s101-"))
    try:
        names = directory / "names"
        # other tests may build programs meanwhile, of which an overlay would show half
        shutil.copytree(cache_dir(), names, symlinks=True, copy_function=linked, ignore=changing)
        with overlaid(names, directory / "programs") as cache:
            subprocess.run(("chown", "--recursive", "1000:0", cache), check=True)
            made = Builder(directory, cache)
            made.make_base()
            made.build(IMAGE, ROOT / "Dockerfile", ROOT, seconds=BUILD_SECONDS)
            yield made
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def image(builder: Builder) -> Image:
    """The image, whose files all containers share."""
    return builder.opened(IMAGE)


def used(builder: Builder, image: Image, name: str, *options: str, command: str = USE) -> str:
    """Run a command in a new container of the image, and return what was printed."""
    place = builder.directory / name
    bundle, state = place / "bundle", place / "state"
    for directory in (bundle, state):
        directory.mkdir(parents=True)
    volumes = {"/opt/k8s101-cache": builder.cache, "/var/lib/k8s101": state}
    with overlaid(image.files, place / "root") as files:
        return run(
            Image(files, image.settings),
            bundle,
            ("sh", "-c", command),
            options=options,
            volumes=volumes,
            variables={"K8S101_DOWNLOAD": "never"},
            seconds=USE_SECONDS,
        )


def test_a_lesson_runs_on_real_nodes_in_a_privileged_container(builder: Builder, image: Image) -> None:
    said = used(builder, image, "nodes", "--privileged")
    assert '"backend": "nodes"' in said, said[-4000:]
    assert "where:" not in said


def test_a_lesson_runs_on_a_guest_in_any_other_container_which_says_why(builder: Builder, image: Image) -> None:
    said = used(builder, image, "guest")
    assert said.startswith("this root lacks CAP_SYS_ADMIN and CAP_NET_ADMIN\n"), said[-4000:]
    assert "next:  start the container with --privileged" in said
    assert '"backend": "guest"' in said, said[-4000:]
    assert "\n1000\n" in said


def test_capabilities_alone_are_not_enough_for_real_nodes(builder: Builder, image: Image) -> None:
    added = ("--cap-add=SYS_ADMIN", "--cap-add=NET_ADMIN")
    said = used(builder, image, "capabilities", *added, command="id -u")
    assert said.startswith("the cgroup tree cannot be written\n  where: /sys/fs/cgroup"), said
    assert said.endswith("\n1000\n")
