"""A tiny upstream project: a Go module on a local file proxy, and release files on a local HTTP server."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest

from k8s101.cluster.programs import builds
from k8s101.cluster.programs.toolchain import Program, Project, Release

VERSION = "v1.2.3"
MODULE = "tiny.example/tools"
SOURCES = {
    "go.mod": f"module {MODULE}\n\ngo 1.24\n",
    "stamp/stamp.go": 'package stamp\n\nvar Version, Date = "none", "none"\n',
    "deep/deep.go": f'package deep\n\nimport "{MODULE}/stamp"\n\nfunc Say() string {{ return stamp.Version }}\n',
    "one/main.go": f'package main\n\nimport "{MODULE}/deep"\nimport "{MODULE}/stamp"\n\n'
    'func main() { println("one", deep.Say(), stamp.Date) }\n',
    "two/main.go": f'package main\n\nimport "{MODULE}/deep"\n\nfunc main() {{ println("two", deep.Say()) }}\n',
}
GO_MOD = f"""module tiny.invalid/toolchain/tiny

go 1.24

tool (
\t{MODULE}/one
\t{MODULE}/two
)

require {MODULE} {VERSION}
"""


def write_proxy(proxy: Path) -> None:
    """Lay the module out as the Go module proxy serves it."""
    place = proxy / MODULE / "@v"
    place.mkdir(parents=True)
    (place / "list").write_text(VERSION + "\n")
    (place / f"{VERSION}.info").write_text(json.dumps({"Version": VERSION, "Time": "2026-01-02T03:04:05Z"}))
    (place / f"{VERSION}.mod").write_text(SOURCES["go.mod"])
    with zipfile.ZipFile(place / f"{VERSION}.zip", "w") as archive:
        for name, text in SOURCES.items():
            archive.writestr(f"{MODULE}@{VERSION}/{name}", text)
        # Go's build cache has never seen this package, so each test really compiles.
        archive.writestr(f"{MODULE}@{VERSION}/stamp/new.go", f'package stamp\n\nconst New = "{uuid4()}"\n')


@cache
def go() -> str:
    """Return a Go for these tests; a machine may have none on PATH, and their caches are empty."""
    return builds.find_go((1, 26), lambda _: None)


def go_environment(place: Path) -> dict[str, str]:
    return {
        "PATH": f"{Path(go()).parent}{os.pathsep}{os.environ['PATH']}",
        "GOPROXY": f"file://{place / 'proxy'}",
        "GONOSUMDB": "*",
        "GOMODCACHE": str(place / "modules"),
        "GOTOOLCHAIN": "local",
    }


def write_tiny(place: Path) -> Project:
    """Make the project's proxy and its directory in a toolchain, with a true go.sum."""
    write_proxy(place / "proxy")
    directory = place / "toolchain" / "tiny"
    directory.mkdir(parents=True)
    (directory / "go.mod").write_text(GO_MOD)
    env = os.environ | go_environment(place) | {"GOFLAGS": "-mod=mod"}
    subprocess.run([go(), "mod", "tidy"], cwd=directory, env=env, check=True, capture_output=True)
    return tiny(place)


def tiny(place: Path, release: Release | None = None) -> Project:
    return Project(
        "tiny",
        MODULE,
        (Program("one", f"{MODULE}/one"), Program("two", f"{MODULE}/two", always=False)),
        release,
        (f"{MODULE}/stamp.Version={{version}}", f"{MODULE}/stamp.Date={{date}}"),
        root=place / "toolchain",
    )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the tiny project; the cache and Go's module cache point into it."""
    write_tiny(tmp_path)
    for name, value in go_environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("K8S101_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("K8S101_DOWNLOAD", "never")
    monkeypatch.delenv("K8S101_BIN", raising=False)
    monkeypatch.delenv("K8S101_MIRRORS", raising=False)
    return tmp_path


class ReleaseServer:
    """An HTTP server of release files that can misbehave.

    Args:
        files: path to content.
        cut: how many times a body stops in the middle.
        ranges: whether it can serve the rest of a file.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut = 0
        self.ranges = True
        self.asked: list[tuple[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(200)
                self.end_headers()

            def do_GET(self) -> None:
                span = self.headers.get("Range", "")
                outer.asked.append((self.path, span))
                body = outer.files.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                start = int(span.removeprefix("bytes=").rstrip("-")) if span and outer.ranges else 0
                if start >= len(body) > 0 and start:
                    self.send_error(416)
                    return
                body = body[start:]
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if outer.cut > 0 and len(body) > 1000:
                    outer.cut -= 1
                    self.wfile.write(body[: len(body) // 2])
                    self.wfile.flush()
                    self.connection.close()
                    return
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def publish(self, path: str, body: bytes, checksum: str | None = None) -> None:
        self.files[path] = body
        self.files[f"{path}.sha256"] = (checksum or hashlib.sha256(body).hexdigest()).encode()


@pytest.fixture
def server(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseServer]:
    """The server that answers for https://releases.example."""
    server = ReleaseServer()
    thread = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("K8S101_MIRRORS", f"releases.example={server.url}")
    yield server
    server.server.shutdown()
    server.server.server_close()
    thread.join()


def program(text: str, size: int = 200_000) -> bytes:
    """Return an executable that prints a text and is large enough to break off in the middle."""
    script = f'#!/bin/sh\necho "{text}"\nexit 0\n'.encode()
    return script + b"#" * (size - len(script))


def archive(members: dict[str, bytes]) -> bytes:
    """Return a .tar.gz with these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
