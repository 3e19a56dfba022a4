"""Containers as `docker run` makes them, by runc: of an image's files and settings, confined as Docker confines them.

Docker's seccomp profile is not there, nor its bridge: a container's network has loopback only.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k8s101.cluster.linux.capabilities import has_capability
from k8s101.cluster.linux.cgroups import is_v2
from k8s101.cluster.programs.binaries import ensure

USUAL = (
    *("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP"),
    *("NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"),
)
"""Capabilities that Docker leaves to root without `--privileged` (profiles/caps in moby/moby)."""

OWN_DEVICES = ("/dev/console", "/dev/mqueue", "/dev/pts", "/dev/ptmx", "/dev/shm")
"""What each container has of its own."""

HOSTS = "127.0.0.1 localhost\n::1 localhost\n"
END_SECONDS = 60


@dataclass(frozen=True)
class Image:
    """An image that lies open.

    Args:
        files: the directory that becomes the root; what a container writes stays there.
        settings: `config` of the image specification: entry point, user, variables, working directory.
    """

    files: Path
    settings: Mapping[str, Any]


def run(
    image: Image,
    bundle: Path,
    command: Sequence[str],
    *,
    options: Sequence[str],
    volumes: Mapping[str, Path],
    variables: Mapping[str, str],
    seconds: float,
) -> str:
    """Run a command as `docker run IMAGE COMMAND` does, and return all that was printed.

    Args:
        image: what becomes a container.
        bundle: an empty directory for runc.
        command: what the image's entry point is given.
        options: Docker's: `--privileged`, `--cap-add=CAPABILITY`.
        volumes: directories and files of the machine, by where the container has them.
        variables: more of the environment.
        seconds: how long it may take.

    Raises:
        AssertionError: it failed.
    """
    runc = str(ensure(["runc"])["runc"])
    subprocess.run((runc, "spec"), cwd=bundle, check=True)
    spec = json.loads((bundle / "config.json").read_text())
    (bundle / "hosts").write_text(HOSTS)
    _describe(spec, image, command, {**volumes, "/etc/hosts": bundle / "hosts"}, variables)
    added = [f"CAP_{value}" for name, _, value in (option.partition("=") for option in options) if name == "--cap-add"]
    spec["process"]["capabilities"] = _in_all_sets([*(f"CAP_{name}" for name in USUAL), *added])
    if "--privileged" in options:
        _free(spec, json.loads(subprocess.run((runc, "features"), capture_output=True, check=True).stdout))
    (bundle / "config.json").write_text(json.dumps(spec))
    name = f"k8s101-image-{secrets.token_hex(3)}"
    start = (runc, "run", f"--bundle={bundle}", name)
    told = bundle / "told"
    try:
        with told.open("w") as output:
            done = subprocess.run(start, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=seconds)
    finally:
        # one that ended by itself is deleted already
        subprocess.run((runc, "delete", "--force", name), capture_output=True, timeout=END_SECONDS)
    assert done.returncode == 0, told.read_text()[-4000:]
    return told.read_text()


def _describe(
    spec: dict[str, Any],
    image: Image,
    command: Sequence[str],
    volumes: Mapping[str, Path],
    variables: Mapping[str, str],
) -> None:
    """Turn runc's example into this container, confined as Docker's usual ones are."""
    user, _, group = image.settings.get("User", "").partition(":")
    spec["process"] |= {
        "terminal": False,
        "user": {"uid": int(user or 0), "gid": int(group or 0)},
        "args": [*image.settings["Entrypoint"], *command],
        "env": [*image.settings["Env"], *(f"{name}={value}" for name, value in variables.items())],
        "cwd": image.settings["WorkingDir"],
        "noNewPrivileges": False,
    }
    # those of the machine, as with Docker
    del spec["process"]["rlimits"]
    spec["root"] = {"path": str(image.files), "readonly": False}
    spec["mounts"] += [
        {"destination": place, "type": "bind", "source": str(source), "options": ["rbind", "rw"]}
        for place, source in volumes.items()
    ]
    if is_v2():
        spec["linux"]["namespaces"].append({"type": "cgroup"})


def _free(spec: dict[str, Any], features: Mapping[str, Any]) -> None:
    """Take from a container what confines it: `--privileged`, as far as this machine has it itself."""
    # in the order of their numbers
    names = enumerate(features["linux"]["capabilities"])
    spec["process"]["capabilities"] = _in_all_sets([name for number, name in names if has_capability(number)])
    spec["linux"] |= {"maskedPaths": [], "readonlyPaths": [], "devices": list(_devices())}
    spec["linux"]["resources"]["devices"] = [{"allow": True, "access": "rwm"}]
    for mount in spec["mounts"]:
        if mount["type"] in ("sysfs", "cgroup"):
            mount["options"].remove("ro")


def _in_all_sets(capabilities: list[str]) -> dict[str, list[str]]:
    return dict.fromkeys(("bounding", "effective", "permitted"), capabilities)


def _devices() -> Iterator[dict[str, Any]]:
    for directory, _, names in os.walk("/dev"):
        for path in (f"{directory}/{name}" for name in names):
            status = os.lstat(path)
            kind = {stat.S_IFCHR: "c", stat.S_IFBLK: "b"}.get(stat.S_IFMT(status.st_mode))
            if kind and not path.startswith(OWN_DEVICES):
                number = {"major": os.major(status.st_rdev), "minor": os.minor(status.st_rdev)}
                owner = {"fileMode": stat.S_IMODE(status.st_mode), "uid": status.st_uid, "gid": status.st_gid}
                yield {"path": path, "type": kind, **number, **owner}
