"""Module 03 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101.lesson.api.session import MANIFESTS, Api, make_current
from k8s101.lesson.modules.pods_exercises import SHOP_FAULT
from tests.notebooks.checking import Page, assert_passes, clear, last_line, lesson

pytestmark = pytest.mark.cluster

PAGE = Page("03")
bash = PAGE.bash
cell = PAGE.cell

FILES = MANIFESTS / "03-pods"
HELLO = "k8s101.test/hello"


def changed(text: str, *changes: tuple[str, str]) -> None:
    """Create the Pod of a manifest, changed like this."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    bash(f"kubectl apply -f - <<'FILE'\n{text}\nFILE")


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("pods") as api:
        yield api


@pytest.fixture
def api(opened: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    make_current(opened)
    monkeypatch.setattr("k8s101.lesson.modules.pods_exercises.READY_SECONDS", 10)
    monkeypatch.setattr("k8s101.lesson.modules.pods_exercises.LOG_SECONDS", 5)
    yield opened
    clear(opened, "pods")


@pytest.fixture
def hello(api: Api) -> Api:
    """The app that Pod front waits for."""
    bash("kubectl apply -f hello.yaml\nkubectl wait pod/hello --for=condition=Ready --timeout=60s")
    return api


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "notes") == "○ not attempted: there is no Pod notes yet"
    assert last_line(api, "front") == "○ not attempted: there is no Pod front yet"
    assert last_line(api, "shop") == "○ not attempted: there is no Pod shop"


def notes(*changes: tuple[str, str]) -> None:
    changed((FILES / "solution-notes.yaml").read_text(), *changes)


SIDECAR_LINE = "      restartPolicy: Always\n"
SHIPPER_PLACE = "/logs/app.log]\n      volumeMounts: [{ name: logs, mountPath: /logs }]"


def test_the_notes_of_the_solution_pass(api: Api) -> None:
    notes()
    assert_passes(api, "notes")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ((SIDECAR_LINE, ""), "init container shipper runs, and the app waits for its end"),
        (
            (SHIPPER_PLACE, SHIPPER_PLACE.replace(": /logs", ": /var/log")),
            "shipper prints nothing: it reads /logs/app.log, and it sees the volume at /var/log",
        ),
        (
            (SHIPPER_PLACE, "/logs/app.log]"),
            "shipper prints nothing: it reads /logs/app.log, and it does not mount the volume logs",
        ),
    ],
)
def test_what_is_wrong_with_the_notes_is_told(api: Api, change: tuple[str, str], line: str) -> None:
    notes(change)
    assert last_line(api, "notes").startswith(f"✗ not yet: {line}")


def test_the_file_as_the_page_gives_it_is_told(api: Api) -> None:
    changed(cell("03-exercise-1-file"))
    assert last_line(api, "notes").startswith("✗ not yet: init container shipper runs, and the app waits for its end")


def test_a_shipper_among_the_containers_is_told(api: Api) -> None:
    text = (FILES / "solution-notes.yaml").read_text().replace(SIDECAR_LINE, "").replace("  containers:\n", "")
    changed(text, ("initContainers", "containers"))
    assert last_line(api, "notes").startswith("✗ not yet: shipper is no init container")


def test_the_front_of_the_solution_passes(hello: Api) -> None:
    bash("kubectl apply -f solution-front.yaml")
    assert_passes(hello, "front")


APP = f"{{name: app, image: {HELLO}:%s}}"
CACHE = f'{{name: cache, image: {HELLO}:1.0.0, %sargs: [cache, --port=8080, "--upstream=http://localhost:8000"]}}'
SIDECAR = CACHE % "restartPolicy: Always, "
WAIT = f'{{name: wait, image: {HELLO}:1.0.0, args: [wait, "--url=http://hello:8000/"]}}'
OTHER = SIDECAR.replace("localhost:8000", "hello:8000").replace("cache, --port", "cache, --success=0s, --port")
BAD_IMAGE = CACHE.replace(":1.0.0", ":9.9.9")


def front(init: list[str], containers: list[str]) -> None:
    spec = f"spec: {{initContainers: [{', '.join(init)}], containers: [{', '.join(containers)}]}}"
    changed(f"apiVersion: v1\nkind: Pod\nmetadata: {{name: front}}\n{spec}")


def test_another_way_to_build_the_front_passes_too(hello: Api) -> None:
    until = "until wget -qO- http://hello:8000/; do sleep 1; done"
    asking = f"{{name: wait, image: k8s101.test/toolbox:1.0, command: [sh, -c, '{until}']}}"
    front([asking, SIDECAR], [APP % "1.1.0"])
    assert_passes(hello, "front")


@pytest.mark.parametrize(
    ("init", "containers", "line"),
    [
        ([SIDECAR], [APP % "1.1.0"], "no init container has waited for hello"),
        ([WAIT, SIDECAR], [APP % "1.0.0"], "port 8000 answers: hello 1.0.0 from front"),
        ([WAIT], [APP % "1.1.0"], "asked twice, port 8080 answers: nothing"),
        ([WAIT, OTHER], [APP % "1.1.0"], "asked twice, port 8080 answers: something"),
        ([WAIT], [APP % "1.1.0", CACHE % ""], "the cache is an ordinary container: it may start after the app"),
        (
            [WAIT.replace("hello:8000/", "helo:8000/"), SIDECAR],
            [APP % "1.1.0"],
            "init container wait runs, and the app waits",
        ),
        ([WAIT, CACHE % ""], [APP % "1.1.0"], "init container cache runs, and the app waits"),
    ],
)
def test_what_is_wrong_with_the_front_is_told(hello: Api, init: list[str], containers: list[str], line: str) -> None:
    front(init, containers)
    assert last_line(hello, "front").startswith(f"✗ not yet: {line}")


@pytest.mark.parametrize(
    ("init", "containers", "container"),
    [
        ([WAIT], [APP % "1.1.0", BAD_IMAGE % ""], "cache"),
        ([WAIT, BAD_IMAGE % "restartPolicy: Always, "], [APP % "1.1.0"], "cache"),
        ([WAIT, SIDECAR], [APP % "9.9.9"], "app"),
    ],
    ids=["second container", "sidecar", "app"],
)
def test_an_image_that_does_not_exist_is_named_with_its_container(
    hello: Api, init: list[str], containers: list[str], container: str
) -> None:
    front(init, containers)
    assert last_line(hello, "front") == (
        f"✗ not yet: Pod front cannot start: its node has no image {HELLO}:9.9.9 of container {container} "
        "and cannot get it"
    )


@pytest.fixture
def shop(api: Api) -> Api:
    """The fault of exercise 3, as the page prepares it."""
    bash(cell("03-exercise-3-fault"))
    return api


def test_the_shop_of_the_solution_passes(shop: Api) -> None:
    assert last_line(shop, "shop") == "○ not attempted: Pod shop is as your colleague left it"
    bash(cell("03-exercise-3-solution"))
    assert_passes(shop, "shop")


def test_a_port_from_the_environment_passes_too(shop: Api) -> None:
    bash("kubectl delete pod shop")
    shop_with((SHOP_FAULT, f"{HELLO}:1.1.0\n      env: [{{ name: PORT, value: '8001' }}]"))
    assert_passes(shop, "shop")


def shop_with(*changes: tuple[str, str]) -> None:
    changed((FILES / "shop.yaml").read_text(), *changes)


def test_the_second_fault_is_told_by_its_symptom(shop: Api) -> None:
    bash(f"kubectl set image pod/shop admin={HELLO}:1.1.0")
    assert last_line(shop, "shop") in (
        "✗ not yet: the containers of shop are not all ready",
        "✗ not yet: admin should answer on port 8001: nothing",  # for a moment, both seem to run
    )


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ((SHOP_FAULT, f"{SHOP_FAULT}\n      args: [serve, --port=8001]"), "the containers of shop are not all ready"),
        ((SHOP_FAULT, f"{HELLO}:1.1.0\n      args: [serve, --port=9000]"), "admin should answer on port 8001: nothing"),
        (
            (SHOP_FAULT, f"{HELLO}:1.0.0\n      args: [serve, --port=8001]"),
            "admin should answer on port 8001: hello 1.0.0",
        ),
    ],
)
def test_what_is_still_wrong_with_the_shop_is_told(api: Api, change: tuple[str, str], line: str) -> None:
    shop_with(change)
    assert last_line(api, "shop").startswith(f"✗ not yet: {line}")
