"""What people have set for their own shells, Pythons and pips, and how they cut off output."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from k8s101.cluster.values.settings import ROOT

COMMANDS = [
    "--help",
    "--version",
    "status",
    "status --json",
    "doctor",
    "up --dry-run --backend simulated",
    "down",
    "progress",
    "images --help",
]

# where a program was started, and with which settings
WITNESS = '#!/bin/sh\n{ echo "place $(pwd)"; env; } >>"$WITNESS"\n'

NO_SAY = {
    "GREP_OPTIONS": "--color=always",
    "PYTHONHOME": "/nonexistent",
    "PYTHONPATH": "/nonexistent",
    "PYTHONWARNINGS": "error",
    "PIP_TARGET": "/nonexistent",
    "PIP_PREFIX": "/nonexistent",
    "PIP_CONSTRAINT": "/nonexistent",
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("with_errors", [False, True], ids=["stdout", "both"])
def test_every_command_ends_quietly_when_its_reader_has_gone(tmp_path: Path, command: str, with_errors: bool) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "k8s101.cli", *command.split()],
            stdout=writer,
            stderr=writer if with_errors else subprocess.PIPE,
            text=True,
            env=os.environ | {"K8S101_STATE": str(tmp_path / "state"), "K8S101_DOWNLOAD": "never"},
            timeout=60,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr or "") == (1, "")


def test_a_broken_connection_is_still_an_error(tmp_path: Path) -> None:
    code = (
        "import sys, click, k8s101.cli as cli\n"
        "@cli.main.command()\n"
        "def broken():\n    raise BrokenPipeError(32, 'Broken pipe')\n"
        "sys.argv = ['k8s101', 'broken']\ncli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr.startswith("error: Broken pipe\n")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a project of our scripts and of programs that only write down how they were started, and another beside."""
    for name in ("ours", "other"):
        place = tmp_path / name
        (place / "scripts").mkdir(parents=True)
        (place / "venv/bin").mkdir(parents=True)
        for program in ("python", "pip", "k8s101"):
            (place / "venv/bin" / program).write_text(WITNESS)
            (place / "venv/bin" / program).chmod(0o755)
    for script in ("setup", "lab"):
        shutil.copy(ROOT / "scripts" / script, tmp_path / "ours/scripts")
    shutil.copy(ROOT / "Makefile", tmp_path / "ours")
    shutil.copytree(ROOT / "k8s101/lesson/shell", tmp_path / "ours/k8s101/lesson/shell")
    (tmp_path / "ours/requirements.lock").touch()
    (tmp_path / "ours/pyproject.toml").touch()
    return tmp_path / "ours"


@pytest.mark.parametrize(
    "command",
    [
        ["scripts/setup", "python3", "venv"],
        ["scripts/lab", "venv/bin"],
        ["bash", "scripts/setup", "python3", "venv"],
        ["bash", "scripts/lab", "venv/bin"],
        ["make", "--silent", "setup", "VENV=venv", "PYTHON=python3"],
        ["make", "--silent", "lab", "VENV=venv", "PYTHON=python3"],
    ],
    ids=" ".join,
)
def test_scripts_heed_nobodys_habits(project: Path, command: list[str]) -> None:
    """Of what a user has set only that reaches a script's programs which is meant for them."""
    witness, harm = project.parent / "witness", project.parent / "harm"
    harm.write_text("cd /\n")
    habits = NO_SAY | {
        "CDPATH": str(project.parent / "other"),
        "PIP_USER": "yes",
        "PIP_INDEX_URL": "https://pypi.example",
    }
    if command[0] != "bash":  # bash itself has read it before it reads the script
        habits["BASH_ENV"] = str(harm)
    environment = {"PATH": os.environ["PATH"], "HOME": str(project.parent), "WITNESS": str(witness), **habits}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = witness.read_text().splitlines()
    assert {line for line in lines if line.startswith("place ")} == {f"place {project}"}
    assert "PIP_INDEX_URL=https://pypi.example" in lines
    names = {line.partition("=")[0] for line in lines}
    python = {name for name in NO_SAY if not name.startswith("PIP_")}
    pip = set(NO_SAY) - python if "lab" not in " ".join(command) else set()
    assert not names & (python | pip | {"BASH_ENV", "CDPATH"})
    if "setup" in " ".join(command):
        assert "PIP_USER=no" in lines


def test_a_pip_conf_leads_to_packages_but_not_elsewhere_with_them(project: Path) -> None:
    witness = project.parent / "witness"
    (project.parent / ".config/pip").mkdir(parents=True)
    (project.parent / ".config/pip/pip.conf").write_text(
        "[global]\nindex-url = https://pypi.example\nextra-index-url =\n  https://one.example\n  https://two.example\n"
        "user = yes\ntimeout = 5\n[install]\ntarget = /nonexistent\nconstraint = /nonexistent\ntimeout = 9\n"
    )
    pip = project / "venv/bin/pip"
    pip.write_text(
        f'#!/bin/sh\n[ "$1" != config ] || exec {sys.executable} -m pip "$@"\n{WITNESS.partition(chr(10))[2]}'
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(project.parent), "WITNESS": str(witness), "PIP_TIMEOUT": "7"}
    command = ["scripts/setup", "python3", "venv"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    seen = {line for line in witness.read_text().splitlines() if line.startswith("PIP_")}
    wanted = {
        "PIP_CONFIG_FILE=/dev/null",
        "PIP_EXTRA_INDEX_URL=https://one.example https://two.example",
        "PIP_INDEX_URL=https://pypi.example",
        "PIP_TIMEOUT=7",
        "PIP_USER=no",
    }
    # this machine's own file may say more
    assert wanted <= seen
    assert not {line.partition("=")[0] for line in seen} & {"PIP_TARGET", "PIP_CONSTRAINT"}
