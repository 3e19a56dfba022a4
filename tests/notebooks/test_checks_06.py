"""Module 06 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101.errors import CommandFailed, Problem
from k8s101.lesson.api.session import MANIFESTS, Api, make_current
from k8s101.lesson.modules.deployments_exercises import SHOP
from k8s101.lesson.quiz import checks
from tests.notebooks.checking import Page, assert_passes, clear, last_line, lesson

pytestmark = pytest.mark.cluster

PAGE = Page("06")
bash = PAGE.bash
cell = PAGE.cell

FILES = MANIFESTS / "06-deployments"


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("deployments") as api:
        yield api
        bash(f"kubectl delete namespace {SHOP} --ignore-not-found --wait=false")


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    clear(opened, "deployments")


@pytest.fixture
def five(api: Api) -> Api:
    """Five Pods of 1.1.0, as the lesson leaves them."""
    bash(
        """
        kubectl apply -f hello.yaml
        kubectl set image deployment/hello hello=k8s101.test/hello:1.1.0
        kubectl scale deployment/hello --replicas=5
        kubectl rollout status deployment/hello --timeout=60s
        """
    )
    return api


def update(surge: int | str = 1, unavailable: int | str = 0, version: str = "2.0.0", replicas: str = "5") -> None:
    """Apply the manifest of exercise 1, filled in like this."""
    text = (FILES / "solution-zero-downtime.yaml").read_text()
    text = text.replace("maxSurge: 1 ", f"maxSurge: {surge} ").replace(
        "Unavailable: 0 ", f"Unavailable: {unavailable} "
    )
    text = text.replace("hello:2.0.0", f"hello:{version}").replace("replicas: 5", f"replicas: {replicas}")
    bash(f"kubectl apply -f - <<'FILE'\n{text}\nFILE")


def test_nothing_is_attempted_at_the_start(five: Api) -> None:
    assert last_line(five, "zero-downtime") == "○ not attempted: Deployment hello still asks for 1.1.0"
    assert last_line(five, "web") == "○ not attempted: there is no Deployment web yet"


def test_the_update_of_the_solution_passes(five: Api) -> None:
    bash(cell("06-exercise-1-solution"))
    assert_passes(five, "zero-downtime")


def test_another_way_to_update_passes_too(five: Api) -> None:
    strategy = '{"spec": {"strategy": {"rollingUpdate": {"maxSurge": "20%", "maxUnavailable": "0%"}}}}'
    bash(f"kubectl patch deployment/hello --patch '{strategy}'")
    bash("kubectl set image deployment/hello hello=k8s101.test/hello:2.0.0")
    assert_passes(five, "zero-downtime")


def test_an_update_that_lets_one_go_is_told_so_and_can_be_tried_again(five: Api) -> None:
    update(unavailable=1)
    line = last_line(five, "zero-downtime")
    assert line.startswith("✗ not yet: only 4 Pods were ready at one moment, and maxUnavailable is 1")
    bash("kubectl rollout undo deployment/hello\nkubectl rollout status deployment/hello --timeout=60s")
    update()
    assert_passes(five, "zero-downtime")


def test_an_update_with_too_many_pods_is_told_so(five: Api) -> None:
    update(surge="25%")
    line = last_line(five, "zero-downtime")
    assert line.startswith("✗ not yet: 7 Pods existed at one moment, and maxSurge is 25%")


def test_a_file_without_a_number_of_pods_is_told_so_and_can_be_tried_again(five: Api) -> None:
    update(replicas="")
    assert last_line(five, "zero-downtime").startswith("✗ not yet: hello asks for 1 Pods, the task for five")
    bash(
        """
        kubectl rollout undo deployment/hello
        kubectl scale deployment/hello --replicas=5
        kubectl rollout status deployment/hello --timeout=60s
        """
    )
    update()
    assert_passes(five, "zero-downtime")


def test_another_release_than_asked_for_is_told_so(five: Api) -> None:
    update(version="2.1.0")
    assert last_line(five, "zero-downtime") == "✗ not yet: hello asks for 2.1.0, the task for 2.0.0"


def test_blanks_that_are_left_are_refused_by_the_cluster(five: Api) -> None:
    with pytest.raises(CommandFailed):
        update(surge="...", unavailable="...")
    assert last_line(five, "zero-downtime") == "○ not attempted: Deployment hello still asks for 1.1.0"


WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {replicas}
  revisionHistoryLimit: {history}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      {where}
      containers:
        - name: web
          image: k8s101.test/hello:{version}
          {probe}
"""
SPREAD = (
    "topologySpreadConstraints: [{topologyKey: kubernetes.io/hostname, maxSkew: 1, "
    "whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}]"
)
ANYWAY = SPREAD.replace("DoNotSchedule", "ScheduleAnyway")
TWICE = SPREAD.replace(
    "labelSelector: {", "labelSelector: {matchExpressions: [{key: app, operator: Exists}], "
).replace("[{topologyKey", "[{topologyKey: zone, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway}, {topologyKey")
PREFERRED = (
    "affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 100, podAffinityTerm: "
    "{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: web}}}}]}}"
)
PINNED = "nodeSelector: {kubernetes.io/hostname: worker-1}"
PROBE = "readinessProbe: {httpGet: {path: /, port: 8000}, periodSeconds: 1}"


def web(replicas: int = 5, history: int = 2, where: str = SPREAD, version: str = "1.1.0", probe: str = PROBE) -> None:
    text = WEB.format(replicas=replicas, history=history, where=where, version=version, probe=probe)
    bash(f"kubectl apply -f - <<'FILE'\n{text}\nFILE")


def test_the_web_of_the_solution_passes(api: Api) -> None:
    bash(cell("06-exercise-2-solution"))
    assert_passes(api, "web")


@pytest.mark.parametrize("where", [SPREAD, TWICE])
def test_other_ways_to_spread_pass_too(api: Api, where: str) -> None:
    web(where=where)
    assert_passes(api, "web")


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"where": PINNED}, "worker-1 runs 5 of them: if it dies, 0 stay ready"),
        ({"where": ""}, "they are spread by luck: nothing in the template says so, and the next rollout may place"),
        ({"where": PREFERRED}, "the template only prefers it"),
        ({"where": ANYWAY}, "the template only prefers it"),
        ({"replicas": 4}, "it has 4 Pods, the task asks for five"),
        ({"version": "1.0.0"}, "its Pods run 1.0.0, the task wants 1.1.0"),
        ({"probe": ""}, "without a readiness probe, its Pods count as ready as soon as their container runs"),
        ({"probe": PROBE.replace("/,", "/healthz,")}, "their readiness probe does not ask for /"),
        ({"history": 10}, "10 old revisions are kept, the task asks for two"),
    ],
)
def test_what_is_wrong_with_web_is_told(api: Api, wrong: dict[str, str], line: str) -> None:
    web(**wrong)  # type: ignore[arg-type]
    assert last_line(api, "web").startswith(f"✗ not yet: {line}")


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({"version": "1.1.1"}, "Readiness probe failed: HTTP probe failed with statuscode: 500"),
        ({"version": "9.9.9"}, "its node has no image k8s101.test/hello:9.9.9 and cannot get it"),
        ({"where": "nodeSelector: {disk: fast}"}, "didn't match Pod's node affinity/selector"),
    ],
)
def test_the_cause_is_named_when_web_does_not_get_ready(api: Api, wrong: dict[str, str], cause: str) -> None:
    web(**wrong)  # type: ignore[arg-type]
    line = last_line(api, "web")
    assert line.startswith("✗ not yet: Pod web-… ")
    assert cause in line


@pytest.fixture
def shop(api: Api) -> Api:
    """The fault of exercise 3, as the page prepares it."""
    bash(cell("06-exercise-3-fault"))
    return api


def wait_for_shop() -> None:
    bash(f"kubectl rollout status deployment/shop -n {SHOP} --timeout=90s")


def test_the_fault_stays_until_somebody_acts_and_the_check_does_not_give_it_away(shop: Api) -> None:
    line = last_line(shop, "shop")
    assert line == "○ not attempted: shop is as your colleague left it"
    bash(f"kubectl rollout restart deployment/shop -n {SHOP}")
    line = last_line(shop, "shop")
    assert line == (
        "✗ not yet: 0 of 4 Pods of 1.1.0 are ready: the release is still stuck, and the reason is still there"
    )


def test_the_repair_of_the_solution_passes(shop: Api) -> None:
    bash(cell("06-exercise-3-solution"))
    assert_passes(shop, "shop")


def test_a_larger_quota_passes_too(shop: Api) -> None:
    bash(f"""kubectl patch quota team-shop -n {SHOP} -p '{{"spec": {{"hard": {{"requests.memory": "480Mi"}}}}}}'""")
    wait_for_shop()
    assert_passes(shop, "shop")


def test_a_quota_that_is_still_too_small_is_told_to_those_who_have_found_it(shop: Api) -> None:
    bash(f"""kubectl patch quota team-shop -n {SHOP} -p '{{"spec": {{"hard": {{"requests.memory": "170Mi"}}}}}}'""")
    line = last_line(shop, "shop")
    assert line.startswith("✗ not yet: 0 of 4 Pods of 1.1.0 are ready: ")
    assert "exceeded quota: team-shop" in line


def test_going_back_is_no_repair(shop: Api) -> None:
    bash(f"kubectl rollout undo deployment/shop -n {SHOP}")
    wait_for_shop()
    assert last_line(shop, "shop") == "✗ not yet: shop asks for 1.0.0; the release was meant to be 1.1.0"


def test_fewer_pods_are_no_repair(shop: Api) -> None:
    bash(f"kubectl scale deployment/shop -n {SHOP} --replicas=1")
    assert last_line(shop, "shop") == "✗ not yet: shop asks for 1 Pods; it had four before the release"


def test_a_learner_sees_the_finding_and_everybody_else_an_error(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    web(history=10)
    with pytest.raises(Problem, match="10 old revisions are kept"):
        checks.check("web")
    monkeypatch.setenv("K8S101_INTERACTIVE", "1")
    monkeypatch.setattr("k8s101.lesson.quiz.progress.record", lambda *entry: None)
    checks.check("web")
    assert 'help: hint("web")' in capsys.readouterr().out
