"""A user without any privilege, and that user's cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from k8s101.cluster.backends import simulated
from k8s101.cluster.programs.binaries import ensure
from tests.small_machine import SmallMachine


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    """Make the programs before a user who cannot build them needs them."""
    if os.getuid() != 0:
        pytest.skip("only root can make a user without privileges")
    ensure(simulated.TOOLS)


@pytest.fixture
def machine() -> Iterator[SmallMachine]:
    """A machine without a cluster."""
    with SmallMachine() as made:
        yield made


@pytest.fixture(scope="session")
def running() -> Iterator[SmallMachine]:
    """A machine whose user has a cluster of simulated nodes; tests leave it running, and nothing of theirs in it."""
    with SmallMachine() as made:
        made.k8s101("up", "--backend", "simulated").good()
        yield made
