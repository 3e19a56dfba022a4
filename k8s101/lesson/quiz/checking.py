"""What the checks of all lessons are made of: one look at the cluster, told either way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from k8s101.errors import Problem
from k8s101.lesson.api.names import selects, version
from k8s101.lesson.api.recorder import WATCHED, Recorder
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import settled
from k8s101.lesson.quiz.bank import Finding

HOSTNAME = "kubernetes.io/hostname"


def expect(ok: object, good: str, bad: str | Callable[[], str]) -> Finding:
    """Say whether something is as the task wants it; `yield` the result, and what is not ok ends the check.

    Args:
        ok: whether it is.
        good: what is the case then.
        bad: what is the case otherwise, with the cause, never with the solution; a function where the cause has to be
            looked for first.
    """
    if ok:
        return Finding(True, good)
    return Finding(False, bad if isinstance(bad, str) else bad())


def same_version(pods: Sequence[Object], wanted: str) -> Finding:
    """Say whether all Pods run a release of the story app.

    Args:
        pods: the Pods.
        wanted: the tag that the task asks for.
    """
    others = sorted({version(pod) for pod in pods} - {wanted})
    return expect(not others, f"all run {wanted}", f"its Pods run {', '.join(others)}, the task wants {wanted}")


def spread_by_rule(workload: Object) -> Finding:
    """Say whether a rule spreads a workload's copies evenly over the nodes, not a preference and not luck.

    A rule is what the scheduler never breaks: topology spread with `DoNotSchedule`, or a required anti-affinity. It has
    to count these copies, and topology spread must not let nodes differ by more than one.

    Args:
        workload: a Deployment, or what else has a Pod template.
    """
    template = workload["spec"]["template"]
    spread = [rule for rule in template["spec"].get("topologySpreadConstraints") or [] if _by_node(rule)]
    apart = (template["spec"].get("affinity") or {}).get("podAntiAffinity") or {}
    required = list(filter(_by_node, apart.get("requiredDuringSchedulingIgnoredDuringExecution") or []))
    weighed = apart.get("preferredDuringSchedulingIgnoredDuringExecution") or []
    preferred = [rule for rule in spread if rule["whenUnsatisfiable"] != "DoNotSchedule"]
    preferred += [entry for entry in weighed if _by_node(entry["podAffinityTerm"])]
    rules = [rule for rule in spread if rule not in preferred] + required
    labels = template["metadata"].get("labels") or {}
    own = [rule for rule in rules if selects(rule.get("labelSelector"), labels)]
    skew = min((int(rule.get("maxSkew", 1)) for rule in own), default=0)
    if not rules and not preferred:
        why = (
            "they are spread by luck: nothing in the template says so, and the next rollout may place them differently"
        )
    elif not rules:
        why = "the template only prefers it: when a node has little room, the scheduler may place them differently"
    elif not own:
        why = "the rule in the template counts other Pods: its labelSelector does not fit theirs"
    else:
        why = f"the rule in the template allows more: a node may have {skew} more of them than another"
    return expect(skew == 1, "a rule in the template keeps it so", why)


def _by_node(rule: Object) -> bool:
    return bool(rule["topologyKey"] == HOSTNAME)


def fine(trouble: str | None, good: str) -> Finding:
    """Say what holds something up, if anything does.

    Args:
        trouble: the cause, None if there is none.
        good: what is the case when nothing holds it up.
    """
    return expect(trouble is None, good, str(trouble))


def settles(reference: str, good: str, seconds: float | None = None) -> Finding:
    """Wait until a workload has rolled out, and say so, or why it does not.

    Args:
        reference: kind and name, such as `deployment/web`.
        good: what is the case once it has.
        seconds: how long to wait, None for as long as a check usually waits.
    """
    return fine(settled(reference) if seconds is None else settled(reference, seconds), good)


def existing(api: Api, reference: str) -> Object:
    """Return an object that the lesson has made.

    Args:
        api: the lesson.
        reference: kind and name, such as `deployment/hello`.

    Raises:
        Problem: it is not there.
    """
    found = api.get(reference)
    if found is None:
        raise Problem(f"there is no {reference}", where=f"namespace {api.namespace}", then="run the cells above again")
    return found


def begun(kind: str, *names: str) -> Callable[[Api], str | None]:
    """Return what tells whether a learner has begun: once all these objects are there.

    Args:
        kind: their kind, as Kubernetes writes it, such as `Deployment`.
        names: their names.
    """

    def missing(api: Api) -> str | None:
        absent = [name for name in names if api.get(f"{kind.lower()}/{name}") is None]
        return f"there is no {kind} {absent[0]} yet" if absent else None

    return missing


def recorded(api: Api, kinds: tuple[str, ...] = WATCHED) -> Recorder:
    """Return what the lesson has seen happen, up to now.

    Args:
        api: the lesson.
        kinds: the kinds of objects of which everything must have arrived.

    Raises:
        Problem: nothing was recorded.
    """
    if api.recorder is None:
        raise Problem("nothing was recorded", where="this lesson", then="run the notebook from its first cell")
    api.recorder.catch_up(kinds)
    return api.recorder
