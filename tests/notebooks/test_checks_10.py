"""Module 10 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101.lesson.api.session import Api, make_current
from tests.notebooks.checking import Page, assert_passes, clear, last_line, lesson

pytestmark = pytest.mark.cluster

PAGE = Page("10")
bash = PAGE.bash
changed = PAGE.changed
cell = PAGE.cell

WORK = "hello countdown --from=1 --every=500ms"


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("jobs-and-cronjobs") as api:
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    clear(opened, "cronjobs", "jobs")


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "mail") == "○ not attempted: there is no Job mail yet"
    assert last_line(api, "backup") == "○ not attempted: there is no CronJob backup yet"
    assert last_line(api, "invoices") == "○ not attempted: there is no CronJob invoices yet"


def test_the_mail_of_the_solution_passes(api: Api) -> None:
    bash(cell("10-exercise-1-solution"))
    assert_passes(api, "mail")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (("completions: 4", "completions: 3"), "3 Pods have succeeded, the task wants 4: delete the Job"),
        (("Indexed", "NonIndexed"), "its Pods have no numbers: completionMode is NonIndexed; delete the Job"),
        (("parallelism: 2", "parallelism: 4"), "4 Pods ran at a time, the task says 2: delete the Job"),
        (("ttlSecondsAfterFinished: 600", "backoffLimit: 3"), "nobody deletes the finished Job and its Pods"),
        (("ttlSecondsAfterFinished: 600", "ttlSecondsAfterFinished: 3600"), "they are deleted after 3600 s"),
        ((WORK, "exit 1"), "mail has failed: BackoffLimitExceeded"),
    ],
)
def test_what_is_wrong_with_mail_is_told(api: Api, change: tuple[str, str], cause: str) -> None:
    changes = [(f"{WORK}; ", "")] if WORK not in change[0] else []
    if "exit 1" in change[1]:
        changes.append(("spec:\n  completions", "spec:\n  backoffLimit: 0\n  completions"))
    changed("solution-mail.yaml", *changes, change)
    assert last_line(api, "mail").startswith(f"✗ not yet: {cause}")


def start() -> None:
    bash("kubectl create job now --from=cronjob/backup")


def test_the_backup_of_the_solution_passes(api: Api) -> None:
    bash("kubectl apply -f solution-backup.yaml")
    assert last_line(api, "backup") == "✗ not yet: nobody has started a run by hand yet"
    bash("kubectl delete cronjob backup")
    bash(cell("10-exercise-2-solution"))
    assert_passes(api, "backup")


def test_another_way_to_back_up_passes_too(api: Api) -> None:
    changed("solution-backup.yaml", ("*/10 8-17 * * MON-FRI", "0-50/10 8-17 ? * 1-5"), ("Forbid", "Replace"))
    start()
    assert_passes(api, "backup")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (("MON-FRI", "*"), '"*/10 8-17 * * *" starts a run on Sunday at 08:00'),
        (("8-17", "8-18"), '"*/10 8-18 * * MON-FRI" starts a run on Monday at 18:00'),
        (("*/10", "10"), '"10 8-17 * * MON-FRI" starts no run on Monday at 08:00'),
        (("* * MON-FRI", "1 * MON-FRI"), '"*/10 8-17 1 * MON-FRI" does not start a run in every week of the year'),
        (("timeZone: Europe/Berlin", "timeZone: Etc/UTC"), "its clock is that of Etc/UTC, the task asks for Europe"),
        (("timeZone: Europe/Berlin\n", "suspend: false\n"), "its clock is that of the control plane, the task asks"),
        (("Forbid", "Allow"), "two runs may overlap: concurrencyPolicy is Allow"),
        (("activeDeadlineSeconds: 60", "backoffLimit: 2"), "nothing stops a run, the task says after 60 s"),
        (("Seconds: 60", "Seconds: 300"), "a run is stopped after 300 s, the task says after 60 s"),
        (("[echo, everything is saved]", "['false']"), "now has failed: BackoffLimitExceeded"),
    ],
)
def test_what_is_wrong_with_backup_is_told(api: Api, change: tuple[str, str], cause: str) -> None:
    once = [("activeDeadlineSeconds: 60", "activeDeadlineSeconds: 60\n      backoffLimit: 0")] * ("false" in change[1])
    once += [("OnFailure", "Never")] * bool(once)
    changed("solution-backup.yaml", *once, change)
    start()
    assert last_line(api, "backup").startswith(f"✗ not yet: {cause}")


@pytest.fixture
def invoices(api: Api) -> Iterator[Api]:
    """The fault of exercise 3, as the page prepares it."""
    bash(cell("10-exercise-3-fault"))
    yield api
    bash("kubectl delete secrets --all")


def tidy() -> None:
    bash(
        """
        kubectl delete jobs -l app=invoices --timeout=60s
        kubectl create job invoices-now --from=cronjob/invoices
        """
    )


def test_the_fault_is_not_given_away_and_the_solution_passes(invoices: Api) -> None:
    assert last_line(invoices, "invoices") == "○ not attempted: invoices is as your colleague left it"
    bash("kubectl create job by-hand --from=cronjob/invoices")
    assert last_line(invoices, "invoices") == "✗ not yet: no run of invoices has completed yet"
    bash(cell("10-exercise-3-solution"))
    assert_passes(invoices, "invoices")


def test_the_missing_secret_and_another_policy_pass_too(invoices: Api) -> None:
    bash("""kubectl patch cronjob invoices -p '{"spec": {"concurrencyPolicy": "Replace"}}'""")
    bash("kubectl create secret generic invoice-key --from-literal=key=some")
    tidy()
    assert_passes(invoices, "invoices")


def test_half_a_repair_is_told_what_would_happen_next(invoices: Api) -> None:
    changed("solution-invoices.yaml", ("      activeDeadlineSeconds: 120\n", ""))
    bash("kubectl create job invoices-now --from=cronjob/invoices")
    line = "a run still hangs, and as long as it does, nothing starts on schedule"
    assert last_line(invoices, "invoices") == f"✗ not yet: {line}"
    bash("kubectl delete jobs -l app=invoices --timeout=60s")
    tidy()
    line = "nothing ends a run that hangs: it blocks all others"
    assert last_line(invoices, "invoices") == f"✗ not yet: {line}"
    bash("""kubectl patch cronjob invoices -p '{"spec": {"concurrencyPolicy": "Allow"}}'""")
    line = "runs that hang would pile up: concurrencyPolicy is Allow"
    assert last_line(invoices, "invoices") == f"✗ not yet: {line}"
    changed("solution-invoices.yaml", ("invoices-key", "invoices-keys"))
    line = "this run is complete, but the next one on schedule will hang"
    assert last_line(invoices, "invoices") == f"✗ not yet: {line}"
