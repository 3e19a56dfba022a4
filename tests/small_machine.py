"""A small machine for one user without any privilege, as a Binder session is.

uid from 1000, no capabilities, no way to get any, 2 GB, one CPU, no network but loopback, the environment
of a Pod in somebody's cluster, and a fresh home with a checkout of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from k8s101.cluster.linux import cgroups
from k8s101.cluster.programs.binaries import ensure
from k8s101.cluster.values.settings import ROOT, cache_dir
from tests.waiting import eventually

UID = 12345
MEMORY = 2 * 2**30
NOT_COPIED = shutil.ignore_patterns(".venv", ".git", "work", "artifacts", "__pycache__", ".*_cache", "*.egg-info")
COMMAND_SECONDS = 300
OUTSIDE_ADDRESS = "198.51.100.2"
AN_OUTSIDE = (
    "link add outside type veth peer name beyond",
    "link set outside addrgenmode none",
    "link set beyond addrgenmode none up",
    "link set outside up",
    f"addr add {OUTSIDE_ADDRESS}/24 dev outside",
    "neigh add 198.51.100.1 lladdr 02:00:00:00:00:01 dev outside",
    "route add default via 198.51.100.1",
)
"""A way out of the machine that leads nowhere and counts what is sent."""


class SmallMachine:
    """The machine; a context manager that leaves nothing behind.

    Args:
        network: commands of iproute2 for more than loopback.
        uids: users who live there; each has a home, the first one owns the checkout.
    """

    def __init__(self, *, network: Sequence[str] = (), uids: Sequence[int] = (UID,)) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="k8s101-user-"))
        self.uids = uids
        self.checkout = self.directory / "checkout"
        self._network = network
        self._group = memory_group(self.directory.name)

    def __enter__(self) -> SmallMachine:
        self._furnish()
        venv = ROOT / ".venv"
        caches = {str(self.home(uid) / ".cache/k8s101"): str(cache_dir()) for uid in self.uids}
        outside = {path: path for path in {sys.base_prefix, str(venv)} if not Path(path).is_relative_to(ROOT)}
        places = {str(ROOT): str(self.checkout)} | {str(venv): str(venv)} | outside | caches
        plan = {
            "places": places,
            "read_only": [target for target in places if target != str(ROOT)],
            "stage": str(self.directory / "stage"),
            "network": list(self._network),
        }
        boot = [sys.executable, str(Path(__file__).with_name("small_machine_boot.py")), json.dumps(plan)]
        command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", *boot]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=self._enter_cgroup)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            self.__exit__()
            raise RuntimeError("the machine did not start; what it said stands above")
        (self._first,) = map(
            int, Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        eventually("the memory group is empty", self._removed)
        shutil.rmtree(self.directory)

    def home(self, uid: int = UID) -> Path:
        """Return a user's home."""
        return self.directory / f"home-{uid}"

    def _furnish(self) -> None:
        self.directory.chmod(0o755)
        (self.directory / "stage").mkdir()
        shutil.copytree(ROOT, self.checkout, ignore=NOT_COPIED, symlinks=True)
        (self.checkout / ".venv").mkdir()
        _give(self.checkout, self.uids[0])
        for uid in self.uids:
            (self.home(uid) / ".cache/k8s101").mkdir(parents=True)
            (self.home(uid) / "tmp").mkdir()
            _give(self.home(uid), uid)

    def _enter_cgroup(self) -> None:
        if self._group:
            (self._group / "cgroup.procs").write_text(str(os.getpid()))

    def _removed(self) -> bool:
        if self._group and self._group.is_dir():
            self._group.rmdir()
        return True

    def memory_peak(self) -> float:
        """Return the most memory that the user's processes took together, page cache included, in MB."""
        if self._group is None:
            return 0
        name = "memory.peak" if cgroups.is_v2() else "memory.max_usage_in_bytes"
        return int((self._group / name).read_text()) / 1e6

    def times_out_of_memory(self) -> int:
        """Return how often the kernel killed for want of memory."""
        if self._group is None:
            return 0
        name = "memory.events" if cgroups.is_v2() else "memory.oom_control"
        lines = dict(line.split() for line in (self._group / name).read_text().splitlines())
        return int(lines["oom_kill"])

    def run(self, *command: str, uid: int = UID, timeout_s: float = COMMAND_SECONDS, **variables: str) -> Finished:
        """Run a command as a user, in the checkout, and return what came of it.

        Args:
            command: the program and its arguments.
            uid: who runs it.
            timeout_s: deadline, in seconds.
            variables: more of the environment.
        """
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home(uid)),
            "TMPDIR": str(self.home(uid) / "tmp"),
            "LANG": "C.UTF-8",
            "K8S101_DOWNLOAD": "never",
            # every program in a Pod sees these; they lead to somebody else's cluster
            "KUBERNETES_SERVICE_HOST": "192.0.2.1",
            "KUBERNETES_SERVICE_PORT": "443",
        } | variables
        wrapped = [
            *("nsenter", f"--target={self._first}", "--net", "--mount", "--pid", "--"),
            *("taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))),
            *("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"),
            *("--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--"),
            *("env", "--ignore-environment", f"--chdir={ROOT}"),
            *(f"{name}={value}" for name, value in environment.items()),
            *command,
        ]
        return Finished(
            subprocess.run(
                wrapped, capture_output=True, text=True, timeout=timeout_s, preexec_fn=self._enter_cgroup, check=False
            )
        )

    def python(self, *arguments: str, **options: object) -> Finished:
        """Run Python as a user."""
        return self.run(str(ROOT / ".venv/bin/python"), *arguments, **options)  # type: ignore[arg-type]

    def k8s101(self, *arguments: str, **options: object) -> Finished:
        """Run the workshop's command as a user."""
        return self.python("-m", "k8s101.cli", *arguments, **options)

    def program(self, name: str, uid: int = UID) -> str:
        """Return the path at which a user finds one of the pinned programs."""
        path = ensure([name])[name]
        if path.is_relative_to(cache_dir()):
            path = self.home(uid) / ".cache/k8s101" / path.relative_to(cache_dir())
        return str(path)

    def kubectl(self, *arguments: str, uid: int = UID) -> Finished:
        """Run kubectl as a user on the user's own cluster."""
        kubeconfig = self.state(uid) / "kubeconfig"
        return self.run(self.program("kubectl", uid), f"--kubeconfig={kubeconfig}", *arguments, uid=uid)

    def state(self, uid: int = UID) -> Path:
        """Return the directory of a user's cluster."""
        return self.home(uid) / ".local/state/k8s101"

    def processes(self, uid: int = UID) -> list[str]:
        """Return the command lines of a user's threads that run."""
        lines = (
            self.root("ps", "-L", "-U", str(uid), "-o", "stat=,args=").splitlines() if self._has_processes(uid) else []
        )
        return [line for line in lines if not line.startswith("Z")]

    def _has_processes(self, uid: int) -> bool:
        # ps fails when it finds none
        return str(uid) in self.root("ps", "-e", "-o", "uid=").split()

    def root(self, *command: str) -> str:
        """Run a command as root inside the machine, to look at it."""
        return subprocess.run(self.as_root(*command), capture_output=True, text=True, check=True).stdout

    def as_root(self, *command: str) -> list[str]:
        """Return a command so wrapped that root runs it inside the machine."""
        return ["nsenter", f"--target={self._first}", "--net", "--mount", "--pid", "--", *command]


def memory_group(name: str) -> Path | None:
    """Make a control group with the memory limit, None where this machine lets nobody make one."""
    tree = "" if cgroups.is_v2() else "memory"
    parent = cgroups.MOUNT / tree / ("" if cgroups.is_v2() else cgroups.own_paths()[tree].lstrip("/"))
    if cgroups.is_v2() and "memory" not in (parent / "cgroup.subtree_control").read_text().split():
        print("memory is not limited: /sys/fs/cgroup hands no memory controller on")
        return None
    group = parent / name
    group.mkdir()
    (group / ("memory.max" if cgroups.is_v2() else "memory.limit_in_bytes")).write_text(str(MEMORY))
    return group


class Finished:
    """What came of a command."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    def good(self) -> Finished:
        """Return this, if the command succeeded."""
        assert self.status == 0, f"exit code {self.status}\n{self.out}\n{self.err}"
        return self

    def __str__(self) -> str:
        return self.out + self.err


def _give(directory: Path, uid: int) -> None:
    for path in (directory, *directory.rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)
