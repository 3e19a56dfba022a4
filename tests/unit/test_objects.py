"""What the workshop writes into a cluster that has just begun to answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from k8s101.cluster.access.api import Api
from k8s101.cluster.backends import objects
from k8s101.cluster.values.settings import Settings
from k8s101.errors import Problem

REFUSED = requests.HTTPError("failed to allocate IP 10.96.0.10: the provided network does not match the current range")


class Answers(Api):
    """A session with an API server that refuses Services so many times."""

    def __init__(self, refusals: int) -> None:
        self.server = "here"
        self.applied: list[str] = []
        self._refusals = refusals

    def apply(self, manifest: dict[str, Any]) -> None:
        """Take an object, or refuse it."""
        if manifest["kind"] == "Service" and self._refusals:
            self._refusals -= 1
            raise REFUSED
        self.applied.append(manifest["kind"])


def test_a_service_waits_until_the_api_server_can_give_out_addresses(tmp_path: Path) -> None:
    server = Answers(refusals=2)
    objects.apply_files(server, Settings(tmp_path), "base/*.yaml")
    assert "Service" in server.applied


def test_it_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "ADDRESS_SECONDS", 0.3)
    with pytest.raises(Problem, match="address of Service kube-dns"):
        objects.apply_files(Answers(refusals=1000), Settings(tmp_path), "base/*.yaml")
