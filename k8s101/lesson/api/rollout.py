"""What happened to a Deployment's Pods while it replaced them, from recorded watch events."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from k8s101.errors import Problem
from k8s101.lesson.api.names import REVISION, owner, ready, revision, version
from k8s101.lesson.api.recorder import Recorder, Seen
from k8s101.lesson.api.rest import Object


@dataclass(frozen=True)
class Sample:
    """The Deployment's Pods at one moment.

    Args:
        at: seconds since the rollout began.
        ready: ready Pods of each revision.
        pods: Pods that are not about to stop.
    """

    at: float
    ready: dict[str, int]
    pods: int

    @property
    def all_ready(self) -> int:
        """Ready Pods of all revisions."""
        return sum(self.ready.values())


@dataclass(frozen=True)
class Rollout:
    """One change of a Deployment's template, as it was carried out.

    Args:
        name: of the Deployment.
        versions: image tag by revision.
        old: the revision it began with, empty if it was the first.
        new: the revision it went to.
        least: ready Pods that the strategy keeps.
        most: Pods that the strategy allows.
        wanted: replicas.
        highest: the largest number of Pods that the Deployment asked its ReplicaSets for, all together. Each of them
            has a worker of its own, so for a moment there may be a Pod more while another one's end is due.
        samples: what was seen, in order.
    """

    name: str
    versions: dict[str, str]
    old: str
    new: str
    least: int
    most: int
    wanted: int
    highest: int
    samples: tuple[Sample, ...]

    @property
    def lowest(self) -> int:
        """The smallest number of ready Pods that was seen."""
        return min(sample.all_ready for sample in self.samples)

    @property
    def inside_band(self) -> bool:
        """Whether there never were fewer ready Pods, or more Pods wanted, than the strategy allows."""
        return self.lowest >= self.least and self.highest <= self.most


def bounds(deployment: Object) -> tuple[int, int]:
    """Return how many Pods must stay ready, and how many there may be, during a rolling update.

    Percentages count as the controller counts them: maxSurge is rounded up, maxUnavailable down
    (kubernetes.io/docs/concepts/workloads/controllers/deployment).
    """
    wanted = int(deployment["spec"].get("replicas", 1))
    update = deployment["spec"].get("strategy", {}).get("rollingUpdate") or {}
    surge = _share(update.get("maxSurge", "25%"), wanted, math.ceil)
    away = _share(update.get("maxUnavailable", "25%"), wanted, math.floor)
    if surge == 0 and away == 0:
        away = 1
    return max(wanted - away, 0), wanted + surge


def _share(value: int | str, whole: int, rounded: Callable[[float], int]) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return rounded(int(value[:-1]) * whole / 100)
    return int(value)


def last_rollout(recorder: Recorder, deployment: Object) -> Rollout:
    """Return the latest rollout of a Deployment.

    Args:
        recorder: what was seen.
        deployment: the Deployment as it is now.

    Raises:
        Problem: nothing of it was recorded.
    """
    uid = deployment["metadata"]["uid"]
    history = [seen for seen in recorder.history("Deployment") if seen.uid == uid]
    revisions = [
        (seen.version, str(seen.object["metadata"].get("annotations", {}).get(REVISION, ""))) for seen in history
    ]
    if not revisions:
        raise Problem("nothing was recorded", where=deployment["metadata"]["name"], then="run the lesson from its top")
    new = revisions[-1][1]
    start = max((written for written, number in revisions if number != new), default=revisions[0][0])
    sets = {seen.uid: seen.object for seen in recorder.history("ReplicaSet") if owner(seen.object) == uid}
    least, most = bounds(deployment)
    samples = tuple(_samples(recorder.history("Pod"), sets, start))
    if not samples:
        raise Problem("nothing was recorded", where=deployment["metadata"]["name"], then="run the lesson from its top")
    old = max((number for number in samples[0].ready if number != new), key=_number, default="")
    return Rollout(
        name=deployment["metadata"]["name"],
        versions={revision(item): version(item) for item in sets.values()},
        old=old,
        new=new,
        least=least,
        most=most,
        wanted=int(deployment["spec"].get("replicas", 1)),
        highest=_asked(recorder.history("ReplicaSet"), uid, start),
        samples=samples,
    )


def _number(text: str) -> int:
    return int(text) if text.isdigit() else -1


def _asked(history: list[Seen], uid: str, start: int) -> int:
    sizes: dict[str, int] = {}
    highest = 0
    for seen in history:
        mine = owner(seen.object) == uid and seen.type != "DELETED"
        sizes[seen.uid] = int(seen.object["spec"].get("replicas", 1)) if mine else 0
        if seen.version >= start:
            highest = max(highest, sum(sizes.values()))
    return highest


def _samples(history: list[Seen], sets: dict[str, Object], start: int) -> list[Sample]:
    """Replay the Pods' history and look at them after each report since the rollout began.

    Where it began is told by versions, not by time of arrival: watches of different kinds lag differently.
    """
    now: dict[str, Object] = {}
    samples: list[Sample] = []
    began = 0.0
    for seen in history:
        if owner(seen.object) not in sets:
            continue
        if seen.version >= start and not samples:
            began = seen.at
            samples.append(_look(now, sets, 0.0))
        if seen.type == "DELETED":
            now.pop(seen.uid, None)
        else:
            now[seen.uid] = seen.object
        if samples:
            samples.append(_look(now, sets, seen.at - began))
    return samples


def _look(pods: dict[str, Object], sets: dict[str, Object], at: float) -> Sample:
    counts: dict[str, int] = {}
    staying = [pod for pod in pods.values() if not pod["metadata"].get("deletionTimestamp")]
    for pod in staying:
        number = revision(sets[owner(pod)])
        counts[number] = counts.get(number, 0) + ready(pod)
    return Sample(at, counts, len(staying))
