"""Module 10, Jobs and CronJobs: what it asks and how its exercises are checked."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime

from k8s101.errors import Problem
from k8s101.lesson.api.diagnose import why_workload
from k8s101.lesson.api.names import condition, owner
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.schedule import distance
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.wait import poll
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Option, Question, among
from k8s101.lesson.quiz.checking import begun, expect, recorded

DUE = "batch.kubernetes.io/cronjob-scheduled-timestamp"
"""The annotation that says when a run was due; runs made by hand have none."""

FINISHED = ("Succeeded", "Failed")
JOB_SECONDS = 60
MINUTE_SECONDS = 10


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _born(item: Object) -> datetime:
    return _time(item["metadata"]["creationTimestamp"])


def _due(job: Object) -> datetime:
    return _time(job["metadata"]["annotations"][DUE])


def _runs(api: Api, name: str) -> list[Object]:
    """Return the Jobs that a CronJob has, by schedule or by hand."""
    item = api.get(f"cronjob/{name}")
    return [job for job in api.list("Job") if item and owner(job) == item["metadata"]["uid"]]


def _scheduled(api: Api, name: str) -> list[Object]:
    """Return the Jobs that a CronJob has made by itself, the first one due first."""
    own = [job for job in _runs(api, name) if DUE in job["metadata"].get("annotations", {})]
    return sorted(own, key=_due)


def _pods(api: Api, job: str) -> list[Object]:
    return api.list("Pod", f"batch.kubernetes.io/job-name={job}")


def _first_run(before: Before, api: Api) -> str:
    due, born = _due(_scheduled(api, "report")[0]), _born(api.get("cronjob/report") or {})
    if due <= born:
        return "at-once"
    return "full-minute" if due.second == 0 else "after-a-minute"


def _missed(before: Before, api: Api) -> str:
    runs = _scheduled(api, "allow")
    made_up = [job for job in runs if _due(job) <= min(_born(run) for run in runs)]
    return {0: "none", 1: "one"}.get(len(made_up), "five")


def _after_the_end(before: Before, api: Api) -> str:
    pods = _pods(api, "countdown")
    if not pods:
        return "deleted"
    return "completed" if pods[0]["status"]["phase"] == "Succeeded" else "restarted"


def _deleted(before: Before, api: Api) -> str:
    if api.get("job/countdown"):
        return "refused"
    left = _pods(api, "countdown")
    return "orphaned" if left and not owner(left[0]) else "deleted"


def _six_pages(before: Before, api: Api) -> str:
    return among(len(_pods(api, "pages")), {1: "one", 3: "three", 6: "six"})


def _tries(before: Before, api: Api) -> str:
    return {1: "one", 2: "two"}.get(len(_pods(api, "import")), "many")


def _lost_work(before: Before, api: Api) -> str:
    deadline = time.monotonic() + MINUTE_SECONDS
    while True:  # what the controller does at a full minute it does one after the other
        losers = [name for name in ("allow", "forbid", "replace") if _lost_runs(api, name)]
        if losers or time.monotonic() > deadline:
            outcomes = {("allow",): "allow", ("forbid",): "forbid", ("replace",): "replace", (): "none"}
            return among(tuple(losers), outcomes)
        time.sleep(0.2)


def _lost_runs(api: Api, name: str) -> set[str]:
    """Return the Jobs that a CronJob has made and that are gone, though they had not ended."""
    uid = (api.get(f"cronjob/{name}") or {})["metadata"]["uid"]
    told = api.rest.list("Event", api.namespace, f"involvedObject.uid={uid}")

    def jobs(reason: str) -> set[str]:
        texts = [str(event["message"]) for event in told if event["reason"] == reason]
        return {found for text in texts for found in re.findall(rf"{name}-\d+", text)}

    here = {job["metadata"]["name"] for job in _runs(api, name)}
    return jobs("SuccessfulCreate") - jobs("SawCompletedJob") - here


QUESTIONS = (
    Question(
        "first-run",
        "You create a CronJob for every minute. When is its first run?",
        {
            "at-once": Option("at once", "A CronJob does nothing when it is created; it waits for its time."),
            "full-minute": Option("at the next full minute", "a schedule names moments of the clock, not distances"),
            "after-a-minute": Option(
                "one minute after you create it", "It does not count from its creation: it looks at the clock."
            ),
        },
        _first_run,
    ),
    Question(
        "missed",
        "A CronJob for every minute was suspended for five minutes. You let it go on. How many runs are made up for?",
        {
            "none": Option("none: what is missed is missed", "It would be so with a short startingDeadlineSeconds."),
            "one": Option("one, at once", "it looks for the latest moment that it missed, and only for that"),
            "five": Option("five, one after the other", "It does not work through a list of what it missed."),
        },
        _missed,
    ),
    Question(
        "after-the-end",
        "The container of the Job ends with exit code 0. What becomes of its Pod?",
        {
            "restarted": Option(
                "its container starts again", "That is how a Deployment's Pods behave; here restartPolicy is Never."
            ),
            "completed": Option("it stays, completed", "it takes no CPU or memory, and its log can be read"),
            "deleted": Option("it is deleted", "It is kept, so that you can look at it."),
        },
        _after_the_end,
    ),
    Question(
        "deleted",
        "You delete the Job with the Python client and say no more. What happens to its Pod?",
        {
            "deleted": Option(
                "it goes, too", "So it is with kubectl, which asks for it; the bare API does not for Jobs."
            ),
            "orphaned": Option("it stays, with no owner", "for Jobs the API's default is to leave Pods behind"),
            "refused": Option("nothing: a Job with Pods cannot be deleted", "Owners can always be deleted."),
        },
        _deleted,
    ),
    Question(
        "six-pages",
        "Six pages, three at a time. How many Pods are there when all is done?",
        {
            "one": Option("one", "One Pod could print them one after the other, but it has one number only."),
            "three": Option("three", "A Pod is not used twice: when it has ended, the next page gets a new one."),
            "six": Option("six", "each page has a Pod of its own"),
        },
        _six_pages,
    ),
    Question(
        "tries",
        "The import finds no list and fails. backoffLimit is 1. How many Pods are started?",
        {
            "one": Option("one", "The limit counts the tries after the first failure."),
            "two": Option("two", "the first, and one try more"),
            "many": Option("as many as it takes", "A Job without a limit would still give up after six tries more."),
        },
        _tries,
    ),
    Question(
        "lost-work",
        "A full minute comes while all three are still busy. Which one throws away work that it has begun?",
        {
            "allow": Option("allow", "It starts a second run beside the first one."),
            "forbid": Option("forbid", "It skips the new run and lets the old one work."),
            "replace": Option("replace", "it deletes the run that is busy, and starts anew"),
            "none": Option("none of them", "One of them is told to, by its policy."),
        },
        _lost_work,
    ),
)


def _ended(job: Object | None) -> str | None:
    """Return how a Job has ended, None if it has not."""
    for kind in ("Complete", "Failed"):
        if condition(job or {}, kind).get("status") == "True":
            return kind
    return None


def _mailed(api: Api) -> Iterator[Finding]:
    again = 'delete the Job (kubectl("delete job mail")) and try again'
    try:
        poll("job/mail", _ended, JOB_SECONDS, "finished")
    except Problem as problem:
        yield Finding(False, problem.found)
        return
    job = api.get("job/mail") or {}
    reason = condition(job, "Failed").get("reason")
    yield expect(not reason, "mail is complete", lambda: f"mail has failed: {reason}; {why_workload(api, job)}")
    sent = job["status"].get("succeeded", 0)
    yield expect(sent == 5, f"{sent} Pods ended well", f"{sent} Pods ended well, the task wants 5: {again}")
    numbers = job["status"].get("completedIndexes")
    nameless = f"its Pods have no numbers: completionMode is {job['spec']['completionMode']}; {again}"
    yield expect(bool(numbers), f"each had a number of its own: {numbers}", nameless)
    most = _most_at_once(api, job)
    wrong = f"{most} Pods at a time, the task says 2: look at parallelism; {again}"
    yield expect(most == 2, "two at a time", wrong)


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


def _backed_up(api: Api) -> Iterator[Finding]:
    item = api.get("cronjob/backup") or {}
    spec = item["spec"]
    schedule = spec["schedule"]
    minutes = distance(schedule)
    often = f"every {minutes} minutes" if minutes else "at changing distances"
    yield expect(minutes == 5, f"it starts every {minutes} minutes", f'"{schedule}" starts it {often}')
    yield expect(not spec.get("suspend"), "it is not suspended", "it is suspended")
    policy = spec["concurrencyPolicy"]
    overlap = "two runs may overlap: concurrencyPolicy is Allow"
    yield expect(policy != "Allow", "no two runs at the same time", overlap)
    runs = [job for job in _runs(api, "backup") if DUE not in job["metadata"].get("annotations", {})]
    yield expect(bool(runs), "a run was started by hand", "no run was started by hand yet")
    run = max(runs, key=_born)
    try:
        poll(f"job/{run['metadata']['name']}", _ended, JOB_SECONDS, "finished")
    except Problem as problem:
        yield Finding(False, problem.found)
        return
    run = api.get(f"job/{run['metadata']['name']}") or run
    limit = run["spec"].get("activeDeadlineSeconds")
    late = "it may take for ever" if limit is None else f"it is stopped after {limit} s"
    in_time = limit is not None and limit <= 60
    yield expect(in_time, late, f"{late}: look at activeDeadlineSeconds, and start a new run")
    failed = condition(run, "Failed").get("reason")
    yield expect(not failed, "it is complete", lambda: f"it has failed: {failed}; {why_workload(api, run)}")


EXERCISES = (
    Exercise(
        "mail",
        begun("Job", "mail"),
        _mailed,
        (
            "pages.yaml prints six pages, three at a time, and each Pod knows its own.",
            "completions says how many, parallelism how many at a time; completionMode gives out numbers.",
            'completions=5, parallelism=2, mode="Indexed"; a Job that exists is deleted first: '
            'kubectl("delete job mail")',
        ),
    ),
    Exercise(
        "backup",
        begun("CronJob", "backup"),
        _backed_up,
        (
            "Begin with report.yaml. Which of its lines says when, and which policy has no two runs at a time?",
            'kubectl("explain job.spec.activeDeadlineSeconds") says how a run is stopped; '
            'kubectl("explain cronjob.spec.schedule") how minutes are written. Start a run as you did in step 1.',
            'apply("solution-backup.yaml"), then kubectl("create job now --from=cronjob/backup")',
        ),
    ),
)
