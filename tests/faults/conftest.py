"""A second machine for each test of this directory, beside whatever cluster runs on the first."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import machine as machines
from tests.machine import Machine


@pytest.fixture(scope="session", autouse=True)
def root() -> None:
    """Only root can make a machine."""
    if os.getuid() != 0:
        pytest.skip("only root can make network namespaces and cgroups of its own")


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty directory with a path that is short enough for sockets below it."""
    made = Path(tempfile.mkdtemp(prefix="k8s101-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def machine(directory: Path) -> Iterator[Machine]:
    """A machine without a cluster."""
    with machines.machine(directory) as made:
        yield made


@pytest.fixture(scope="module")
def running() -> Iterator[Machine]:
    """A machine with a cluster; tests leave it running and well."""
    made = Path(tempfile.mkdtemp(prefix="k8s101-"))
    with machines.machine(made) as machine:
        machine.up()
        yield machine
    shutil.rmtree(made)
