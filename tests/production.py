"""Somebody's production cluster: a server that writes down every request and grants none.

As a program, `production.py DIRECTORY`, it prints its port.
"""

from __future__ import annotations

import http.server
import json
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.machine import Machine


@contextmanager
def trap(machine: Machine) -> Iterator[Path]:
    """Let the current context of the machine's ~/.kube/config lead to it; yield the file with its requests.

    Contexts that the file has stay in it.
    """
    from k8s101.cluster.access.pki import Authority

    place = machine.directory / "production"
    place.mkdir()
    Authority(place, "ca").issue_files(place, "server", "server", hosts=["127.0.0.1"], server=True)
    kubeconfig = machine.home / ".kube/config"
    kubeconfig.parent.mkdir(exist_ok=True)
    before = kubeconfig.read_text() if kubeconfig.exists() else None
    with machine.start(sys.executable, __file__, place) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        kubeconfig.write_text(json.dumps(_with_production(before, port)))
        yield place / "requests"
        server.kill()
    kubeconfig.unlink()
    if before is not None:
        kubeconfig.write_text(before)


def _with_production(before: str | None, port: int) -> dict[str, Any]:
    import yaml

    config = {"apiVersion": "v1", "kind": "Config"} | (yaml.safe_load(before) if before else {})
    cluster = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    more = {
        "contexts": {"name": "production", "context": {"cluster": "production", "user": "production"}},
        "clusters": {"name": "production", "cluster": cluster},
        "users": {"name": "production", "user": {"token": "secret"}},
    }
    lists = {key: [*(config.get(key) or []), entry] for key, entry in more.items()}
    return config | lists | {"current-context": "production"}


class Handler(http.server.BaseHTTPRequestHandler):
    """Writes the first line of each request into the file `requests`."""

    place: Path

    def note(self) -> None:
        """Note a request and refuse it."""
        with (self.place / "requests").open("a") as file:
            file.write(f"{self.requestline}\n")
        self.send_error(403)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_CONNECT = note


def main() -> None:
    """Serve on a free port of loopback until killed."""
    Handler.place = Path(sys.argv[1])
    (Handler.place / "requests").touch()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Handler.place / "server.crt", Handler.place / "server.key")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
