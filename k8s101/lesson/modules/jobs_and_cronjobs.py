"""Module 10, Jobs and CronJobs: what it asks."""

from __future__ import annotations

from k8s101.lesson.api.names import condition, owner
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.modules.jobs_and_cronjobs_exercises import EXERCISES, born, due, scheduled
from k8s101.lesson.quiz.bank import Before, Option, Question
from k8s101.lesson.quiz.checking import existing

__all__ = ["EXERCISES", "QUESTIONS"]


def _pods(api: Api, job: str) -> list[Object]:
    return api.list("Pod", f"batch.kubernetes.io/job-name={job}")


def _first_run(before: Before, api: Api) -> str:
    first, created = due(scheduled(api, "report")[0]), born(existing(api, "cronjob/report"))
    if first <= created:
        return "at-once"
    return "full-minute" if first.second == 0 else "after-a-minute"


def _missed(before: Before, api: Api) -> str:
    return {0: "none", 1: "one"}.get(len(scheduled(api, "nightly")), "three")


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


def _one_fails(before: Before, api: Api) -> str:
    job = existing(api, "job/torn")
    if condition(job, "Complete").get("status") == "True":
        return "complete"
    return "others" if job["status"].get("completedIndexes") == "0-2,4,5" else "stops"


def _tries(before: Before, api: Api) -> str:
    return {1: "one", 2: "two"}.get(len(_pods(api, "import")), "many")


QUESTIONS = (
    Question(
        "after-the-end",
        "The container of the Job ends with exit code 0. What happens to its Pod?",
        {
            "restarted": Option(
                "its container starts again", "That is what happens in a Deployment. This Pod's restartPolicy is Never."
            ),
            "completed": Option("it stays, Completed", "it uses no CPU and no memory, and its log can still be read"),
            "deleted": Option("it is deleted", "It is kept, so that you can see how it ended and read its log."),
        },
        _after_the_end,
    ),
    Question(
        "deleted",
        "A program deletes the Job with the Python client and sets no option. What happens to its Pod?",
        {
            "deleted": Option(
                "it is deleted, too", "kubectl asks for that. A program that does not ask gets the API's default."
            ),
            "orphaned": Option("it stays, without an owner", "for Jobs, the API's default is to leave the Pods behind"),
            "refused": Option(
                "nothing, because a Job that has Pods can't be deleted", "You can always delete an owner."
            ),
        },
        _deleted,
    ),
    Question(
        "first-run",
        "You create a CronJob for every minute. When is its first run?",
        {
            "at-once": Option("at once", "Creating a CronJob starts nothing; it waits for its time."),
            "full-minute": Option("at the next full minute", "a schedule names moments on the clock, not intervals"),
            "after-a-minute": Option(
                "one minute after you create it", "It does not count from its creation. It looks at the clock."
            ),
        },
        _first_run,
    ),
    Question(
        "missed",
        "The cluster was off for three nights. How many of the three missed runs of `nightly` does it start now?",
        {
            "none": Option("none, because it is past three o'clock", "That is what startingDeadlineSeconds is for."),
            "one": Option("one", "the controller looks for the latest time that it missed, and starts one run for it"),
            "three": Option("three, one after the other", "The controller does not keep a list of missed runs."),
        },
        _missed,
    ),
    Question(
        "one-fails",
        "Page 3 can't be printed: its Pod fails. What happens to the other five pages?",
        {
            "stops": Option(
                "the Job stops at once, and some are never printed",
                "It would with backoffLimit: 0, which counts failures of all Pods together.",
            ),
            "others": Option("they are printed, and then the Job fails", "each number has retries of its own"),
            "complete": Option(
                "they are printed, and the Job is complete", "A Job is complete only if every number has succeeded."
            ),
        },
        _one_fails,
    ),
    Question(
        "tries",
        "The task `import` finds no list and fails. backoffLimit is 1. How many Pods does the Job create?",
        {
            "one": Option("one", "The limit counts the retries, not the first attempt."),
            "two": Option("two", "the first attempt and one retry"),
            "many": Option("as many as it takes", "Every Job has a limit. Without this line it would be 6."),
        },
        _tries,
    ),
    Question(
        "skipped",
        "The run of `forbid` was busy at the full minute, so the next one did not start. Now you delete the busy run. "
        "When does a run start?",
        {
            "at-once": Option("at once", "the missed time counts as soon as nothing is busy"),
            "full-minute": Option(
                "at the next full minute", "A skipped run is a missed run, and a missed run may still start late."
            ),
            "never": Option("never again, because its run was deleted", "A CronJob does not mind how a run has ended."),
        },
        "at-once",
    ),
)
