"""Questions to the cluster: each does something and tells whether the cluster has done its part."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from k8s101.errors import Problem
from k8s101.lesson.api.names import condition
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api

ERRORS = (ApiException, HTTPError, OSError)
"""What a request ends with while a part of the control plane is away."""

PATIENCE_SECONDS = 60
REQUEST_SECONDS = 2
POLL_SECONDS = 0.1
QUIET_SECONDS = 0.5
CALLS = 5
"""So many answers of a Service count as one that answers; a client asks ten times a second."""

IMAGE = "k8s101.test/hello:1.0.0"
NOT_FOUND, CONFLICT = 404, 409
OLD_PORT, NEW_PORT = 8001, 8002


@dataclass(frozen=True)
class Calls:
    """What a client has counted: answers, and requests without one."""

    answered: int
    failed: int


class Round:
    """One round of questions, and the objects that they leave behind.

    Args:
        api: the lesson.
        number: tells its objects from those of other rounds.
        nodes: where questions about nodes are asked.
        address: address of the new Service.
        containers: whether clients run, which can be asked what they have counted.
    """

    def __init__(self, api: Api, number: int, nodes: Sequence[str], address: str, *, containers: bool) -> None:
        self.nodes = nodes
        self.name = f"try-{number}"
        self.containers = containers
        self._api = api
        self._address = address
        self._victim = str(api.list("Pod", "app=spare")[0]["metadata"]["name"])
        clients = api.list("Pod", "app=client") if containers else []
        self._clients = {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in clients}
        self._old = {node: self.calls(node, OLD_PORT) for node in nodes if containers}
        self._new = self._silence() if containers else {}
        self._watching = threading.Event()
        self.watch_open = True
        threading.Thread(target=self._watch, name=f"k8s101 watch of {self.name}", daemon=True).start()
        if not self._watching.wait(PATIENCE_SECONDS):
            raise Problem("a watch brings nothing", where="the API server", then="k8s101 status")

    def request(self, method: str, path: str, body: Object | None = None, **query: Any) -> Object:
        """Send one request for something in the lesson's namespace."""
        words = urlencode({"timeout": f"{REQUEST_SECONDS}s", **query})
        group = "/apis/apps/v1" if path.startswith("deployments") else "/api/v1"
        return self._api.rest.call(method, f"{group}/namespaces/{self._api.namespace}/{path}?{words}", body)

    def create(self, plural: str, body: Object) -> None:
        """Create an object unless an earlier try has done so."""
        _but_for(CONFLICT, lambda: self.request("POST", plural, body))

    def delete(self, path: str) -> None:
        """Delete an object, at once, if it is there."""
        _but_for(NOT_FOUND, lambda: self.request("DELETE", path, gracePeriodSeconds=0, propagationPolicy="Background"))

    def calls(self, node: str, port: int) -> Calls:
        """Ask the client on a node what it has counted."""
        totals = self.request("GET", f"pods/{self._clients[node]}:{port}/proxy/totals")
        return Calls(totals["requests"] - totals["failed"], totals["failed"])

    def _watch(self) -> None:
        path = f"/api/v1/namespaces/{self._api.namespace}/configmaps"
        with suppress(*ERRORS):
            for _ in self._api.rest.watch(path, timeoutSeconds=300):
                self._watching.set()
        self.watch_open = False

    def lose_spare(self) -> None:
        """Delete the Pod of Deployment spare."""
        self.delete(f"pods/{self._victim}")

    def spare_replaced(self, node: str) -> bool:
        """Tell whether another one has come."""
        pods = self.request("GET", "pods", labelSelector="app=spare")["items"]
        return any(pod["metadata"]["name"] != self._victim for pod in pods)

    def new_service(self) -> None:
        """Create a Service at the address that clients ask in vain so far."""
        spec = {"clusterIP": self._address, "selector": {"app": "hello"}, "ports": [{"port": 8000}]}
        try:
            self.create("services", {"metadata": {"name": "new"}, "spec": spec})
        except ApiException:
            # its address is refused before its name is
            self.request("GET", "services/new")

    def _silence(self) -> dict[str, Calls]:
        """Wait until nobody answers at the address of the new Service, as may be after an earlier round."""
        self.delete("services/new")
        deadline = time.monotonic() + PATIENCE_SECONDS
        before = {node: self.calls(node, NEW_PORT) for node in self.nodes}
        while time.monotonic() < deadline:
            time.sleep(QUIET_SECONDS)
            now = {node: self.calls(node, NEW_PORT) for node in self.nodes}
            if all(now[node].answered == before[node].answered for node in self.nodes):
                return now
            before = now
        raise Problem("somebody answers without a Service", where=self._address, then="run the lesson from the start")

    def new_answers(self, node: str) -> bool:
        """Tell whether the new Service answers the client on a node."""
        return self.calls(node, NEW_PORT).answered > self._new[node].answered

    def old_answers(self, node: str) -> bool:
        """Tell whether the old Service has answered every request of the client on a node since the round began."""
        now, before = self.calls(node, OLD_PORT), self._old[node]
        return now.answered - before.answered >= CALLS and now.failed == before.failed

    def node_ready(self, node: str) -> bool | None:
        """Tell whether a node is ready, as far as the API server knows; None when it does not answer."""
        try:
            item = self._api.rest.call("GET", f"/api/v1/nodes/{node}?resourceVersion=0")
        except ERRORS:
            return None
        return bool(condition(item, "Ready").get("status") == "True")

    def clear(self) -> None:
        """Remove what the questions have made."""
        here = [f"pods/{self.name}-{node}" for node in self.nodes]
        for path in (f"deployments/{self.name}", f"pods/{self.name}", *here, f"configmaps/{self.name}", "services/new"):
            self.delete(path)


def _but_for(status: int, request: Callable[[], object]) -> None:
    try:
        request()
    except ApiException as error:
        if error.status != status:
            raise


@dataclass(frozen=True)
class Question:
    """Something that a cluster should do.

    Args:
        text: what is asked, as a row of the table.
        begin: asks for it; doing so twice is like doing it once.
        holds: tells whether it is done, on one node.
        on_nodes: whether each node has its own answer.
        containers: whether it can be asked only where containers run.
    """

    text: str
    begin: Callable[[Round], object]
    holds: Callable[[Round, str], bool] = lambda now, node: True
    on_nodes: bool = False
    containers: bool = False

    def ask(self, now: Round, seconds: float) -> dict[str, bool]:
        """Begin, and look again and again whether it is done.

        Args:
            now: the round.
            seconds: how long to look.

        Returns:
            Whether it was done, by node; a question that is not about nodes has the node ``.
        """
        deadline = time.monotonic() + seconds
        nodes = now.nodes if self.on_nodes else [""]
        found = dict.fromkeys(nodes, False)
        begun = False
        while not all(found.values()) and time.monotonic() < deadline:
            with suppress(*ERRORS):
                if not begun:
                    self.begin(now)
                    begun = True
            for node in nodes if begun else ():
                with suppress(*ERRORS):
                    found[node] = found[node] or self.holds(now, node)
            time.sleep(0 if all(found.values()) else POLL_SECONDS)
        return found


def _pod(name: str, **spec: Any) -> Object:
    stays = {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "hello", "image": IMAGE}],
        # nobody moves it away from a node that is lost for a while
        "tolerations": [{"operator": "Exists", "effect": "NoExecute"}],
    }
    return {"metadata": {"name": name, "labels": {"app": name}}, "spec": {**stays, **spec}}


def _deployment(now: Round) -> None:
    template = _pod(now.name, schedulerName="nobody")  # its Pod is only counted
    del template["metadata"]["name"], template["spec"]["terminationGracePeriodSeconds"]
    spec = {"selector": {"matchLabels": {"app": now.name}}, "template": template}
    now.create("deployments", {"metadata": {"name": now.name}, "spec": spec})


def _owned(now: Round, node: str) -> bool:
    pods = now.request("GET", "pods", labelSelector=f"app={now.name}")["items"]
    return any(pod["metadata"].get("ownerReferences") for pod in pods)


def _placed(now: Round, node: str) -> bool:
    return bool(now.request("GET", f"pods/{now.name}")["spec"].get("nodeName"))


def _on_each_node(now: Round) -> None:
    for node in now.nodes:
        now.create("pods", _pod(f"{now.name}-{node}", nodeName=node))


def _runs(now: Round, node: str) -> bool:
    return bool(now.request("GET", f"pods/{now.name}-{node}")["status"].get("phase") == "Running")


WRITE, LATEST, CACHED = "write an object", "read the latest state", "read from the cache"
MADE, REPLACED, PLACED = "Deployment gets Pods", "lost Pod is replaced", "new Pod gets a node"
STARTED, NEW = "new Pod starts", "new Service answers"

QUESTIONS = (
    Question(WRITE, lambda now: now.create("configmaps", {"metadata": {"name": now.name}})),
    Question(LATEST, lambda now: now.request("GET", "configmaps")),
    Question(CACHED, lambda now: now.request("GET", "configmaps", resourceVersion=0)),
    Question(MADE, _deployment, _owned),
    Question(REPLACED, lambda now: now.lose_spare(), Round.spare_replaced),
    Question(PLACED, lambda now: now.create("pods", _pod(now.name)), _placed),
    Question(STARTED, _on_each_node, _runs, on_nodes=True, containers=True),
    Question(NEW, lambda now: now.new_service(), Round.new_answers, on_nodes=True, containers=True),
)
