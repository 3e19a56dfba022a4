"""Whether a user-mode kernel can run here, and what is said if not."""

from __future__ import annotations

from pathlib import Path

import pytest

from k8s101.cluster.guest import uml
from k8s101.errors import Problem


def a_kernel(directory: Path, does: str) -> Path:
    kernel = directory / "linux"
    kernel.write_text(f"#!/bin/sh\n{does}\n")
    kernel.chmod(0o755)
    return kernel


def test_a_kernel_that_starts_is_taken(tmp_path: Path) -> None:
    uml.check_starts(a_kernel(tmp_path, "echo started"))


@pytest.mark.parametrize(
    ("does", "found"),
    [
        ("exec sleep 60", "a user-mode kernel did not start within 1 s"),
        ("echo mapping: noexec", "a user-mode kernel cannot run here: its memory may not be executed"),
        ("echo no seccomp; exit 1", "a user-mode kernel cannot run here: it needs seccomp or ptrace"),
    ],
)
def test_the_first_start_tells_why_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, found: str) -> None:
    monkeypatch.setattr(uml, "PROBE_SECONDS", 1 if found.endswith("1 s") else 60)
    with pytest.raises(Problem) as caught:
        uml.check_starts(a_kernel(tmp_path, does))
    assert caught.value.found == found
