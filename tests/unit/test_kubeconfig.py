"""Credentials reach the libraries without a file on disk, so a killed process leaves none."""

from __future__ import annotations

import http.server
import os
import signal
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s101.cluster.access.kubeconfig import memory_file
from k8s101.cluster.access.pki import Authority, write_kubeconfig

ASK = """
import os, signal, sys
from pathlib import Path
from kubernetes.client import ApiClient, VersionApi
from k8s101.cluster.access.api import Api
from k8s101.cluster.access.kubeconfig import client_configuration
file = Path(sys.argv[1])
print(VersionApi(ApiClient(client_configuration(file))).get_code().git_version, Api(file).get("/version")["gitVersion"])
sys.stdout.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


class Answer(http.server.BaseHTTPRequestHandler):
    """Tell a version made of the name in the client's certificate."""

    def do_GET(self) -> None:  # noqa: N802  the library's name
        """Answer."""
        connection = self.connection
        assert isinstance(connection, ssl.SSLSocket)
        (((_, name),),) = connection.getpeercert()["subject"]  # type: ignore[index, misc, str-unpack]
        fields = ("buildDate", "compiler", "gitCommit", "gitTreeState", "goVersion", "major", "minor", "platform")
        rest = ", ".join(f'"{field}": ""' for field in fields)
        body = f'{{"gitVersion": "{name}", {rest}}}'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    """A kubeconfig for a server that asks for a client certificate."""
    authority = Authority(tmp_path, "ca")
    authority.issue_files(tmp_path, "server", "server", hosts=["127.0.0.1"], server=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.certificate_file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        write_kubeconfig(tmp_path / "kubeconfig", authority, f"https://127.0.0.1:{server.server_port}", "ann")
        yield tmp_path / "kubeconfig"
        server.shutdown()


def test_a_killed_process_leaves_no_credentials(tmp_path: Path, kubeconfig: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", ASK, kubeconfig],
        env=os.environ | {"TMPDIR": str(scratch), "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.returncode) == ("ann ann\n", -signal.SIGKILL), done.stderr
    assert list(scratch.iterdir()) == []


def test_one_content_is_one_file() -> None:
    path = memory_file("a2V5")
    assert Path(path).read_text() == "key"
    assert stat.S_ISREG(Path(path).stat().st_mode)
    assert memory_file("a2V5") == path
    assert memory_file("b3RoZXI=") != path
