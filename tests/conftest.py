"""What all tests share: the state directory of their cluster, and the markers."""

from __future__ import annotations

import os

import pytest

from tools import testing

# a learner's own cluster is never the one that tests take apart
os.environ.setdefault("K8S101_STATE", str(testing.STATE))
os.environ.pop("KUBECONFIG", None)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes long; only `make test-all` runs it")
