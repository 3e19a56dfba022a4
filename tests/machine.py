"""A second machine, as far as a cluster can tell: own network, own cgroups, own state directory and home.

So tests can bring clusters up and down, break them and change the network around them beside a cluster that
is in use, and can see what a command left behind.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from k8s101.cluster.backends import nodes
from k8s101.cluster.images import building
from k8s101.cluster.linux import cgroups
from k8s101.cluster.node import router
from k8s101.cluster.programs import binaries
from k8s101.cluster.values.settings import cache_dir
from tests.waiting import eventually

Result = subprocess.CompletedProcess[str]

UP_SECONDS = 240
KEPT = "keepsake"
"""An object that every cluster of a test gets."""

ran: list[tuple[Result, float]] = []
"""Every command that ran on a machine, and how many seconds it took."""

told: list[tuple[str, float]] = []
"""Every problem that was told as it should be, and after how many seconds."""

OPEN: list[Machine] = []
LOST: list[int] = []
LEFT: list[str] = []
"""How many objects each machine's cluster lost, and what they left behind."""

_NUMBERS = itertools.count(1)

# Every process of a machine passes here: into the cgroups, then, on version 2, to where their root is.
_ENTER = """
for file in $CGROUP_FILES; do echo $$ > "$file" || exit 125; done
unset CGROUP_FILES
[ -e /sys/fs/cgroup/cgroup.controllers ] || exec "$@"
again='umount -l /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec "$@"'
exec unshare --cgroup --mount sh -c "$again" sh "$@"
"""


class Machine:
    """Runs commands in a network namespace and cgroups of its own.

    Args:
        directory: an empty directory for its state, home and temporary files.
        state: the state directory of its cluster, when it is not `state` in that directory.
    """

    def __init__(self, directory: Path, state: Path | None = None) -> None:
        self.name = f"k8s101-test-{os.getpid()}-{next(_NUMBERS)}"
        self.directory = directory
        self.state = state or directory / "state"
        self.home, self.temporary = directory / "home", directory / "tmp"
        self._groups = [Path(cgroups.MOUNT, tree, path.lstrip("/"), self.name) for tree, path in _own_cgroups()]
        self._kept = False
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "K8S101_CACHE": str(cache_dir()),
            "K8S101_STATE": str(self.state),
        }

    def open(self) -> None:
        """Make its namespace, cgroups and directories."""
        self.home.mkdir()
        self.temporary.mkdir()
        for group in self._groups:
            group.mkdir()
            for name in ("cpuset.cpus", "cpuset.mems") if group.parts[4] == "cpuset" else ():
                (group / name).write_text((group.parent / name).read_text())
        if cgroups.is_v2():
            for controller in (self._groups[0].parent / "cgroup.controllers").read_text().split():
                (self._groups[0].parent / "cgroup.subtree_control").write_text(f"+{controller}")
        subprocess.run(("ip", "netns", "add", self.name), check=True)
        self.run("ip", "link", "set", "lo", "up")

    def close(self) -> None:
        """Take its cluster down, end what still runs and remove it."""
        OPEN.remove(self)
        try:
            self.k8s101("down")
        finally:
            self.kill_all()
            subprocess.run(("ip", "netns", "delete", self.name), check=True)
            for group in self._groups:
                for path, _, _ in os.walk(group, topdown=False):
                    Path(path).rmdir()

    def _killed(self) -> bool:
        for pid in self.processes():
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()
        return not self.processes()

    def start(self, *command: str | Path, **options: object) -> subprocess.Popen[str]:
        """Start a command and return it running.

        Args:
            command: the program and its arguments.
            options: of `subprocess.Popen`; what is in `env` is added to the machine's environment.
        """
        changes: dict[str, str] = options.pop("env", {})  # type: ignore[assignment]
        files = " ".join(str(group / "cgroup.procs") for group in self._groups)
        environment = self.environment | changes | {"CGROUP_FILES": files}
        enter = ("nsenter", f"--net=/run/netns/{self.name}", "--", "sh", "-c", _ENTER, "sh")
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.Popen((*enter, *map(str, command)), env=environment, text=True, **pipes | options)

    def run(self, *command: str | Path, timeout: float = 60, **options: object) -> Result:
        """Run a command to its end, at most for `timeout` seconds."""
        began = time.monotonic()
        with self.start(*command, **options) as process:
            try:
                output, errors = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
        ran.append((subprocess.CompletedProcess(command, process.returncode, output, errors), time.monotonic() - began))
        return ran[-1][0]

    def k8s101(self, *arguments: str, timeout: float = UP_SECONDS, **options: object) -> Result:
        """Run the `k8s101` command; a cluster of ours that it has started gets an object that must not be lost."""
        result = self.run(*K8S101, *arguments, timeout=timeout, **options)
        if arguments[0] in ("down", "reset"):
            self._kept = False
        elif "--kubeconfig" in arguments:
            return result
        elif arguments[0] == "up" and not self._kept and (self.state / "kubeconfig").exists():
            self._kept = self.kubectl("create", "configmap", KEPT).returncode == 0
        return result

    def lost(self) -> int:
        """Return how many objects its cluster has lost; one that does not run loses none."""
        if not self._kept:
            return 0
        return int("NotFound" in self.kubectl("get", "configmap", KEPT, "--request-timeout=5s").stderr)

    def leftovers(self) -> list[str]:
        """Return what is left of a cluster that was taken down."""
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        links, rules = (json.loads(self.run("ip", "-json", what).stdout) for what in ("link", "rule"))
        routes = json.loads(self.run("ip", "-json", "route", "show", "type", "unreachable").stdout or "[]")
        return [
            *(f"process {pid}" for pid in self.processes()),
            *(f"cgroup {path}" for path in self.cgroups()),
            *(line for line in mounts if str(self.state) in line),
            *(f"link {link['ifname']}" for link in links if link["ifname"] == router.HOST_LINK),
            *(f"rule for {rule['dst']}" for rule in rules if rule["priority"] == router.FIRST_RULE),
            *(f"route {route['dst']}" for route in routes if route.get("metric") == router.LAST_RESORT),
            *(str(path) for path in (self.state, Path(f"{self.state}.lock")) if path.exists()),
        ]

    def start_k8s101(self, *arguments: str, **options: object) -> subprocess.Popen[str]:
        """Start the `k8s101` command in a process group of its own, as a terminal does."""
        return self.start(*K8S101, *arguments, process_group=0, **options)

    def up(self) -> Result:
        """Bring its cluster up and return what was printed."""
        result = self.k8s101("up", "--no-check")
        assert result.returncode == 0, result.stderr
        told.clear()
        return result

    def kubectl(self, *arguments: str) -> Result:
        """Run kubectl on its cluster."""
        program = binaries.ensure(["kubectl"])["kubectl"]
        cache = {"KUBECACHEDIR": str(self.directory / "kubectl")}
        return self.run(program, f"--kubeconfig={self.state / 'kubeconfig'}", *arguments, env=cache)

    def nodes_are_ready(self) -> bool:
        """Tell whether the three nodes of its cluster get ready soon."""
        result = self.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=30s")
        return result.stdout.count("condition met") == 3

    def kill_all(self) -> None:
        """Kill every process that runs in it."""
        eventually("the machine's processes ended", self._killed, 20)

    def processes(self) -> set[int]:
        """Return every process that runs in it."""
        found: set[int] = set()
        for path, _, _ in os.walk(self._groups[0]):
            found.update(map(int, Path(path, "cgroup.procs").read_text().split()))
        return {pid for pid in found if psutil.pid_exists(pid)}

    def cgroups(self) -> set[str]:
        """Return every cgroup below its own."""
        return {path for group in self._groups for path, _, _ in os.walk(group)} - set(map(str, self._groups))


K8S101 = (sys.executable, "-m", "k8s101.cli")


def _own_cgroups() -> list[tuple[str, str]]:
    # a test run that a machine runs must not nest
    return sorted(cgroups.own_paths().items())


@contextmanager
def machine(directory: Path, state: Path | None = None) -> Iterator[Machine]:
    """Make a machine, with all programs and images in the cache, and remove it at the end."""
    tools = binaries.ensure(nodes.TOOLS)
    assert all(path.is_file() for path in tools.values())
    building.ensure_images()
    made = Machine(directory, state)
    made.open()
    OPEN.append(made)
    try:
        yield made
    finally:
        made.close()


def assert_problem(result: Result, *words: str) -> None:
    """Check that a command ended with an error in three parts that has these words, and no traceback."""
    text = result.stdout + result.stderr
    assert result.returncode == 1, text
    assert "Traceback" not in text
    assert re.search(r"error: .+\n +where: .+\n +next: +\S", text, re.DOTALL), text
    for word in words:
        assert word in text, text
    found = re.search(r"error: (.+)", text)
    told.append((found[1] if found else "", next((took for known, took in reversed(ran) if known is result), 0.0)))
