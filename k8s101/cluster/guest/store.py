"""The disks of guests: one with the workshop's images, unpacked once, and an empty one for each cluster.

Only a guest may unpack images; all others see that disk read-only.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from k8s101.cluster.guest import uml
from k8s101.cluster.images import stores
from k8s101.cluster.images.layers import SANDBOX_IMAGE
from k8s101.cluster.programs.cache import explained, locked, make_dir, scratch
from k8s101.cluster.values.progress import Progress, Report, quiet
from k8s101.cluster.values.settings import cache_dir
from k8s101.errors import Problem

SIZE = 8 * 2**30
"""What nodes may write, in bytes; the file only takes what they did write."""

MEMORY_MIB = 512
SECONDS = 300
DONE = "the image store is complete"


def make_disk(path: Path) -> None:
    """Make an empty ext4 file system in a sparse file.

    Raises:
        Problem: mkfs.ext4 is missing or failed.
    """
    program = shutil.which("mkfs.ext4", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        raise Problem("mkfs.ext4 is missing", where="/usr/sbin", then="apt-get install e2fsprogs")
    draft = path.with_suffix(".new")
    with draft.open("wb") as file:
        file.truncate(SIZE)
    options = ("-q", "-F", "-m", "0", "-J", "size=16", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard")
    result = subprocess.run((program, *options, str(draft)), capture_output=True, text=True)
    if result.returncode:
        raise Problem("the guest's disk could not be made", where=f"{path}: {result.stderr.strip()}", then="df -h")
    draft.rename(path)


def ensure_store(kernel: Path, archive: Path, tools: dict[str, Path], report: Report = quiet) -> Path:
    """Return the disk with the images of an archive, after filling it in a guest on first use.

    Args:
        kernel: the guest's kernel.
        archive: the archive of images, named after its contents.
        tools: the path of each program.
        report: called with what is being done.

    Raises:
        Problem: the guest did not start or did not take the images.
    """
    recipe = (archive.name, tools["containerd"].parent.name, SANDBOX_IMAGE)
    sources = b"".join(Path(module).read_bytes() for module in (__file__, stores.__file__))
    name = hashlib.sha256(repr(recipe).encode() + sources).hexdigest()[:16]
    target = cache_dir() / "image-store" / f"{name}.img"
    if target.is_file():
        return target
    make_dir(target.parent)
    now = Progress("images", "", 0, 0, "unpacking the images for the guest")
    with explained(), locked(target.parent / ".disk.lock", lambda: report(now)):
        if not target.is_file():
            report(now)
            with scratch(target.parent, "disk") as place:
                make_disk(place / "disk.img")
                _fill(place, kernel, archive, tools)
                (place / "disk.img").rename(target)
    return target


def _fill(place: Path, kernel: Path, archive: Path, tools: dict[str, Path]) -> None:
    what = (str(archive), str(tools["containerd"]), str(tools["ctr"]))
    init = (sys.executable, "-m", "k8s101.cluster.guest.init", "store", *what)
    result = subprocess.run(
        uml.command(kernel, init, memory_mib=MEMORY_MIB, disks=["disk.img"]),
        cwd=place,
        env=uml.ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
    )
    said = result.stdout.decode(errors="replace")
    if DONE not in said:
        last = "\n".join(said.partition("Kernel panic")[0].splitlines()[-12:])
        raise Problem("the images could not be unpacked in a guest", where=last, then="k8s101 doctor")
