"""The programs that this machine's cache holds tell the version that they are pinned to."""

from __future__ import annotations

import subprocess

import pytest

from k8s101.cluster.programs.binaries import bin_dir, tells
from k8s101.cluster.programs.projects import PROJECTS
from k8s101.cluster.programs.toolchain import Program, Project

RELEASED = [(project, tool) for project in PROJECTS for tool in project.tools if tool.released]


@pytest.mark.parametrize(("project", "tool"), RELEASED, ids=[tool.name for _, tool in RELEASED])
def test_a_program_tells_its_pinned_version(project: Project, tool: Program) -> None:
    path = bin_dir(project) / tool.name
    if not path.exists():
        pytest.skip(f"not made yet: run python -m k8s101.cluster.programs.binaries {tool.name}")
    answer = subprocess.run([path, *tool.asks], capture_output=True, text=True, check=True)
    assert tells(answer.stdout + answer.stderr, project.tag), answer.stdout + answer.stderr


def test_runc_can_filter_system_calls() -> None:
    runc = next(project for project in PROJECTS if project.name == "runc")
    path = bin_dir(runc) / "runc"
    if not path.exists():
        pytest.skip("not made yet: run python -m k8s101.cluster.programs.binaries runc")
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    assert "libseccomp" in answer.stdout
