"""The image that Dockerfile describes, really built and used: with real nodes, and with a guest as an ordinary user.

Built by buildah as root in chroots, so that it works on a machine that is a container itself; what `docker run` adds
to that, namespaces and a seccomp filter of its own, is not tried here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s101.cluster.backends.kinds import prepare
from k8s101.cluster.values.settings import ROOT, cache_dir

BASE = "docker.io/library/debian:12"
IMAGE = "localhost/kubernetes-101"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
"""The machine's certificates, which may have one more than Debian's."""

LOCAL_CERTIFICATE = "/usr/local/share/ca-certificates/machine.crt"
"""Where Debian's package of certificates looks for more of them when it is installed."""

BUILD_SECONDS, USE_SECONDS, BASE_SECONDS = 1500, 600, 600
POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'
PRIVILEGED = ("--cap-add=CAP_SYS_ADMIN", "--cap-add=CAP_NET_ADMIN", "--security-opt=seccomp=unconfined")
"""What `docker run --privileged` gives, as far as real nodes need it."""

USE = """FROM {image}
ENV K8S101_DOWNLOAD=never
USER {user}
RUN scripts/container sh -c 'cd {course} && python -m k8s101.notebook papermill 00 && k8s101 status; end=$?; \
  cat "$K8S101_STATE/settings.json"; k8s101 down; exit $end'
"""


class Builder:
    """Buildah with images and containers of its own.

    Args:
        directory: where they are kept.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cache = directory / "cache"
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
    made = Builder(directory)
    for name in ("cache", "upper", "work"):
        (directory / name).mkdir()
    layers = f"lowerdir={cache_dir()},upperdir={directory}/upper,workdir={directory}/work,metacopy=on"
    subprocess.run(("mount", "-t", "overlay", "overlay", "-o", layers, made.cache), check=True)
    try:
        # what Helm keeps may change below while it is shown
        shutil.rmtree(made.cache / "helm", ignore_errors=True)
        subprocess.run(("chown", "--recursive", "1000:0", made.cache), check=True)
        made.make_base()
        made.build(IMAGE, ROOT / "Dockerfile", ROOT, seconds=BUILD_SECONDS)
        yield made
    finally:
        subprocess.run(("umount", "--lazy", made.cache), check=True)
        shutil.rmtree(directory)


@pytest.mark.parametrize(("kind", "user", "options"), [("nodes", "0:0", PRIVILEGED), ("guest", "1000:0", ())])
def test_a_lesson_runs_in_the_image(builder: Builder, kind: str, user: str, options: tuple[str, ...]) -> None:
    file = builder.directory / kind
    file.write_text(USE.format(image=IMAGE, user=user, course="/opt/kubernetes-101"))
    said = builder.build(f"{IMAGE}-{kind}", file, builder.directory / "work", *options, seconds=USE_SECONDS)
    assert f'"backend": "{kind}"' in said, said[-4000:]
