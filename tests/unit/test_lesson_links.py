"""Links that open an app in the browser: their address, who sees them, and the way through a real server."""

from __future__ import annotations

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from k8s101.lesson.api import forward as forwarding
from k8s101.lesson.api.links import proxied
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("JUPYTERHUB_SERVICE_PREFIX", "JPY_PARENT_PID", "K8S101_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))


def test_on_a_hub_the_address_begins_with_the_users_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ada-x1/")
    assert proxied(40001) == "/user/ada-x1/proxy/40001/"


@pytest.mark.parametrize("content", [None, "", "{}", "[]"])
def test_without_a_known_server_it_begins_at_the_root(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    monkeypatch.setenv("JPY_PARENT_PID", "77")
    if content is not None:
        (tmp_path / "jpserver-77.json").write_text(content)
    assert proxied(40001) == "/proxy/40001/"


def test_it_begins_where_the_kernels_server_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JPY_PARENT_PID", "77")
    (tmp_path / "jpserver-77.json").write_text(json.dumps({"base_url": "/lessons/"}))
    (tmp_path / "jpserver-78.json").write_text(json.dumps({"base_url": "/other/"}))
    assert proxied(40001) == "/lessons/proxy/40001/"


class Shown:
    """What would be below the cell, the newest state of each output."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.outputs: list[dict[str, str]] = []
        monkeypatch.setattr("IPython.display.display", self.display)

    def display(self, data: dict[str, str], **_: Any) -> Shown:
        self.outputs.append(data)
        return self

    def update(self, data: dict[str, str], **_: Any) -> None:
        self.outputs[-1] = data


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    def opened(target: str, port: int, _namespace: str) -> forwarding.Forward:
        return forwarding.Forward(lambda local: (subprocess.Popen(["sleep", "60"], text=True), 40001), target)

    monkeypatch.setattr(forwarding, "open_forward", opened)
    return Shown(monkeypatch)


def test_nothing_is_shown_where_outputs_are_stored(shown: Shown) -> None:
    with forwarding.forward("service/hello", 80) as app:
        assert app.port == 40001
    assert shown.outputs == []


def test_a_person_gets_a_link_as_long_as_something_is_behind_it(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8S101_INTERACTIVE", "1")
    with forwarding.forward("service/<hello>", 80):
        (output,) = shown.outputs
        assert '<a href="/proxy/40001/" target="_blank"' in output["text/html"]
        assert "open service/&lt;hello&gt; in the browser" in output["text/html"]
        assert output["text/plain"].endswith(": /proxy/40001/")
    assert shown.outputs == [{"text/plain": "service/<hello> is no longer forwarded"}]


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"page {self.path}".encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def app() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def jupyter(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Start a server with a base URL; yield its process and port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--port={port}", "--ip=127.0.0.1", "--no-browser", "--allow-root", "--ServerApp.port_retries=0"]
    options += ["--ServerApp.base_url=/lessons/", "--IdentityProvider.token=abc", f"--ServerApp.root_dir={tmp_path}"]
    log = (tmp_path / "log").open("w")
    environment = os.environ | {"JUPYTER_CONFIG_DIR": str(tmp_path / "config")}
    command = [sys.executable, "-m", "jupyter_server", *options]
    with subprocess.Popen(command, stdout=log, stderr=log, env=environment) as server:

        def listens() -> bool:
            assert server.poll() is None, (tmp_path / "log").read_text()
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            # it is written before the server listens
            return (tmp_path / f"jpserver-{server.pid}.json").exists()

        eventually("the server answers", listens, 60)
        yield server.pid, port
        server.terminate()
    log.close()


def test_the_link_leads_through_jupyters_own_server(
    jupyter: tuple[int, int], app: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid, port = jupyter
    monkeypatch.setenv("JPY_PARENT_PID", str(pid))
    ask = requests.Session()
    ask.trust_env = False
    address = f"http://127.0.0.1:{port}{proxied(app)}"
    assert ask.get(address, allow_redirects=False, timeout=20).status_code in (302, 403), "nobody has logged in"
    ask.headers["Authorization"] = "token abc"
    answer = ask.get(address, timeout=20)
    assert (answer.status_code, answer.text) == (200, "page /")
    elsewhere = ask.get(f"http://127.0.0.1:{port}/lessons/proxy/192.0.2.1:{app}/", timeout=20)
    assert elsewhere.status_code == 403, "only this machine's own ports may be reached"
