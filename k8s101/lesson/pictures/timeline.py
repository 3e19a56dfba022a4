"""Show what happened over time: a rollout by revision, or the life of a Pod by who acted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from k8s101.errors import Problem
from k8s101.lesson.api.environment import steady
from k8s101.lesson.api.names import condition, owner, short
from k8s101.lesson.api.recorder import Recorder, Seen
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.rollout import Rollout, last_rollout
from k8s101.lesson.api.session import current
from k8s101.lesson.pictures.picture import BLUE, INK, PURPLE, Picture, document, label, mark, path, rectangle

EVENT_SECONDS = 5
LEFT, TOP, WIDTH, UNIT = 40.0, 24.0, 560.0, 24.0
OLD: dict[str, str | float] = {"stroke": PURPLE, "stroke_width": 2.5, "stroke_dasharray": "7 4"}
NEW: dict[str, str | float] = {"stroke": BLUE, "stroke_width": 2.5}
ALL: dict[str, str | float] = {"stroke": INK, "stroke_width": 1.2}


@dataclass(frozen=True, repr=False)
class RolloutPicture(Picture):
    """The timeline of a rollout, which can be asked whether it kept to its strategy.

    Args:
        inside_band: whether there never were too few ready Pods or too many Pods.
    """

    inside_band: bool = False


def timeline(reference: str) -> Picture:
    """Show the last rollout of a Deployment, the last Pod that it replaced without one, or how a Pod came to be.

    Args:
        reference: `deployment/name` or `pod/name`.

    Returns:
        A picture that the notebook shows. That of a rollout has `.inside_band`.

    Raises:
        Problem: there is no such object, or nothing was recorded.
    """
    api = current()
    item = api.existing(reference)
    if api.recorder is None or item["kind"] not in ("Deployment", "Pod"):
        raise Problem(
            f"there is no timeline of {reference}",
            where=f"namespace {api.namespace}",
            then="name a Deployment or Pod",
        )
    api.recorder.catch_up()
    for gap in api.recorder.missed():
        print(f"the recording has a gap: {gap}")
    if item["kind"] == "Pod":
        return _life_of(api.recorder, item)
    replacement = last_replacement(api.recorder, item)
    if replacement is None:
        return rollout_picture(last_rollout(api.recorder, item))
    # which node it is depends on which Pod was lost
    return _life_of(api.recorder, replacement, node="worker-…" if steady() else None)


def _life_of(recorder: Recorder, pod: Object, node: str | None = None) -> Picture:
    told = _told(recorder, pod)
    recorder.wait(told, EVENT_SECONDS)  # events are sent apart from what they tell of
    return life_picture(life(recorder, pod, node))


def last_replacement(recorder: Recorder, deployment: Object) -> Object | None:
    """Return the youngest Pod of a Deployment if it was created because another one was lost, else None.

    Args:
        recorder: what was seen.
        deployment: the Deployment as it is now.
    """
    uid = deployment["metadata"]["uid"]
    sets = {seen.uid for seen in recorder.history("ReplicaSet") if owner(seen.object) == uid}
    history = [seen for seen in recorder.history("Pod") if owner(seen.object) in sets]
    if not history:
        return None
    births: dict[str, int] = {}
    for number, seen in enumerate(history):
        births.setdefault(seen.uid, number)
    youngest = max(births, key=lambda key: births[key])
    life_reports = [seen for seen in history if seen.uid == youngest]
    return life_reports[-1].object if _death_before(recorder, life_reports) else None


def rollout_text(rollout: Rollout) -> str:
    """Return the facts of a rollout that are the same on every run."""

    def name(number: str) -> str:
        return f"revision {number} ({rollout.versions.get(number, '?')})"

    first, last = rollout.samples[0], rollout.samples[-1]
    lines = [f"deployment/{rollout.name}: " + " → ".join(name(n) for n in (rollout.old, rollout.new) if n)]
    lines += [
        f"  ready Pods of revision {number}: {first.ready.get(number, 0)} → {last.ready.get(number, 0)}"
        for number in (rollout.old, rollout.new)
        if number
    ]
    word = {True: "kept", False: "BROKEN"}
    lines.append(f"  at least {rollout.least} ready: {word[rollout.lowest >= rollout.least]}")
    lines.append(f"  at most {rollout.most} Pods: {word[rollout.highest <= rollout.most]}")
    return "\n".join(lines)


def rollout_picture(rollout: Rollout) -> RolloutPicture:
    """Draw ready Pods by revision over time, and the band that the strategy allows."""
    old, new = rollout.versions.get(rollout.old, "nothing"), rollout.versions.get(rollout.new, "?")
    bottom = TOP + rollout.most * UNIT
    seconds = max(rollout.samples[-1].at, 0.1)

    def y(count: float) -> float:
        return bottom - count * UNIT

    def steps(values: list[int], style: dict[str, str | float]) -> str:
        places = [(LEFT + WIDTH * s.at / seconds, y(v)) for s, v in zip(rollout.samples, values, strict=True)]
        line = f"M{places[0][0]:.1f} {places[0][1]:g}" + "".join(f"H{px:.1f}V{py:g}" for px, py in places[1:])
        return path(line, **style)

    parts = [rectangle(LEFT, y(rollout.most), WIDTH, y(rollout.least) - y(rollout.most), fill="#eaf4fb")]
    parts += [label(LEFT - 22, y(n) + 4, str(n), font_size="12") for n in range(rollout.most + 1)]
    parts.append(path(f"M{LEFT:g} {TOP:g}V{bottom:g}H{LEFT + WIDTH:g}"))
    parts.append(label(LEFT + 6, y(rollout.most) + 14, f"allowed: {rollout.least} to {rollout.most}", font_size="12"))
    parts.append(steps([sample.pods for sample in rollout.samples], ALL))
    if rollout.old:
        parts.append(steps([sample.ready.get(rollout.old, 0) for sample in rollout.samples], OLD))
    parts.append(steps([sample.ready.get(rollout.new, 0) for sample in rollout.samples], NEW))
    parts.append(label(LEFT, bottom + 18, "0 s"))
    parts.append(label(LEFT + WIDTH - 30, bottom + 18, f"{seconds:.1f} s"))
    legend = [("all Pods", ALL), (f"ready, {new}", NEW)]
    if rollout.old:
        legend.insert(1, (f"ready, {old}", OLD))
    for number, (text, style) in enumerate(legend):
        x = LEFT + 70 + number * 150
        parts.append(path(f"M{x:g} {bottom + 14:g}h28", **style))
        parts.append(label(x + 34, bottom + 18, text, font_size="12"))
    text = rollout_text(rollout)
    kept = "stays inside" if rollout.inside_band else "leaves"
    alt = (
        f"Pods of deployment/{rollout.name} over time: ready Pods of {old} fall, those of {new} rise, and "
        f"their number {kept} the allowed band of {rollout.least} ready to {rollout.most} in all."
    )
    svg = document(LEFT + WIDTH + 20, bottom + 32, alt, parts)
    return RolloutPicture(svg, alt, text, rollout.inside_band)


@dataclass(frozen=True)
class Act:
    """One step in the life of a Pod: who did what."""

    who: str
    what: str


def _told(recorder: Recorder, pod: Object) -> Callable[[], bool]:
    steps = {step for step, _ in _steps(pod)}
    return lambda: steps <= _reporters(recorder, pod).keys()


def life(recorder: Recorder, pod: Object, node: str | None = None) -> list[Act]:
    """Return who did what until a Pod was ready, in the order in which its states were seen.

    Args:
        recorder: what was seen.
        pod: the Pod as it is now.
        node: what its node is called; its name if left out.
    """
    uid = pod["metadata"]["uid"]
    reporters = _reporters(recorder, pod)
    history = [seen for seen in recorder.history("Pod") if seen.uid == uid]
    acts = _death_before(recorder, history)
    reached: set[str] = set()
    for seen in history:
        for step, what in _steps(seen.object, node):
            if step not in reached:
                reached.add(step)
                acts.append(Act(reporters.get(step, "?"), what))
    return acts


def _steps(pod: Object, named: str | None = None) -> list[tuple[str, str]]:
    """Return the steps that a Pod has behind it, as the reason of the event that speaks of each."""
    steps = [("SuccessfulCreate", f"creates Pod {short(pod)}")]
    if node := pod["spec"].get("nodeName"):
        steps.append(("Scheduled", f"assigns it to {named or node}"))
    containers = pod.get("status", {}).get("containerStatuses") or []
    if any("running" in entry.get("state", {}) for entry in containers):
        steps.append(("Started", "starts its container"))
    if condition(pod, "Ready").get("status") == "True":
        steps.append(("Ready", "reports it ready"))
    return steps


def _reporters(recorder: Recorder, pod: Object) -> dict[str, str]:
    """Return which component reported each step, from the events about the Pod and about its owner."""
    name, uids = pod["metadata"]["name"], {pod["metadata"]["uid"], owner(pod)}
    found: dict[str, str] = {}
    for seen in recorder.history("Event"):
        event = seen.object
        target = event["involvedObject"].get("uid")
        about = target == pod["metadata"]["uid"] or (target in uids and name in str(event.get("message")))
        if about:
            component = event.get("reportingComponent") or event.get("source", {}).get("component")
            found.setdefault(str(event["reason"]), str(component))
    # readiness has no event of its own; the kubelet that started the container reports it
    return found | ({"Ready": found["Started"]} if "Started" in found else {})


CONTROLLERS = frozenset({"SuccessfulDelete", "TaintManagerEviction", "Evicted", "Preempted"})
"""Events of a Pod that the cluster itself removed."""


def _death_before(recorder: Recorder, history: list[Seen]) -> list[Act]:
    """Return the deletion of a sister Pod by the learner that made a new one necessary, if there was one."""
    if not history:
        return []
    born, parent = history[0], owner(history[0].object)
    seen_before = [seen for seen in recorder.history("Pod") if seen.at <= born.at and owner(seen.object) == parent]
    marked = [seen for seen in seen_before if seen.object["metadata"].get("deletionTimestamp")]
    if not marked or _removed_by_cluster(recorder, marked[-1].object):
        return []
    return [Act("you", f"delete Pod {short(marked[-1].object)}")]


def _removed_by_cluster(recorder: Recorder, pod: Object) -> bool:
    name, uids = pod["metadata"]["name"], {pod["metadata"]["uid"], owner(pod)}
    events = [seen.object for seen in recorder.history("Event") if seen.object.get("reason") in CONTROLLERS]
    return any(
        event["involvedObject"].get("uid") in uids
        and name in (event["involvedObject"].get("name"), *str(event.get("message")).split())
        for event in events
    )


def life_picture(acts: list[Act]) -> Picture:
    """Draw who did what: a lane for each actor, numbered steps from left to right."""
    lanes = list(dict.fromkeys(act.who for act in acts))
    column, row, left = 150.0, 46.0, 170.0
    places = [(left + number * column, TOP + 16 + lanes.index(act.who) * row) for number, act in enumerate(acts)]
    parts: list[str] = []
    for (x1, y1), (x2, y2) in zip(places, places[1:], strict=False):
        parts.append(path(f"M{x1 + 9:g} {y1:g}C{x1 + 60:g} {y1:g} {x2 - 60:g} {y2:g} {x2 - 9:g} {y2:g}"))
    for number, lane in enumerate(lanes):
        parts.append(label(12, TOP + 20 + number * row, lane, font_weight="bold"))
    for number, ((x, y), act) in enumerate(zip(places, acts, strict=True), 1):
        last = number == len(acts)
        parts.append(mark(x, y, "ok") if last else f'<circle cx="{x:g}" cy="{y:g}" r="8" fill="{BLUE}"/>')
        if not last:
            parts.append(label(x, y + 4, str(number), fill="#ffffff", text_anchor="middle", font_size="11"))
        parts.append(label(x, y + 22, act.what, text_anchor="middle", font_size="12"))
    width, height = left + len(acts) * column - 60, TOP + len(lanes) * row + 8
    words = [f"{act.who} {act.what}" for act in acts]
    alt = f"Who did what, in {len(acts)} steps: {'; '.join(words)}."
    longest = max((len(lane) for lane in lanes), default=0)
    text = "\n".join(f"{number}  {act.who:<{longest}}  {act.what}" for number, act in enumerate(acts, 1))
    return Picture(document(width, height, alt, parts), alt, text)
