"""Module 03 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101 import apply, kubectl, wait_for
from k8s101.lesson.api.session import Api, make_current
from tests.notebooks.checking import last_line, lesson, outcome

pytestmark = pytest.mark.cluster

HELLO = "k8s101.test/hello"


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("pods") as api:
        apply("hello.yaml")
        wait_for("pod/hello", "Ready")
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    kubectl("delete pods notes front --ignore-not-found")


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "notes") == "○ not attempted: there is no Pod notes yet"
    assert last_line(api, "front") == "○ not attempted: there is no Pod front yet"


def test_the_shipper_of_the_solution_passes(api: Api) -> None:
    apply("notes.yaml", restart="Always", mount="/logs")
    found = outcome(api, "notes")
    assert found.passed, list(found.lines())


@pytest.mark.parametrize("policy", ["Never", "OnFailure"])
def test_a_shipper_that_the_app_waits_for_is_told(api: Api, policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k8s101.lesson.modules.pods.READY_SECONDS", 8)
    apply("notes.yaml", restart=policy, mount="/logs")
    assert last_line(api, "notes").startswith("✗ not yet: init container shipper runs, and the app waits for it")


def test_a_volume_at_another_place_is_told(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k8s101.lesson.modules.pods.LOG_SECONDS", 5)
    apply("notes.yaml", restart="Always", mount="/log")
    line = "✗ not yet: shipper reads /logs/app.log, but has the volume at /log: nothing comes"
    assert last_line(api, "notes") == line


def test_the_front_of_the_solution_passes(api: Api) -> None:
    apply("solution-front.yaml")
    found = outcome(api, "front")
    assert found.passed, list(found.lines())


APP = f"{{name: app, image: {HELLO}:%s}}"
CACHE = f'{{name: cache, image: {HELLO}:1.0.0, %sargs: [cache, --port=8080, "--upstream=http://localhost:8000"]}}'
SIDECAR = CACHE % "restartPolicy: Always, "
WAIT = f'{{name: wait, image: {HELLO}:1.0.0, args: [wait, "--url=http://hello:8000/"]}}'
OTHER = SIDECAR.replace("localhost:8000", "hello:8000").replace("cache, --port", "cache, --success=0s, --port")


def front(init: list[str], containers: list[str]) -> None:
    spec = f"spec: {{initContainers: [{', '.join(init)}], containers: [{', '.join(containers)}]}}"
    apply(f"apiVersion: v1\nkind: Pod\nmetadata: {{name: front}}\n{spec}\n")


def test_another_way_to_build_the_front_passes_too(api: Api) -> None:
    until = "until wget -qO- http://hello:8000/; do sleep 1; done"
    asking = f"{{name: wait, image: k8s101.test/toolbox:1.0, command: [sh, -c, '{until}']}}"
    front([asking, SIDECAR], [APP % "1.1.0"])
    found = outcome(api, "front")
    assert found.passed, list(found.lines())


@pytest.mark.parametrize(
    ("init", "containers", "line"),
    [
        ([SIDECAR], [APP % "1.1.0"], "no init container has waited for hello"),
        ([WAIT, SIDECAR], [APP % "1.0.0"], "port 8000 answers: hello 1.0.0 from front"),
        ([WAIT], [APP % "1.1.0"], "asked twice, port 8080 answers: nothing"),
        ([WAIT, OTHER], [APP % "1.1.0"], "asked twice, port 8080 answers: something"),
        ([WAIT], [APP % "1.1.0", CACHE % ""], "the cache is a plain container: it may start after the app"),
        (
            [WAIT.replace("hello:8000/", "helo:8000/"), SIDECAR],
            [APP % "1.1.0"],
            "init container wait runs, and the app waits",
        ),
        ([WAIT, CACHE % ""], [APP % "1.1.0"], "init container cache runs, and the app waits"),
    ],
)
def test_what_is_wrong_with_the_front_is_told(
    api: Api, init: list[str], containers: list[str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("k8s101.lesson.modules.pods.READY_SECONDS", 10)
    front(init, containers)
    assert last_line(api, "front").startswith(f"✗ not yet: {line}")


def test_an_image_that_is_not_there_is_told(api: Api) -> None:
    front([WAIT, SIDECAR], [APP % "9.9.9"])
    assert last_line(api, "front").startswith("✗ not yet: Pod front cannot start")
