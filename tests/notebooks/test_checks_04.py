"""Module 04 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101.lesson.api.session import MANIFESTS, Api, make_current
from tests.notebooks.checking import Page, assert_passes, clear, last_line, lesson

pytestmark = pytest.mark.cluster

PAGE = Page("04")
bash = PAGE.bash
cell = PAGE.cell

FILES = MANIFESTS / "04-health-checks"
EXERCISES = "k8s101.lesson.modules.health_checks_exercises"
NOTICED = 7
"""Seconds after which a probe that does not ask the right thing has had its chance."""

Change = tuple[str, str]


def applied(text: str, *changes: Change) -> None:
    """Apply a manifest, changed like this."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    bash(f"kubectl apply -f - <<'FILE'\n{text}\nFILE")


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("health-checks") as api:
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    clear(opened, "deployments")


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "slow") == "○ not attempted: there is no Deployment slow yet"
    assert last_line(api, "report") == "○ not attempted: there is no Deployment report yet"
    assert last_line(api, "basket") == "○ not attempted: there is no Deployment basket"


STARTUP = """          startupProbe:
            httpGet: { path: /healthz, port: 8000 }
            periodSeconds: 1
            failureThreshold: 30
"""


DELAY, SHORT = "value: 4s", "value: 1s"


def slow(*changes: Change) -> None:
    applied((FILES / "solution-slow.yaml").read_text(), *changes)


def test_the_slow_start_of_the_solution_passes(api: Api) -> None:
    slow()
    assert_passes(api, "slow")


def test_a_patient_liveness_probe_instead_of_a_startup_probe_passes_too(api: Api) -> None:
    slow((STARTUP, ""), ("failureThreshold: 3", "failureThreshold: 8"), (DELAY, "value: 3s"))
    assert_passes(api, "slow")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            ("failureThreshold: 30", "failureThreshold: 2"),
            "its containers are killed while they start: the startup probe gives up after 2 s",
        ),
        ((STARTUP, ""), "its containers are killed while they start: there is no startup probe"),
        (
            (
                "path: /healthz, port: 8000 }\n            periodSeconds: 1\n            timeout",
                "path: /readyz, port: 8000 }\n            periodSeconds: 1\n            timeout",
            ),
            "a container that is stuck is not restarted: its liveness probe asks /readyz",
        ),
        (("/readyz", "/"), "a Pod that is busy still gets requests: its readiness probe asks /"),
        (("replicas: 2", "replicas: 1"), "there is one Pod, the task wants two"),
    ],
    ids=["impatient", "no startup probe", "liveness", "readiness", "one Pod"],
)
def test_what_is_wrong_with_the_slow_start_is_told(
    api: Api, change: Change, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{EXERCISES}.REACTION_SECONDS", NOTICED)
    slow(change, *([] if "killed" in line else [(DELAY, SHORT)]))
    assert last_line(api, "slow") == f"✗ not yet: {line}"


def test_the_file_as_the_page_gives_it_is_told(api: Api) -> None:
    applied(cell("04-exercise-1-file"))
    assert last_line(api, "slow").startswith("✗ not yet: its containers are killed while they start")


PRE_STOP = """          lifecycle:
            preStop: { sleep: { seconds: 3 } }
"""
PROBE = """          readinessProbe:
            httpGet: { path: /readyz, port: 8000 }
            periodSeconds: 1
"""


def report(*changes: Change) -> None:
    applied((FILES / "solution-report.yaml").read_text(), *changes)


def test_the_report_of_the_solution_passes(api: Api) -> None:
    report()
    assert_passes(api, "report")


def test_a_command_as_pre_stop_passes_too(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{EXERCISES}.REPORT_SECONDS", 1)
    report(("sleep: { seconds: 3 }", "exec: { command: [hello, countdown, --from=3, --every=1s] }"))
    assert_passes(api, "report")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ((PRE_STOP, ""), "a Pod that leaves refuses new requests at once: nothing holds back the end of its app"),
        (
            (PRE_STOP, f"{PRE_STOP}          env: [{{ name: HELLO_GRACE, value: 1s }}]\n"),
            "a report in flight was cut off by the app itself (exit code 1)",
        ),
        (
            ("PeriodSeconds: 10", "PeriodSeconds: 5"),
            "a report in flight was cut off: preStop and the report together do not fit into 5 s",
        ),
        (("PeriodSeconds: 10", "PeriodSeconds: 30"), "a Pod may take 30 s to leave, the task allows 10"),
        ((PROBE, ""), "no probe asks whether the app can take requests"),
        ((":1.1.0", ":1.0.0"), "its Pods run 1.0.0, the task wants 1.1.0"),
        (("replicas: 2", "replicas: 1"), "there is one Pod, the task wants two"),
    ],
    ids=["no preStop", "impatient app", "too little grace", "too much grace", "no probe", "another release", "one Pod"],
)
def test_what_is_wrong_with_the_report_is_told(
    api: Api, change: Change, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "5 s" not in line:
        monkeypatch.setattr(f"{EXERCISES}.REPORT_SECONDS", 2)
    report(change)
    assert last_line(api, "report") == f"✗ not yet: {line}"


def test_the_cause_is_named_when_report_does_not_get_ready(api: Api) -> None:
    report((":1.1.0", ":9.9.9"))
    assert "its node has no image k8s101.test/hello:9.9.9" in last_line(api, "report")


@pytest.fixture
def basket(api: Api) -> Api:
    """The fault of exercise 3, as the page prepares it."""
    bash(cell("04-exercise-3-fault"))
    return api


PORT, PATH = ("port: 8080", "port: 8000"), ("path: /health,", "path: /healthz,")


def repair(*changes: Change) -> None:
    applied((FILES / "basket.yaml").read_text(), *changes)


def test_the_basket_of_the_solution_passes(basket: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{EXERCISES}.QUIET_SECONDS", 3)
    assert last_line(basket, "basket") == "○ not attempted: basket is as your colleague left it"
    bash(cell("04-exercise-3-solution"))
    assert_passes(basket, "basket")


def test_a_half_repaired_basket_is_told_by_its_symptom(api: Api) -> None:
    repair(PATH)
    assert last_line(api, "basket") == "✗ not yet: ready Pods of basket: 0, not 2"


def test_restarts_without_a_reason_are_told(api: Api) -> None:
    repair(PORT)
    assert last_line(api, "basket") == "✗ not yet: containers of basket are restarted, although the app works"


LIVENESS = """          livenessProbe:
            httpGet: { path: /health, port: 8000 }
            periodSeconds: 1
            timeoutSeconds: 5
            failureThreshold: 2
"""


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ((LIVENESS, ""), "a container that is stuck is not restarted"),
        (
            ("path: /readyz, port: 8000", "path: /, port: 8000"),
            "a Pod that is busy still gets requests",
        ),
    ],
    ids=["no liveness probe", "readiness asks for the page"],
)
def test_a_repair_that_goes_too_far_is_told(
    api: Api, change: Change, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{EXERCISES}.REACTION_SECONDS", NOTICED)
    monkeypatch.setattr(f"{EXERCISES}.QUIET_SECONDS", 2)
    repair(PORT, change, *([PATH] if "/readyz" in change[0] else []))
    assert last_line(api, "basket") == f"✗ not yet: {line}"
