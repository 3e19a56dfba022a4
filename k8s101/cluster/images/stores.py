"""Give a new node its container images in milliseconds: a container runtime's store, prepared once, then linked.

Importing the workshop's images takes containerd about a second of processor time per node. So one containerd
imports them once into a template in the cache. A node gets copies of the template's two small databases and
symbolic links to its blobs and unpacked layers, which it sees read-only: containerd reads blobs by path, and
the kernel follows links in the `lowerdir` of an overlay mount (`layers` says what does not). The nodes
also share the memory of these files.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from k8s101.cluster.images.layers import BLOBS, IMAGES, LAYERS
from k8s101.cluster.programs.cache import explained, locked, make_dir, scratch
from k8s101.cluster.values.deadline import until
from k8s101.cluster.values.progress import Progress, Report, quiet
from k8s101.cluster.values.settings import cache_dir
from k8s101.errors import Problem

SECONDS = 60
"""How long containerd may take to start or to import."""

Ask = Callable[..., subprocess.CompletedProcess[str]]

# The plugins of the container runtime interface stay: they label the images that the kubelet may use.
_CONFIG = """\
version = 3
root = "{root}"
state = "{place}/state"
disabled_plugins = ["io.containerd.nri.v1.nri"]

[grpc]
  address = "{place}/socket"

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{sandbox}"

[plugins."io.containerd.cri.v1.runtime".cni]
  conf_dir = "{place}/cni"
"""


def ensure_template(
    archive: Path, *, containerd: Path, ctr: Path, sandbox: str, place: Path | None = None, report: Report = quiet
) -> Path:
    """Return the template made of an image archive, after making it on first use; this needs root.

    Args:
        archive: the archive of images, named after its contents.
        containerd: the container runtime that the nodes run.
        ctr: its command-line client.
        sandbox: full name of the image that holds the namespaces of Pods.
        place: the directory of templates, on a file system that can carry those of containers; that of the cache if
            left out.
        report: called with what is being done.

    Raises:
        Problem: containerd did not start or did not take the images.
    """
    recipe = repr((archive.name, containerd.parent.name, sandbox)).encode() + Path(__file__).read_bytes()
    target = make_dir(place or cache_dir() / "image-store") / hashlib.sha256(recipe).hexdigest()[:16]
    now = Progress("images", "", 0, 0, "unpacking the images for the nodes")
    with explained(), locked(target.parent / ".lock", lambda: report(now)):
        if not target.is_dir():
            report(now)
            with scratch(target.parent, "store") as draft:
                _fill(draft / "root", archive, containerd, ctr, sandbox)
                _keep_what_is_shared(draft / "root")
                (draft / "root").rename(target)
    return target


def _keep_what_is_shared(root: Path) -> None:
    """Remove what belongs to the one containerd that made the store, such as its identity."""
    shared = {Path(name).parts[0] for name in (BLOBS, IMAGES, LAYERS)}
    for path in root.iterdir():
        if path.name not in shared:
            shutil.rmtree(path)


def _fill(root: Path, archive: Path, containerd: Path, ctr: Path, sandbox: str) -> None:
    # a path of the cache may be longer than the address of a socket can be
    with tempfile.TemporaryDirectory(prefix="k8s101-") as name:
        place = Path(name)
        (place / "config.toml").write_text(_CONFIG.format(root=root, place=place, sandbox=sandbox))

        def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = [str(ctr), "--address", str(place / "socket"), "--namespace", "k8s.io", *arguments]
            return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)

        with _running(place, containerd, ask):
            answer = ask("images", "import", "--local", str(archive))
            if answer.returncode != 0:
                raise _trouble(f"containerd refused the images: {answer.stderr.strip()}", place)
        # images that come in while it starts may escape the runtime interface: it registers all at the next start
        with _running(place, containerd, ask) as process:
            _wait(lambda: _known(ask, sandbox), process, place, "the images were not registered for the kubelet")


def _known(ask: Ask, sandbox: str) -> bool:
    """Tell whether each image is labelled and is there under its name and under its identifier."""

    def listed(*filters: str) -> list[str]:
        return ask("images", "list", "--quiet", *filters).stdout.split()

    managed = listed('labels."io.cri-containerd.image"==managed')
    names = [name for name in managed if not name.startswith("sha256:")]
    everything = [name for name in listed() if not name.startswith("sha256:")]
    pinned = listed('labels."io.cri-containerd.pinned"==pinned')
    return len(managed) == 2 * len(names) > 0 and sorted(names) == sorted(everything) and sandbox in pinned


@contextmanager
def _running(place: Path, containerd: Path, ask: Ask) -> Iterator[subprocess.Popen[bytes]]:
    """Run containerd with mounts of its own; it ends with this process, whatever happens to it."""
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", str(containerd)]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--config", str(place / "config.toml")], stdout=log, stderr=log)
    try:
        _wait(lambda: ask("version").returncode == 0, process, place, "containerd did not start")
        yield process
    finally:
        process.terminate()
        process.wait(SECONDS)


def _wait(condition: Callable[[], bool], process: subprocess.Popen[bytes], place: Path, found: str) -> None:
    until(lambda: process.poll() is not None or condition(), SECONDS, every=0.02)
    if process.poll() is not None or not condition():
        raise _trouble(found, place)


def _trouble(found: str, place: Path) -> Problem:
    last = "\n".join((place / "log").read_text(errors="replace").splitlines()[-8:])
    return Problem(found, where=f"containerd's last messages:\n{last}", then="k8s101 doctor")
