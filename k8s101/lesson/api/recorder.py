"""Keep what the cluster reports while a lesson runs, so that it can be looked at afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from k8s101.errors import Problem
from k8s101.lesson.api.rest import Object, Rest

KINDS = ("Pod", "ReplicaSet", "Deployment", "Event")
WATCHED = ("Pod", "ReplicaSet", "Deployment")
"""What pictures and checks are made of; events come in their own time."""

GROUPS = {"Pod": "v1", "ReplicaSet": "apps/v1", "Deployment": "apps/v1", "Event": "v1"}
RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class Seen:
    """One report of the API server.

    Args:
        at: when it arrived, in seconds of the monotonic clock.
        type: ADDED, MODIFIED or DELETED; BOOKMARK for a report of the version alone, which is not kept.
        object: the object as it was.
    """

    at: float
    type: str
    object: Object

    @property
    def kind(self) -> str:
        """The kind of the object."""
        return str(self.object["kind"])

    @property
    def uid(self) -> str:
        """The object's identity, which outlives no deletion."""
        return str(self.object["metadata"]["uid"])

    @property
    def version(self) -> int:
        """When it was written: objects of all kinds count from the same clock, etcd's revision."""
        return int(self.object["metadata"]["resourceVersion"])

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.object["metadata"]["name"])


class Recorder:
    """Watch the lesson's workloads and events in the background.

    Args:
        rest: connection to the cluster.
        namespace: what to watch.
    """

    def __init__(self, rest: Rest, namespace: str) -> None:
        self._rest = rest
        self._namespace = namespace
        self._seen: list[Seen] = []
        self._missed: list[str] = []
        self._changed = threading.Condition()
        self._end = threading.Event()

    def start(self) -> None:
        """Begin to watch; the threads end with the kernel."""
        for kind in KINDS:
            name = f"k8s101 watches {kind}"
            threading.Thread(target=self._follow, args=(kind,), name=name, daemon=True).start()

    def stop(self) -> None:
        """Watch no longer once the current stream ends."""
        self._end.set()

    def add(self, seen: Seen) -> None:
        """Keep one report."""
        with self._changed:
            self._seen.append(seen)
            self._changed.notify_all()

    def history(self, *kinds: str) -> list[Seen]:
        """Return the reports on these kinds in the order of their arrival."""
        with self._changed:
            return [seen for seen in self._seen if seen.kind in kinds]

    def wait(self, test: Callable[[], bool], seconds: float) -> bool:
        """Wait until a test of the history holds; return whether it came in time."""
        with self._changed:
            return self._changed.wait_for(test, seconds)

    def catch_up(self, kinds: tuple[str, ...] = WATCHED, seconds: float = 10) -> None:
        """Wait until everything that exists now has arrived here too.

        Raises:
            Problem: the reports do not arrive.
        """
        now = {
            item["metadata"]["uid"]: int(item["metadata"]["resourceVersion"])
            for kind in kinds
            for item in self._rest.list(kind, self._namespace)
        }
        if not self.wait(lambda: self._has(now), seconds):
            raise Problem(
                "the recording of this lesson has gaps",
                where=f"watch on namespace {self._namespace}",
                then="run the notebook again from its first cell",
            )

    def _has(self, versions: dict[str, int]) -> bool:
        left = dict(versions)
        for seen in reversed(self._seen):
            if seen.version >= left.get(seen.uid, 1 << 63):
                del left[seen.uid]
            if not left:
                return True
        return not left

    def missed(self) -> list[str]:
        """Return a sentence for each time in which something happened that was not seen."""
        with self._changed:
            return list(self._missed)

    def _follow(self, kind: str) -> None:
        """Watch a kind; where the server no longer knows what came after the last report, look what is there."""
        last, blind_since = "", 0.0
        while not self._end.is_set():
            try:
                if not last:
                    last, blind_since = self._look(kind, blind_since), 0.0
                for seen in self._stream(kind, last):
                    if self._end.is_set():
                        return
                    if seen.type != "BOOKMARK":
                        self.add(seen)
                    last, blind_since = str(seen.version), 0.0
            except (Problem, ApiException):
                last, blind_since = "", blind_since or time.monotonic()
                self._end.wait(RETRY_SECONDS)
            except (HTTPError, OSError, ValueError):  # the API server may be down on purpose
                blind_since = blind_since or time.monotonic()
                self._end.wait(RETRY_SECONDS)

    def _look(self, kind: str, blind_since: float) -> str:
        """Take over what there is, as reports of what has changed since the last ones; return up to where.

        Args:
            kind: what to look at.
            blind_since: since when it was not watched, 0 for never.
        """
        answer = self._rest.call("GET", self._path(kind))
        known = {seen.uid: seen for seen in self.history(kind)}
        items = {item["metadata"]["uid"]: item | {"kind": kind, "apiVersion": GROUPS[kind]} for item in answer["items"]}
        now, changes = time.monotonic(), []
        for uid, item in items.items():
            before = known.get(uid)
            if before is None or before.version != int(item["metadata"]["resourceVersion"]):
                changes.append(Seen(now, "MODIFIED" if before else "ADDED", item))
        ended = [seen for uid, seen in known.items() if uid not in items and seen.type != "DELETED"]
        # events are forgotten after an hour
        changes += [Seen(now, "DELETED", seen.object) for seen in ended if kind != "Event"]
        for seen in changes:
            self.add(seen)
        if blind_since and changes and kind != "Event":
            with self._changed:
                self._missed.append(
                    f"for {now - blind_since:.0f} s no {kind} was seen; of {len(changes)} only the end is known"
                )
        return str(answer["metadata"]["resourceVersion"])

    def _path(self, kind: str) -> str:
        return self._rest.resource(kind, GROUPS[kind]).path(self._namespace)

    def _stream(self, kind: str, last: str) -> Iterator[Seen]:
        path = self._path(kind)
        for event in self._rest.watch(path, resourceVersion=last, allowWatchBookmarks="true"):
            if event["type"] == "ERROR":  # the server no longer knows what came after `last`
                raise Problem(str(event["object"].get("message")), where=path, then="look what is there")
            yield Seen(time.monotonic(), event["type"], event["object"])
