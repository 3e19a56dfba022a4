"""One real cluster for all tests of this directory."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

import pytest

from k8s101.cluster.facade import cluster as clusters
from k8s101.cluster.facade import reset
from tests.cluster.adding import everything
from tests.escapes import Escapes, counted
from tests.lab import Lab, Namespace, namespace


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    """The cluster at K8S101_STATE, brought up when there is none, and then taken down at the end."""
    found = clusters.find()
    cluster = clusters.up(print)
    reset.record_once(cluster)
    yield Lab(cluster)
    if found is None:
        clusters.down()


@pytest.fixture
def pristine(lab: Lab) -> set[str]:
    """What is there without add-ons."""
    reset.reset(lab.cluster, print)
    return everything(lab)


@pytest.fixture
def space(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A namespace for one test."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:50] + f"-{secrets.token_hex(2)}"
    with namespace(lab, name) as made:
        yield made


@pytest.fixture(scope="package")
def escapes(lab: Lab) -> Iterator[Escapes]:
    """What the machine sends for the cluster's addresses to anywhere else."""
    with counted(lab.cluster.settings.ranges) as made:
        yield made
