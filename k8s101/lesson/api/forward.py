"""Reach a port of a Pod or Service from the notebook, on every kind of cluster."""

from __future__ import annotations

import atexit
import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

import requests

from k8s101.errors import Problem
from k8s101.lesson.api.guard import guard
from k8s101.lesson.api.links import Link
from k8s101.lesson.api.refusal import Refusals
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api, current, interactive, split
from k8s101.lesson.api.shell import environment, kubectl_path

READY_SECONDS = 20
REQUEST_SECONDS = 10
AGAIN_SECONDS = 0.2
GIVE_UP_SECONDS = 60
"""How long a way into the cluster is looked for when the Pod at its end has gone."""

SAID_BYTES = 65536

LISTENS = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")

Start = Callable[[int], tuple["subprocess.Popen[str]", int]]


class Forward:
    """A port on 127.0.0.1 that leads into the cluster, until `close` or the end of the kernel.

    When the Pod at its end goes, another one takes its place.

    Args:
        start: runs `kubectl port-forward` from a port on 127.0.0.1 (0: any free one); returns process and port.
        target: what it leads to, for messages.
        refusals: judges what `kubectl port-forward` says of a port on which nothing listens.
    """

    def __init__(self, start: Start, target: str, refusals: Refusals | None = None) -> None:
        self._start = start
        self._target = target
        self._refusals = refusals
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._process, self.port = start(0)
        self._session = requests.Session()
        self._session.trust_env = False  # proxies must not see requests to this machine
        self._link: Link | None = None
        self.url = f"http://127.0.0.1:{self.port}"
        atexit.register(self.close)
        threading.Thread(target=self._keep, name=f"k8s101 forwards to {target}", daemon=True).start()

    def show_link(self, label: str) -> None:
        """Show a link that opens this port in the browser until `close`."""
        self._link = Link(self.port, label)

    def get(self, path: str = "/") -> requests.Response:
        """Send a GET request, whatever the status of the answer.

        Raises:
            Problem: nothing answers, or nothing listens there and that will not change.
        """
        began = time.monotonic()
        while True:
            process = self._process
            try:
                return self._session.get(self.url + path, timeout=REQUEST_SECONDS)
            except requests.RequestException as error:
                # a Pod that has just gone; reading again changes nothing
                took = time.monotonic() - began
                if took > READY_SECONDS or not isinstance(error, requests.ConnectionError):
                    raise self._silent(error) from None
                if self._refusals and (problem := self._refusals.judge(_said(process), took)):
                    raise problem from None
                with suppress(Problem):
                    self._renew(process)
                time.sleep(AGAIN_SECONDS)

    def post(self, path: str) -> requests.Response:
        """Send a POST request without a body, whatever the status of the answer.

        Raises:
            Problem: nothing answers; whether the request arrived is not known.
        """
        try:
            return self._session.post(self.url + path, timeout=REQUEST_SECONDS)
        except requests.RequestException as error:
            raise self._silent(error) from None

    def json(self, path: str = "/") -> Any:
        """Send a GET request and return the decoded JSON of the answer.

        Raises:
            Problem: nothing answers, or no JSON comes.
        """
        self._session.headers["Accept"] = "application/json"
        answer = self.get(path)
        try:
            answer.raise_for_status()
            return answer.json()
        except requests.RequestException:
            begin = " ".join(answer.text.split())[:80]
            raise Problem(
                f"GET {path} answers {answer.status_code} and no JSON: {begin}", where=self._target, then="try .get()"
            ) from None

    def wait(self, path: str, condition: Callable[[Any], bool], seconds: float = 30) -> Any:
        """Send GET requests until a condition holds for the decoded JSON, and return that.

        Args:
            path: what to ask for.
            condition: tells whether it is as wanted; a key that does not exist yet means no.
            seconds: how long to wait.

        Raises:
            Problem: the deadline passed.
        """
        deadline = time.monotonic() + seconds
        while not _holds(condition, found := self.json(path)):
            if time.monotonic() > deadline:
                raise Problem(
                    f"{path} does not answer as awaited after {seconds:g} s: {found}",
                    where=self._target,
                    then="run the cells above again",
                )
            time.sleep(AGAIN_SECONDS / 2)
        return found

    def close(self) -> None:
        """End the forwarding."""
        atexit.unregister(self.close)
        self._closed.set()
        if self._link:
            self._link.close()
            self._link = None
        with self._lock:
            _end(self._process)

    def __enter__(self) -> Forward:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _keep(self) -> None:
        """Begin again whenever the forwarding ends by itself, so that a browser finds it too."""
        last = time.monotonic()
        while not self._closed.is_set() and time.monotonic() - last < GIVE_UP_SECONDS:
            process = self._process
            process.wait()
            try:
                self._renew(process)
                last = time.monotonic()
            except Problem:
                self._closed.wait(1)

    def _renew(self, failed: subprocess.Popen[str]) -> None:
        """Run `kubectl port-forward` again, which looks for a Pod, unless somebody has done so since."""
        with self._lock:
            if self._closed.is_set() or self._process is not failed:
                return
            _end(failed)
            self._process, _ = self._start(self.port)

    def _silent(self, error: requests.RequestException) -> Problem:
        return Problem(
            f"{self._target} does not answer ({type(error).__name__})",
            where=self.url,
            then="kubectl get pods: is there one that is ready?",
        )


def _holds(condition: Callable[[Any], bool], found: Any) -> bool:
    try:
        return condition(found)
    except LookupError:
        return False


def _said(process: subprocess.Popen[str]) -> str:
    """Return what `kubectl port-forward` has written so far."""
    # not by reading on: the process writes at the place where its file stands
    return os.pread(process.stdout.fileno(), SAID_BYTES, 0).decode(errors="replace") if process.stdout else ""


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    guard().forget(process.pid)


def forward(target: str, port: int, namespace: str = "") -> Forward:
    """Forward a free port of 127.0.0.1 to a Pod or Service; to a person, also show a link that opens it.

    Args:
        target: `kind/name`, for example `service/hello`.
        port: port of the Service or Pod.
        namespace: where it is; empty for the lesson's namespace.

    Returns:
        An object with `.url`, `.get(path)`, `.json(path)`, `.wait(path, condition)` and `.close()`.

    Raises:
        Problem: there is no such object or port, or `kubectl port-forward` did not listen in time.
    """
    opened = open_forward(target, port, namespace)
    if interactive():
        opened.show_link(target)
    return opened


def open_forward(target: str, port: int, namespace: str = "") -> Forward:
    """Forward a port without a link, for what needs no browser; arguments and result as of `forward`."""
    api = current()
    place = namespace or api.namespace
    item = api.existing(target) if place == api.namespace else _elsewhere(api, target, place)
    known = [entry["port"] for entry in item["spec"].get("ports", [])]
    if item["kind"] == "Service" and port not in known:
        raise Problem(
            f"{target} has no port {port}",
            where=f"namespace {place}",
            then=f"use one of: {', '.join(map(str, known)) or 'it has none'}",
        )
    return Forward(lambda local: _run(api, target, place, local, port), target, Refusals(api, item, target))


def _elsewhere(api: Api, target: str, namespace: str) -> Object:
    """Return an object of another namespace.

    Raises:
        Problem: it is not there.
    """
    kind, name = split(target)
    if found := api.rest.get(kind, name, namespace):
        return found
    then = f"kubectl get {kind} --namespace {namespace}"
    raise Problem(f"there is no {target}", where=f"namespace {namespace}", then=then)


def _run(api: Api, target: str, namespace: str, local: int, port: int) -> tuple[subprocess.Popen[str], int]:
    """Run `kubectl port-forward` until it listens.

    Raises:
        Problem: it ended, or did not listen in time.
    """
    command = [str(kubectl_path()), f"--namespace={namespace}", "port-forward", target, f"{local or ''}:{port}"]
    keeper = guard()  # it takes a moment to start, in which nothing must run that it does not know
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(api),
            start_new_session=True,
        )
        process.stdout = os.fdopen(os.dup(output.fileno()))
    keeper.watch(process.pid)
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := LISTENS.search(_said(process)):
            return process, int(found[1])
        time.sleep(0.05)
    _end(process)
    said = _said(process).strip() or "it does not answer"
    raise Problem(
        f"no way to port {port} of {target}: {said}",
        where=f"namespace {namespace}",
        then=f"kubectl describe {target.replace('/', ' ')}",
    )
