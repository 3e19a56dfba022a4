"""Module 10, Jobs and CronJobs: how its exercises are checked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from k8s101.cluster.values.deadline import until
from k8s101.errors import Problem
from k8s101.lesson.api.diagnose import HOPELESS, why_workload
from k8s101.lesson.api.names import condition, owner, pod_state
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.schedule import spelt, starts
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import poll
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import begun, existing, expect, recorded

DUE = "batch.kubernetes.io/cronjob-scheduled-timestamp"
"""The annotation that says when a run was due; runs that somebody starts by hand have none."""

FINISHED = ("Succeeded", "Failed")
JOB_SECONDS = 60
LETTERS = 4
KEPT = 600
OFFICE_HOURS = "*/10 8-17 * * 1-5"
TIME_ZONE = "Europe/Berlin"
LONGEST = 60
AGAIN = "delete the Job (kubectl delete job mail) and try again"
UNTOUCHED = 1
"""The generation of a CronJob that nobody has changed since it was created."""


def born(item: Object) -> datetime:
    """Return when an object was created."""
    return datetime.fromisoformat(item["metadata"]["creationTimestamp"])


def due(job: Object) -> datetime:
    """Return the time for which a CronJob has started a run."""
    return datetime.fromisoformat(job["metadata"]["annotations"][DUE])


def _runs(api: Api, name: str) -> list[Object]:
    """Return the Jobs of a CronJob, started on schedule or by hand."""
    item = api.get(f"cronjob/{name}")
    return [job for job in api.list("Job") if item and owner(job) == item["metadata"]["uid"]]


def _by_hand(api: Api, name: str) -> list[Object]:
    return [job for job in _runs(api, name) if DUE not in job["metadata"].get("annotations", {})]


def scheduled(api: Api, name: str) -> list[Object]:
    """Return the Jobs that a CronJob has started by itself, the first one due first.

    Args:
        api: the lesson.
        name: the CronJob's name.
    """
    own = [job for job in _runs(api, name) if DUE in job["metadata"].get("annotations", {})]
    return sorted(own, key=due)


def _ended(job: Object | None) -> str | None:
    """Return how a Job has ended, None if it has not."""
    for kind in ("Complete", "Failed"):
        if condition(job or {}, kind).get("status") == "True":
            return kind
    return None


def _waited(api: Api, name: str) -> str | None:
    """Wait until a Job has ended; return what holds it up, None if it has ended."""
    try:
        poll(f"job/{name}", _ended, JOB_SECONDS, "finished")
    except Problem as problem:
        return problem.found
    return None


def _mail(api: Api) -> Iterator[Finding]:
    trouble = _waited(api, "mail")
    yield expect(trouble is None, "mail has ended", str(trouble))
    job = existing(api, "job/mail")
    reason = condition(job, "Failed").get("reason")
    yield expect(not reason, "mail is complete", lambda: f"mail has failed: {reason}; {why_workload(api, job)}")
    sent = job["status"].get("succeeded", 0)
    yield expect(
        sent == LETTERS, f"{sent} Pods have succeeded", f"{sent} Pods have succeeded, the task wants {LETTERS}: {AGAIN}"
    )
    numbers = job["status"].get("completedIndexes")
    nameless = f"its Pods have no numbers: completionMode is {job['spec']['completionMode']}; {AGAIN}"
    yield expect(numbers, f"each had a number of its own: {numbers}", nameless)
    most = _most_at_once(api, job)
    yield expect(most == 2, "two ran at a time", f"{most} Pods ran at a time, the task says 2: {AGAIN}")
    kept = job["spec"].get("ttlSecondsAfterFinished")
    stays = "nobody deletes the finished Job and its Pods" if kept is None else f"they are deleted after {kept} s"
    told = f"{stays}; the task says ten minutes after the end"
    yield expect(kept == KEPT, f"they are deleted {kept} s after the end", told)


def _most_at_once(api: Api, job: Object) -> int:
    """Return how many Pods of a Job worked at the same time, as the lesson's recorder saw it."""
    busy: set[str] = set()
    most = 0
    for seen in recorded(api).history("Pod"):
        if owner(seen.object) != job["metadata"]["uid"]:
            continue
        over = seen.type == "DELETED" or seen.object["status"].get("phase") in FINISHED
        busy = busy - {seen.uid} if over else busy | {seen.uid}
        most = max(most, len(busy))
    return most


def _backup(api: Api) -> Iterator[Finding]:
    spec = existing(api, "cronjob/backup")["spec"]
    yield _on_time(spec["schedule"])
    zone = spec.get("timeZone")
    elsewhere = f"its clock is that of {zone or 'the control plane'}, the task asks for {TIME_ZONE}"
    yield expect(zone == TIME_ZONE, f"in the time zone {zone}", elsewhere)
    yield expect(not spec.get("suspend"), "it is not suspended", "it is suspended")
    overlap = "two runs may overlap: concurrencyPolicy is Allow"
    yield expect(spec["concurrencyPolicy"] != "Allow", "no two runs at the same time", overlap)
    by_hand = _by_hand(api, "backup")
    yield expect(by_hand, "a run was started by hand", "nobody has started a run by hand yet")
    name = max(by_hand, key=born)["metadata"]["name"]
    trouble = _waited(api, name)
    yield expect(trouble is None, f"{name} has ended", str(trouble))
    run = existing(api, f"job/{name}")
    limit = run["spec"].get("activeDeadlineSeconds")
    late = "nothing stops a run" if limit is None else f"a run is stopped after {limit} s"
    told = f"{late}, the task says after {LONGEST} s; correct it, and start a new run by hand"
    yield expect(limit == LONGEST, late, told)
    failed = condition(run, "Failed").get("reason")
    yield expect(not failed, f"{name} is complete", lambda: f"{name} has failed: {failed}; {why_workload(api, run)}")


def _on_time(schedule: str) -> Finding:
    """Say whether a schedule starts runs when the task wants them, and if not, name one that is wrong."""
    found, wanted = starts(schedule), starts(OFFICE_HOURS) or set()
    if found is None:
        return Finding(False, f'"{schedule}" does not start a run in every week of the year')
    extra, missing = sorted(found - wanted), sorted(wanted - found)
    wrong = f"starts a run on {spelt(extra[0])}" if extra else ""
    if missing:
        wrong = f"starts no run on {spelt(missing[0])}"
    return expect(not wrong, f'"{schedule}" is every ten minutes in office hours', f'"{schedule}" {wrong}')


def _invoices_begun(api: Api) -> str | None:
    item = api.get("cronjob/invoices")
    if item is None:
        return "there is no CronJob invoices yet"
    same = item["metadata"]["generation"] == UNTOUCHED and _asked_secrets(item) and _missing_secrets(api, item)
    hung = any(_hangs(api, job) for job in _runs(api, "invoices"))
    return "invoices is as your colleague left it" if same and hung and not _by_hand(api, "invoices") else None


def _invoices(api: Api) -> Iterator[Finding]:
    item = existing(api, "cronjob/invoices")
    yield expect(not item["spec"].get("suspend"), "invoices is not suspended", "invoices is suspended")
    until(lambda: all(_ended(job) or _hangs(api, job) for job in _runs(api, "invoices")), JOB_SECONDS)
    done = [job for job in _runs(api, "invoices") if _ended(job) == "Complete"]
    yield expect(done, "a run is complete", "no run of invoices has completed yet")
    ready = not _missing_secrets(api, item)
    yield expect(ready, "the next run can start, too", "this run is complete, but the next one on schedule will hang")
    hung = [job for job in _runs(api, "invoices") if _hangs(api, job)]
    blocked = "a run still hangs, and as long as it does, nothing starts on schedule"
    yield expect(not hung, "no run hangs", blocked)
    policy, spec = item["spec"]["concurrencyPolicy"], item["spec"]["jobTemplate"]["spec"]
    yield expect(policy != "Allow", "runs do not overlap", "runs that hang would pile up: concurrencyPolicy is Allow")
    limited = policy == "Replace" or spec.get("activeDeadlineSeconds")
    yield expect(limited, "a run that hangs comes to an end", "nothing ends a run that hangs: it blocks all others")


def _asked_secrets(item: Object) -> set[str]:
    """Return the Secrets that the runs of a CronJob need for their variables."""
    containers = item["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    sources = [entry.get("valueFrom", {}) for each in containers for entry in each.get("env") or []]
    return {source["secretKeyRef"]["name"] for source in sources if "secretKeyRef" in source}


def _missing_secrets(api: Api, item: Object) -> set[str]:
    return {name for name in _asked_secrets(item) if api.get(f"secret/{name}") is None}


def _hangs(api: Api, job: Object) -> bool:
    """Tell whether a Pod of a Job waits for something that does not come by itself."""
    pods = [pod for pod in api.list("Pod") if owner(pod) == job["metadata"]["uid"]]
    return any(pod_state(pod) in HOPELESS for pod in pods)


EXERCISES = (
    Exercise(
        "mail",
        begun("Job", "mail"),
        _mail,
        (
            "Four lines are missing under spec. pages.yaml has three of them, with other values.",
            "completions says how many Pods must succeed, parallelism how many run at a time, and completionMode gives "
            "out numbers. `kubectl explain job.spec` describes what deletes a finished Job.",
            "completions: 4, parallelism: 2, completionMode: Indexed, ttlSecondsAfterFinished: 600. A Job that exists "
            "must be deleted first.",
        ),
    ),
    Exercise(
        "backup",
        begun("CronJob", "backup"),
        _backup,
        (
            "The five fields are minute, hour, day of the month, month, day of the week. Which do you restrict?",
            "`kubectl explain cronjob.spec` describes the time zone and the policy, `kubectl explain "
            "cronjob.spec.jobTemplate.spec` what stops a run. Start a run as you did with report.",
            'schedule: "*/10 8-17 * * 1-5", timeZone: Europe/Berlin, concurrencyPolicy: Forbid, and '
            "activeDeadlineSeconds: 60 under jobTemplate.spec; then kubectl create job now --from=cronjob/backup",
        ),
    ),
    Exercise(
        "invoices",
        _invoices_begun,
        _invoices,
        (
            "Go down: CronJob, Job, Pod. `kubectl get cronjobs,jobs,pods` shows all three; which of them looks odd?",
            "A run is active and does not get on. Describe its Pod: what is it waiting for, and does that exist under "
            "another name? And why does no other run start meanwhile?",
            "The Pod wants Secret invoice-key, and the Secret is called invoices-key. Correct the CronJob, add "
            "activeDeadlineSeconds under jobTemplate.spec, delete the Job that hangs, and start a run by hand.",
        ),
    ),
)
