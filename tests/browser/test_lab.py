"""`k8s101 lab` as a person types it: what it prints, where it listens, how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest
import requests

from k8s101.cluster.facade import cluster as clusters
from tests.waiting import eventually

SECONDS = 120
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)(/lab/workspaces/k8s101/tree/work/00-start-here\.ipynb)\?token=(\w+)")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of loopback that somebody else uses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def run_lab(output: IO[str], *arguments: str, **environment: str) -> psutil.Popen:
    command = [str(Path(sys.executable).with_name("k8s101")), "lab", *arguments]
    return psutil.Popen(command, env=os.environ | environment, stdout=output, stderr=subprocess.STDOUT)


def listening(process: psutil.Process) -> set[str]:
    """Return the addresses on which a process listens; none if it has just ended."""
    try:
        return {c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    except psutil.NoSuchProcess:
        return set()


def test_lab(tmp_path: Path, taken: int, own_directories: dict[str, str]) -> None:
    cluster = clusters.find()
    if cluster is None or not cluster.running():
        pytest.skip("no cluster is running; k8s101 up")
    log = tmp_path / "lab.log"
    with log.open("w") as output:
        child = run_lab(output, "--no-browser", f"--port={taken}", **own_directories)
    try:
        eventually(
            "an address, or an end", lambda: ADDRESS.search(log.read_text()) or child.poll() is not None, SECONDS
        )
        found = ADDRESS.search(log.read_text())
        assert found is not None, log.read_text()
        port, path, token = found.groups()
        assert port != str(taken)
        assert "self-check:" in log.read_text()
        server = f"http://127.0.0.1:{port}"
        assert requests.get(f"{server}/api/contents", timeout=10).status_code == 403
        assert requests.get(f"{server}{path}", params={"token": token}, timeout=10).ok
        processes = [child, *child.children(recursive=True)]
        assert {address for process in processes for address in listening(process)} == {"127.0.0.1"}
    finally:
        child.send_signal(signal.SIGINT)
        code = child.wait(SECONDS)
    assert code == 0
    assert not [process for process in processes if process.is_running()]
    assert "The cluster goes on" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert cluster.running()


@pytest.mark.parametrize("arguments", [["--port=0"], ["--fresh=99"], ["--unknown"]])
def test_wrong_options_are_explained(tmp_path: Path, arguments: list[str]) -> None:
    log = tmp_path / "lab.log"
    with log.open("w") as output:
        child = run_lab(output, "--no-browser", *arguments)
    assert child.wait(SECONDS) != 0
    assert "Traceback" not in log.read_text()
    assert "rror: " in log.read_text()
