"""Machines and users with narrow limits: a start takes what it may have, or names the command that raises it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.machine import K8S101, UP_SECONDS, Machine, Result, assert_problem

NARROW = {"--nofile=256": "open files", "--as=4294967296": "KiB of addresses"}
LESS = ("setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource", "--")


@pytest.mark.parametrize("limit", ["--nofile=256:4096", "--as=4294967296:unlimited"])
def test_a_soft_limit_of(machine: Machine, limit: str) -> None:
    result = machine.run("prlimit", limit, "--", *K8S101, "up", timeout=240)
    assert "self-check: 3 nodes Ready" in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize("limit", NARROW)
def test_a_root_that_may_not_raise_its_limit_of(machine: Machine, limit: str) -> None:
    for verb in ("up", "doctor"):
        result = machine.run("prlimit", limit, "--", *LESS, *K8S101, verb)
        assert NARROW[limit] in result.stdout + result.stderr
        assert "/etc/security/limits.conf" in result.stdout + result.stderr
    assert_problem(machine.run("prlimit", limit, "--", *LESS, *K8S101, "up"), NARROW[limit], "limits.conf")
    assert not machine.state.exists()


def test_a_user_with_few_processes(machine: Machine) -> None:
    person = ("setpriv", "--reuid=5101", "--regid=5101", "--clear-groups", "--bounding-set=-all", "--")
    machine.directory.chmod(0o755)
    own = machine.directory / "own"
    own.mkdir()
    os.chown(own, 5101, 5101)
    environment = {"K8S101_STATE": str(own / "state"), "HOME": str(own)}
    command = ("prlimit", "--nproc=64", "--", *person, *K8S101, "up", "--backend", "simulated")
    assert_problem(machine.run(*command, env=environment), "64 processes and threads", "hard nproc")


@contextmanager
def disk_without_exec(place: Path) -> Iterator[None]:
    place.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", "noexec,size=64m", "tmpfs", place), check=True)
    try:
        yield
    finally:
        subprocess.run(("umount", "--lazy", place), check=True)


@pytest.mark.parametrize("variable", ["K8S101_STATE", "K8S101_CACHE"])
def test_a_disk_without_exec_for(machine: Machine, variable: str) -> None:
    disk = machine.directory / "disk"
    with disk_without_exec(disk):
        environment = {variable: str(disk / "here")}
        assert_problem(machine.k8s101("up", env=environment), "mounted with noexec", f"remount,exec {disk}", variable)
        assert "mounted with noexec" in machine.k8s101("doctor", env=environment).stdout


def covered(machine: Machine, cover: str, *command: str) -> Result:
    """Run a command in a mount namespace of its own in which something was covered before."""
    shell = ("sh", "-c", f'set -e\n{cover}\nexec "$@"', "sh")
    return machine.run("unshare", "--mount", *shell, *command, timeout=UP_SECONDS)


def test_few_file_watches(machine: Machine) -> None:
    (machine.directory / "few").write_text("64\n")
    cover = f"mount --bind {machine.directory}/few /proc/sys/fs/inotify/max_user_watches"
    assert_problem(covered(machine, cover, *K8S101, "up"), "64 files may be watched", "sysctl -w fs.inotify")
    assert "64 files may be watched" in covered(machine, cover, *K8S101, "doctor").stdout


WITHOUT_MEMORY = """
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    echo cpuset cpu io pids > "$TMPDIR/controllers"
    mount --bind "$TMPDIR/controllers" /sys/fs/cgroup/cgroup.controllers
else
    mount --bind /sys/fs/cgroup "$TMPDIR"
    mount -t tmpfs tmpfs /sys/fs/cgroup
    for tree in "$TMPDIR"/*; do
        name=$(basename "$tree")
        case $name in memory) continue ;; esac
        mkdir /sys/fs/cgroup/$name
    done
fi
"""


def test_a_kernel_whose_memory_controller_is_off(machine: Machine) -> None:
    for verb in ("up", "doctor"):
        result = covered(machine, WITHOUT_MEMORY, *K8S101, verb)
        assert "cgroup controller memory is switched off" in result.stdout + result.stderr
    assert_problem(covered(machine, WITHOUT_MEMORY, *K8S101, "up"), "controller memory", "cgroup_enable=memory")
    assert not machine.state.exists()


READ_ONLY = """
for tree in /sys/fs/cgroup /sys/fs/cgroup/*; do
    mountpoint -q "$tree" && mount -o remount,bind,ro "$tree"
done
true
"""


def test_cgroups_that_cannot_be_written(machine: Machine) -> None:
    """As in a container with all capabilities and without `--privileged`."""
    assert_problem(covered(machine, READ_ONLY, *K8S101, "up"), "the cgroup tree cannot be written", "--privileged")
    assert "the cgroup tree cannot be written" in covered(machine, READ_ONLY, *K8S101, "doctor").stdout
    assert not machine.state.exists()


CHROOT = """
mkdir "$TMPDIR/root"
mount --rbind / "$TMPDIR/root"
set -- chroot "$TMPDIR/root" "$@"
"""


def test_a_root_directory_that_chroot_made(machine: Machine) -> None:
    """As in a step of a build that has no namespaces; the check asks the app from inside its container."""
    result = covered(machine, CHROOT, *K8S101, "up")
    assert "self-check: 3 nodes Ready" in result.stdout, result.stdout + result.stderr


def test_a_state_directory_that_is_a_containers_volume(machine: Machine) -> None:
    volume = machine.directory / "volume"
    (machine.directory / "disk").mkdir()
    volume.mkdir()
    subprocess.run(("mount", "--bind", machine.directory / "disk", volume), check=True)
    try:
        environment = {"K8S101_STATE": str(volume)}
        result = machine.k8s101("up", env=environment)
        assert "self-check: 3 nodes Ready" in result.stdout, result.stdout + result.stderr
        result = machine.k8s101("down", env=environment)
        assert result.returncode == 0, result.stderr
        assert not any(volume.iterdir())
    finally:
        subprocess.run(("umount", "--lazy", volume), check=True)


OWN_ONLY = """
if [ ! -e /sys/fs/cgroup/cgroup.controllers ]; then
    while IFS=: read -r _ name path; do
        place=/sys/fs/cgroup/${name#name=}
        if [ -n "$name" ] && [ -d "$place" ]; then mount --bind "$place$path" "$place"; fi
    done </proc/self/cgroup
fi
"""


def test_a_container_that_sees_its_own_cgroups_only(machine: Machine) -> None:
    """As Docker shows them on version 1, where `/proc/self/cgroup` has paths that are not there."""
    python, *words = K8S101
    both = f"{python} {' '.join(words)} up && {python} {' '.join(words)} down"
    result = covered(machine, OWN_ONLY, "sh", "-c", both)
    assert "self-check: 3 nodes Ready" in result.stdout, result.stdout + result.stderr
    assert result.returncode == 0, result.stderr
