"""Clusters that the workshop did not make, or that it is not told that it made."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def root() -> None:
    """Only root can make a machine."""
    if os.getuid() != 0:
        pytest.skip("only root can make network namespaces and cgroups of its own")


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """An empty directory with a path that is short enough for sockets below it."""
    made = Path(tempfile.mkdtemp(prefix="k8s101-"))
    yield made
    shutil.rmtree(made)
