"""The programs that this machine's cache holds tell the version that they are pinned to."""

from __future__ import annotations

import subprocess

import pytest

from k8s101.cluster.binaries import bin_dir, tells
from k8s101.cluster.toolchain import COMPONENTS, Component, Tool

RELEASED = [(component, tool) for component in COMPONENTS for tool in component.tools if tool.released]


@pytest.mark.parametrize(("component", "tool"), RELEASED, ids=[tool.name for _, tool in RELEASED])
def test_a_program_tells_its_pinned_version(component: Component, tool: Tool) -> None:
    path = bin_dir(component) / tool.name
    if not path.exists():
        pytest.skip(f"not made yet: run python -m k8s101.cluster.binaries {tool.name}")
    answer = subprocess.run([path, *tool.asks], capture_output=True, text=True, check=True)
    assert tells(answer.stdout + answer.stderr, component.version), answer.stdout + answer.stderr


def test_runc_can_filter_system_calls() -> None:
    runc = next(component for component in COMPONENTS if component.name == "runc")
    path = bin_dir(runc) / "runc"
    if not path.exists():
        pytest.skip("not made yet: run python -m k8s101.cluster.binaries runc")
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    assert "libseccomp" in answer.stdout
