"""Module 15 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s101.lesson.api.session import Api, make_current
from tests.notebooks.checking import Page, addons, assert_passes, last_line, lesson

pytestmark = pytest.mark.cluster

PAGE = Page("15")
bash = PAGE.bash
changed = PAGE.changed
cell = PAGE.cell


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of the lesson's files, with the settings as the last step leaves them."""
    place = tmp_path_factory.mktemp("mesh") / "files"
    shutil.copytree(PAGE.files, place)
    for kind in ("clusters-mtls", "listeners-access"):
        shutil.copy(place / f"changes/{kind}.yaml", place / f"mesh/{kind.partition('-')[0]}.yaml")
    return place


@pytest.fixture(scope="module")
def opened(folder: Path) -> Iterator[Api]:
    with addons("test-checks-15", "mesh"), lesson("service-mesh") as api:
        bash(
            f"""
            cd {folder}
            kubectl get --raw /openid/v1/jwks > mesh/jwks.json
            bash identity.sh shop cart hello
            kubectl create configmap mesh --from-file=mesh/
            kubectl label namespace {api.namespace} mesh=on
            timeout 60 bash -c 'until kubectl run test --image=none --dry-run=server -o yaml | grep envoy; do :; done'
            kubectl apply -f apps.yaml -f releases.yaml -f cached.yaml
            kubectl delete deployment dark
            for app in shop cart hello next; do kubectl rollout status deployment/$app --timeout=2m; done
            """
        )
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    bash(
        """
        kubectl delete deployment fast report --ignore-not-found
        kubectl delete service fast --ignore-not-found
        kubectl delete pods -l 'app in (fast, report)' --now
        """
    )


def routes(folder: Path, *changes: tuple[str, str]) -> None:
    """Give the proxies the routes of the solution, changed like this."""
    text = (folder / "changes/solution-routes.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "mesh/routes.yaml").write_text(text)
    bash(f"cd {folder}\nbash push.sh")


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "beta") == "○ not attempted: the proxies have no route for the header x-beta yet"
    assert last_line(api, "fast") == "○ not attempted: there is no Deployment fast yet"
    assert last_line(api, "report") == "○ not attempted: there is no report yet"


def test_the_beta_of_the_solution_passes(api: Api, folder: Path) -> None:
    bash(f"cd {folder}\n{cell('15-exercise-1-solution')}")
    assert_passes(api, "beta")


def test_another_beta_passes_too(api: Api, folder: Path) -> None:
    routes(folder, ("x-beta", "X-Beta"), ("weight: 75", "weight: 3"), ("weight: 25", "weight: 1"))
    assert_passes(api, "beta")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ([("weight: 75", "weight: 10"), ("weight: 25", "weight: 90")], "the task asks for about a quarter"),
        ([('{exact: "2"}', '{safe_regex: {regex: ".*"}}')], "requests with X-Beta: 1 count as testers', too"),
        ([("{cluster: next}", "{cluster: dark}")], "with the header X-Beta: 2, 0 of 8 requests go to 2.0.0"),
    ],
)
def test_what_is_wrong_with_beta_is_told(api: Api, folder: Path, changes: list[tuple[str, str]], line: str) -> None:
    routes(folder, *changes)
    told = last_line(api, "beta")
    assert told.startswith("✗ not yet: ")
    assert told.endswith(line)


def test_the_fast_of_the_solution_passes(api: Api) -> None:
    bash(cell("15-exercise-2-solution"))
    assert_passes(api, "fast")


def test_another_fast_passes_too(api: Api) -> None:
    changed(
        "solution-fast.yaml",
        ("  template:\n", "  replicas: 1\n  template:\n"),
        ("cache, --port", "cache, --grace=2s, --port"),
    )
    bash("kubectl create service clusterip fast --tcp=8000:8000")
    assert_passes(api, "fast")


NET_ADMIN = "capabilities: {drop: [ALL], add: [NET_ADMIN]}"


@pytest.mark.parametrize(
    ("change", "ports", "line"),
    [
        (
            ("nft, -f, /rules/redirect.nft", "nft, list, ruleset"),
            "8000:8000",
            "the app looks up the same page twice: requests at its own port do not pass the cache",
        ),
        (
            (NET_ADMIN, "privileged: true"),
            "8000:8000",
            "a container is privileged; one capability is enough for the redirect",
        ),
        (
            (NET_ADMIN, "capabilities: {add: [NET_ADMIN]}"),
            "8000:8080",
            "the Service does not lead from port 8000 to port 8000, so it goes around what the task is about",
        ),
    ],
)
def test_what_is_wrong_with_fast_is_told(api: Api, change: tuple[str, str], ports: str, line: str) -> None:
    changed("solution-fast.yaml", change)
    bash(f"kubectl create service clusterip fast --tcp={ports}")
    assert last_line(api, "fast") == f"✗ not yet: {line}"


def test_a_fast_without_a_service_is_told_so(api: Api) -> None:
    changed("solution-fast.yaml")
    assert last_line(api, "fast") == "✗ not yet: there is no Service fast"


def test_the_fault_is_not_given_away_and_the_repair_passes(api: Api) -> None:
    bash(cell("15-exercise-3-fault").rpartition("kubectl logs")[0].rpartition("timeout")[0])
    assert last_line(api, "report") == "○ not attempted: report is as your colleague left it"
    bash("kubectl set env deployment/report LOOKED=yes\nkubectl rollout status deployment/report --timeout=1m")
    assert last_line(api, "report") == "✗ not yet: the requests of report still fail"
    bash(cell("15-exercise-3-solution"))
    assert_passes(api, "report")


def test_another_account_of_the_mesh_is_no_repair(api: Api) -> None:
    changed("report.yaml", ('mesh: "off"', 'part: "of-shop"'), ("serviceAccountName: shop", "serviceAccountName: cart"))
    bash("kubectl annotate deployment report looked=yes\nkubectl set env deployment/report LOOKED=yes")
    assert last_line(api, "report") == "✗ not yet: the requests of report still fail"


def test_an_open_mesh_is_no_repair(api: Api, folder: Path) -> None:
    bash(
        f"""
        cd {folder}
        kubectl apply -f report.yaml
        mkdir open && cp mesh/* open/ && cp {PAGE.files}/mesh/listeners.yaml {PAGE.files}/mesh/clusters.yaml open/
        kubectl create configmap mesh --from-file=open/ --dry-run=client -o yaml | kubectl replace -f -
        cart=/api/v1/namespaces/{api.namespace}/services/cart:8001/proxy/cache/healthz
        look='kubectl annotate pods --all --overwrite mesh/pushed=$RANDOM'
        timeout 60 bash -c "until kubectl get --raw $cart; do $look; sleep 0.2; done"
        """
    )
    assert last_line(api, "report") == "✗ not yet: cart now answers callers without a certificate"
