"""Reach a port of a Pod or Service from the notebook, on every kind of cluster."""

from __future__ import annotations

import atexit
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from k8s101.errors import Problem
from k8s101.lesson.api.links import Link
from k8s101.lesson.api.session import current, interactive, split
from k8s101.lesson.api.shell import environment, kubectl_path

READY_SECONDS = 20
REQUEST_SECONDS = 10
LISTENS = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


class Forward:
    """A port on 127.0.0.1 that leads into the cluster, until `close` or the end of the kernel.

    Args:
        process: the running `kubectl port-forward`.
        port: the port on 127.0.0.1.
    """

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self._session = requests.Session()
        self._session.trust_env = False  # proxies must not see requests to this machine
        self._link: Link | None = None
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        atexit.register(self.close)

    def show_link(self, label: str) -> None:
        """Show a link that opens this port in the browser until `close`."""
        self._link = Link(self.port, label)

    def get(self, path: str = "/") -> requests.Response:
        """Send a GET request, whatever the status of the answer."""
        return self._session.get(self.url + path, timeout=REQUEST_SECONDS)

    def post(self, path: str) -> requests.Response:
        """Send a POST request without a body, whatever the status of the answer."""
        return self._session.post(self.url + path, timeout=REQUEST_SECONDS)

    def json(self, path: str = "/") -> Any:
        """Send a GET request for JSON and return the decoded answer."""
        answer = self._session.get(self.url + path, headers={"Accept": "application/json"}, timeout=REQUEST_SECONDS)
        answer.raise_for_status()
        return answer.json()

    def wait(self, path: str, test: Callable[[Any], bool], timeout: float = 30) -> Any:
        """Send GET requests until the decoded answer passes a test, and return it.

        Raises:
            Problem: the deadline passed.
        """
        deadline = time.monotonic() + timeout
        while not test(found := self.json(path)):
            if time.monotonic() > deadline:
                raise Problem(
                    f"{path} does not answer as awaited after {timeout:g} s: {found}",
                    where=self.url,
                    then="run the cells above again",
                )
            time.sleep(0.1)
        return found

    def close(self) -> None:
        """End the forwarding."""
        atexit.unregister(self.close)
        if self._link:
            self._link.close()
            self._link = None
        self._process.terminate()
        self._process.wait(timeout=5)

    def __enter__(self) -> Forward:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def forward(target: str, port: int) -> Forward:
    """Forward a free port of 127.0.0.1 to a Pod or Service; to a person, also show a link that opens it.

    Args:
        target: `kind/name`, for example `service/hello`.
        port: port of the Service or Pod.

    Returns:
        An object with `.url`, `.get(path)`, `.json(path)` and `.close()`.

    Raises:
        Problem: `kubectl port-forward` ended or did not listen in time.
    """
    opened = open_forward(target, port)
    if interactive():
        opened.show_link(target)
    return opened


def open_forward(target: str, port: int) -> Forward:
    """Forward a port without a link, for what needs no browser; arguments and result as of `forward`."""
    api = current()
    split(target)
    command = [str(kubectl_path()), f"--namespace={api.namespace}", "port-forward", target, f":{port}"]
    output = tempfile.NamedTemporaryFile("w")  # noqa: SIM115  the child writes on after this function
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(api),
    )
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := LISTENS.search(Path(output.name).read_text()):
            return Forward(process, int(found[1]))
        time.sleep(0.05)
    process.kill()
    process.wait()
    said = Path(output.name).read_text().strip() or "it does not answer"
    raise Problem(
        f"no way to port {port} of {target}: {said}",
        where=f"namespace {api.namespace}",
        then=f'kubectl("describe {target}")',
    )
