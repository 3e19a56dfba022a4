"""Conda environment, Binder and lock file describe the same packages."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from k8s101.cluster.backends import guest, kinds, nodes
from k8s101.cluster.programs import kernel
from k8s101.cluster.values.settings import ROOT
from k8s101.errors import Problem

MISSION = ("jupyterlab", "kubernetes", "pyyaml", "ipywidgets", "nbval", "papermill")
LOCKED = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE | re.IGNORECASE)
ENVIRONMENTS = ("environment.yml", "binder/environment.yml")


def lock() -> dict[str, str]:
    """Return the version of each locked package."""
    return {name.lower(): version for name, version in LOCKED.findall((ROOT / "requirements.lock").read_text())}


def project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: dict[str, Any] = tomllib.load(file)["project"]
        return found


def name_of(requirement: str) -> str:
    """Return the package that a requirement of pip or conda names."""
    return re.split(r"[<>=!~ \[;]", requirement, maxsplit=1)[0].lower()


def requirements(environment: str) -> dict[str, str]:
    """Return the requirement of each package in a conda environment, those of its pip section too."""
    entries = yaml.safe_load((ROOT / environment).read_text())["dependencies"]
    pip = [line for entry in entries if isinstance(entry, dict) for line in entry["pip"]]
    return {name_of(line): line for line in [*(entry for entry in entries if isinstance(entry, str)), *pip]}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("package", MISSION)
def test_mission_packages_have_the_locked_version(environment: str, package: str) -> None:
    requirement = requirements(environment)[package]
    assert re.split("=+", requirement) == [package, lock()[package]]


@pytest.mark.parametrize("package", [name for name in map(name_of, project()["dependencies"]) if name not in MISSION])
def test_other_packages_have_the_bounds_of_the_project(package: str) -> None:
    wanted = next(line for line in project()["dependencies"] if name_of(line) == package)
    assert requirements("environment.yml")[package] == wanted


def test_kubernetes_is_not_condas() -> None:
    """conda-forge's package of this name holds servers, not the Python client."""
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert not [entry for entry in entries if isinstance(entry, str) and name_of(entry) == "kubernetes"]


def test_binder_has_the_same_environment() -> None:
    first, second = ((ROOT / path).read_text() for path in ENVIRONMENTS)
    assert first == second, "cp environment.yml binder/"


def test_binders_image_has_the_packages_that_builds_and_the_guest_need() -> None:
    wanted = {*guest.COMMANDS.values(), *" ".join(kernel.PACKAGES.values()).split()} - {"binutils"}  # gcc brings them
    wanted |= set(re.findall(r"\]=([\w.-]+)", (ROOT / "scripts/setup").read_text()))
    missing = wanted - set((ROOT / "binder/Dockerfile").read_text().split())
    assert not missing


def test_the_image_for_containers_is_binders_up_to_its_user() -> None:
    """What differs is who runs what in the end; what is installed where does not."""
    ours, binders = ((ROOT / path).read_text().partition("FROM ")[2] for path in ("Dockerfile", "binder/Dockerfile"))
    same = binders.partition("USER ${NB_UID}:0")[0]
    assert "COPY" in same and ours.startswith(same)


def test_nothing_of_an_image_lies_in_the_home_directory() -> None:
    text = (ROOT / "binder/Dockerfile").read_text()
    assert not re.search(r"^(COPY|WORKDIR|ENTRYPOINT).*(HOME|/home|\"binder/)", text, re.MULTILINE)
    assert 'ENTRYPOINT ["/opt/kubernetes-101/binder/start"]' in text
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert (ROOT / ".devcontainer" / container["build"]["dockerfile"]).is_file()


SCRIPTS = ["binder/postBuild", "binder/start", "scripts/container", "scripts/lab", "scripts/setup"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_can_run(script: str) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK)
    assert path.read_text().startswith(("#!/usr/bin/env bash\n", "#!/bin/bash -p\n"))
    assert "set -euo pipefail" in path.read_text()
    checked = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


LACK = Problem("this root lacks CAP_SYS_ADMIN", where="/proc/self/status", then="start the container with --privileged")


@pytest.mark.parametrize("lack", [LACK, None])
def test_what_real_nodes_lack_is_said_and_nothing_made(monkeypatch: pytest.MonkeyPatch, lack: Problem | None) -> None:
    def check() -> None:
        if lack:
            raise lack

    monkeypatch.setattr(nodes, "check", check)
    monkeypatch.setattr(nodes, "prepare", None)
    done = CliRunner().invoke(kinds.main, ["--check", "nodes"])
    assert (done.exit_code, done.output) == ((1, f"{lack}\n") if lack else (0, ""))


STANDINS = {
    ".venv/bin/python": '[ "$2 $3 $4 $5" = "-m k8s101.cluster.backends.kinds --check nodes" ]\n[ -z "$LACK" ] || '
    '{ echo "$LACK" >&2; exit 1; }',
    "binder/start": 'echo "$(id -u) ${K8S101_STATE:-none} $*"',
    "bin/id": "echo ${SEEN:-0}",
    "bin/setpriv": 'while [ "$1" != -- ]; do shift; done; shift; SEEN=1000 exec "$@"',
}
"""What scripts/container calls, so that anybody can try it: everybody is root here until it gives that up."""


@pytest.mark.parametrize(
    ("lack", "session"), [("", "0 /var/lib/k8s101 jupyter lab\n"), (str(LACK), "1000 none jupyter lab\n")]
)
def test_a_container_says_why_it_takes_no_real_nodes(tmp_path: Path, lack: str, session: str) -> None:
    for name, text in STANDINS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"#!/bin/sh\nset -e\n{text}\n")
        (tmp_path / name).chmod(0o755)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    variables = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "LACK": lack}
    command = (tmp_path / "scripts/container", "jupyter", "lab")
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stdout) == (0, session), done.stderr
    assert done.stderr.startswith(lack)
    assert ("are in a guest" in done.stderr) == bool(lack)


def test_every_locked_package_has_hashes() -> None:
    text = (ROOT / "requirements.lock").read_text()
    blocks = re.split(r"\n(?=[a-zA-Z0-9])", text)
    packages = [block for block in blocks if LOCKED.match(block)]
    assert len(packages) == len(lock()) > len(MISSION)
    assert [block.splitlines()[0] for block in packages if "--hash=sha256:" not in block] == []


def test_lock_names_no_address() -> None:
    assert (
        re.findall(r"\S*://\S+|--(?:extra-)?index-url.*|--find-links.*", (ROOT / "requirements.lock").read_text()) == []
    )


def test_every_dependency_is_locked() -> None:
    data = project()
    wanted = {name_of(line) for line in [*data["dependencies"], *data["optional-dependencies"]["dev"]]}
    assert sorted(wanted - set(lock())) == [], "make lock"
