"""Module 10 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101 import apply, kubectl, show, wait_for
from k8s101.lesson.api.schedule import distance
from k8s101.lesson.api.session import Api, make_current
from tests.notebooks.checking import assert_passes, clear, last_line, lesson


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("jobs-and-cronjobs") as api:
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    clear(opened, "cronjobs", "jobs")


@pytest.mark.cluster
def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "mail") == "○ not attempted: there is no Job mail yet"
    assert last_line(api, "backup") == "○ not attempted: there is no CronJob backup yet"


def mail(completions: int = 5, parallelism: int = 2, mode: str = "Indexed") -> None:
    apply("mail.yaml", completions=completions, parallelism=parallelism, mode=mode)


@pytest.mark.cluster
def test_the_mail_of_the_solution_passes(api: Api) -> None:
    mail()
    assert_passes(api, "mail")


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({"completions": 4}, "4 Pods ended well, the task wants 5"),
        ({"mode": "NonIndexed"}, "its Pods have no numbers: completionMode is NonIndexed"),
        ({"parallelism": 5}, "5 Pods at a time, the task says 2: look at parallelism"),
        ({"parallelism": 1}, "1 Pods at a time, the task says 2: look at parallelism"),
    ],
)
def test_what_is_wrong_with_mail_is_told_and_can_be_tried_again(api: Api, wrong: dict[str, object], cause: str) -> None:
    mail(**wrong)  # type: ignore[arg-type]
    line = last_line(api, "mail")
    assert line.startswith(f"✗ not yet: {cause}")
    assert 'delete the Job (kubectl("delete job mail")) and try again' in line
    kubectl("delete job mail --cascade=foreground")
    mail()
    assert_passes(api, "mail")


@pytest.mark.cluster
def test_mail_that_fails_is_told_why(api: Api) -> None:
    image = "--image=k8s101.test/toolbox:1.0"
    kubectl(f"create job mail {image} -- false")
    api.batch.patch_namespaced_job("mail", api.namespace, {"spec": {"backoffLimit": 0}})
    assert "mail has failed: BackoffLimitExceeded" in last_line(api, "mail")


BACKUP = """
apiVersion: batch/v1
kind: CronJob
metadata: {{name: backup}}
spec:
  schedule: "{schedule}"
  concurrencyPolicy: {policy}
  jobTemplate:
    spec:
      {limit}
      backoffLimit: 0
      template:
        spec:
          restartPolicy: Never
          containers: [{{name: backup, image: k8s101.test/toolbox:1.0, command: [{command}]}}]
"""


def backup(
    schedule: str = "*/5 * * * *",
    policy: str = "Forbid",
    limit: str = "activeDeadlineSeconds: 60",
    command: str = "pwd",
) -> None:
    apply(BACKUP.format(schedule=schedule, policy=policy, limit=limit, command=command))


def run() -> None:
    kubectl("create job now --from=cronjob/backup")


@pytest.mark.cluster
def test_the_backup_of_the_solution_passes(api: Api) -> None:
    apply("solution-backup.yaml")
    assert last_line(api, "backup") == "✗ not yet: no run was started by hand yet"
    run()
    assert_passes(api, "backup")


@pytest.mark.cluster
def test_another_way_to_back_up_passes_too(api: Api) -> None:
    backup("0-59/5 * * * *", "Replace", "activeDeadlineSeconds: 30")
    run()
    assert_passes(api, "backup")


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({"schedule": "5 * * * *"}, '"5 * * * *" starts it every 60 minutes'),
        ({"schedule": "*/5 * * * 1"}, '"*/5 * * * 1" starts it at changing distances'),
        ({"policy": "Allow"}, "two runs may overlap: concurrencyPolicy is Allow"),
        ({"limit": ""}, "it may take for ever: look at activeDeadlineSeconds, and start a new run"),
        ({"limit": "activeDeadlineSeconds: 300"}, "it is stopped after 300 s: look at activeDeadlineSeconds"),
        ({"command": "'false'"}, "it has failed: BackoffLimitExceeded"),
    ],
)
def test_what_is_wrong_with_backup_is_told(api: Api, wrong: dict[str, str], cause: str) -> None:
    backup(**wrong)
    run()
    assert last_line(api, "backup").startswith(f"✗ not yet: {cause}")


@pytest.mark.cluster
def test_runs_of_a_cronjob_read_the_same_at_any_time(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    backup()
    run()
    wait_for("job/now", "Complete")
    capsys.readouterr()
    show("jobs,cronjobs")
    jobs, cronjobs = capsys.readouterr().out.split("\n\n")
    assert jobs.split()[-5:] == ["now", "1", "1", "0", "Complete"]
    assert cronjobs.split()[-9:] == ["backup", "*/5", "*", "*", "*", "*", "Forbid", "no", "0"]


@pytest.mark.parametrize(
    ("schedule", "minutes"),
    [
        ("*/5 * * * *", 5),
        ("0,5,10,15,20,25,30,35,40,45,50,55 * * * *", 5),
        ("2-59/5 * * * *", 5),
        ("3/5 * * * *", 5),
        ("@every 5m", 5),
        ("5 * * * *", 60),
        ("@hourly", 60),
        ("* * * * *", 1),
        ("30 2 * * *", 1440),
        ("0-11 * * * *", None),
        ("*/7 * * * *", None),
        ("*/5 * * * 1", None),
        ("@weekly", None),
    ],
)
def test_the_distance_of_starts_is_found(schedule: str, minutes: int | None) -> None:
    assert distance(schedule) == minutes
