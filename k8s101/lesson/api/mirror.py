"""Know what exists now of some kinds: read once, or renewed by watches in the background."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from k8s101.errors import Problem
from k8s101.lesson.api.rest import Object, Resource, Rest, status_message

RETRY_SECONDS = 1.0
REFUSED_SECONDS = 10.0
STREAM_SECONDS = 15
"""How long the server keeps one stream open, so that a thread that should end does so."""


@dataclass(frozen=True)
class State:
    """What exists at one moment.

    Args:
        objects: by kind; a kind that could not be read yet is missing.
        trouble: by kind, why it cannot be read now.
    """

    objects: dict[str, list[Object]] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)


class Mirror:
    """Hold the objects of some kinds as they are now; it only reads.

    Args:
        rest: connection to the cluster.
        namespace: where to look for kinds that live in one.
        resources: the kinds.
    """

    def __init__(self, rest: Rest, namespace: str, resources: Iterable[Resource]) -> None:
        self._rest = rest
        self.namespace = namespace
        self._resources = tuple(resources)
        self._objects: dict[str, dict[str, Object]] = {}
        self._trouble: dict[str, str] = {}
        self._changed = threading.Condition()
        self._number = 0
        self._end = threading.Event()

    def read(self) -> State:
        """Read all kinds once and return what is there, with a reason for each kind that cannot be read."""
        for resource in self._resources:
            try:
                self._look(resource)
            except (ApiException, HTTPError, OSError, ValueError) as error:
                self._note(resource, error)
        return self.state()

    def start(self) -> list[threading.Thread]:
        """Begin to watch; the threads end after `stop`, and with the kernel."""
        threads = [
            threading.Thread(target=self._follow, args=(resource,), name=f"k8s101 mirrors {resource.kind}", daemon=True)
            for resource in self._resources
        ]
        for thread in threads:
            thread.start()
        return threads

    def stop(self) -> None:
        """Watch no longer once the current streams end, and wake who waits."""
        self._end.set()
        with self._changed:
            self._changed.notify_all()

    @property
    def stopped(self) -> threading.Event:
        """Set when `stop` was called."""
        return self._end

    def state(self) -> State:
        """Return what is known now."""
        with self._changed:
            return State({kind: list(items.values()) for kind, items in self._objects.items()}, dict(self._trouble))

    def wait(self, number: int, seconds: float) -> int:
        """Wait until there is news after a number of changes, the end, or the deadline; return the number of now."""
        with self._changed:
            self._changed.wait_for(lambda: self._number != number or self._end.is_set(), seconds)
            return self._number

    def _follow(self, resource: Resource) -> None:
        while not self._end.is_set():
            pause = RETRY_SECONDS
            try:
                last = self._look(resource)
                while not self._end.is_set():
                    last = self._stream(resource, last)
            except Problem:  # the server no longer knows what came after the last report
                pass
            except ApiException as error:
                pause = REFUSED_SECONDS if error.status in (401, 403) else RETRY_SECONDS
                self._note(resource, error)
            except (HTTPError, OSError, ValueError) as error:  # the API server may be down on purpose
                self._note(resource, error)
            self._end.wait(pause)

    def _look(self, resource: Resource) -> str:
        answer = self._rest.call("GET", resource.path(self.namespace))
        kind = {"kind": resource.kind, "apiVersion": resource.group_version}
        with self._changed:
            self._objects[resource.kind] = {item["metadata"]["uid"]: item | kind for item in answer["items"]}
            self._trouble.pop(resource.kind, None)
            self._tell()
        return str(answer["metadata"]["resourceVersion"])

    def _stream(self, resource: Resource, last: str) -> str:
        query = {"resourceVersion": last, "allowWatchBookmarks": "true", "timeoutSeconds": STREAM_SECONDS}
        for event in self._rest.watch(resource.path(self.namespace), **query):
            item, what = event["object"], event["type"]
            if what == "ERROR":
                raise Problem(str(item.get("message")), where=resource.plural, then="look what is there")
            last = str(item["metadata"]["resourceVersion"])
            if what != "BOOKMARK":
                self._take(resource, item, gone=what == "DELETED")
            if self._end.is_set():
                break
        return last

    def _take(self, resource: Resource, item: Object, *, gone: bool) -> None:
        with self._changed:
            items = self._objects[resource.kind]
            items.pop(item["metadata"]["uid"], None)
            if not gone:
                items[item["metadata"]["uid"]] = item
            self._tell()

    def _note(self, resource: Resource, error: Exception) -> None:
        """Keep why a kind cannot be read; without the right to it, what was seen before counts no longer."""
        with self._changed:
            if isinstance(error, ApiException):
                self._trouble[resource.kind] = status_message(error)
                if error.status in (401, 403):
                    self._objects.pop(resource.kind, None)
            else:
                self._trouble[resource.kind] = f"the API server does not answer ({type(error).__name__})"
            self._tell()

    def _tell(self) -> None:
        self._number += 1
        self._changed.notify_all()
