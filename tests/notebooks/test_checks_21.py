"""Module 21 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101.lesson.api.session import Api, make_current
from k8s101.lesson.modules.the_whole_demo_exercises import KIOSK
from tests.notebooks.checking import Page, assert_passes, clear, last_line, lesson

pytestmark = pytest.mark.cluster

PAGE = Page("21")
bash = PAGE.bash
cell = PAGE.cell
changed = PAGE.changed


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("the-whole-demo") as api:
        bash("kubectl create configmap settings --from-literal=APP_COLOR=blue --from-literal=APP_GREETING=hi")
        yield api
    bash(f"kubectl delete namespace {KIOSK} --ignore-not-found --wait=false")


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    bash(
        "kubectl delete rolebindings,roles --all > /dev/null\nkubectl delete serviceaccount reporter --ignore-not-found"
    )
    clear(opened, "deployments")


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    bash(f"kubectl delete namespace {KIOSK} --ignore-not-found --timeout=60s")
    assert last_line(api, "front") == "○ not attempted: there is no Deployment front yet"
    assert last_line(api, "reporter") == "○ not attempted: there is no ServiceAccount reporter yet"
    assert last_line(api, "kiosk") == "○ not attempted: there is no kiosk yet"


def test_the_front_of_the_solution_passes(api: Api) -> None:
    bash("kubectl apply -f solution-front.yaml")
    assert_passes(api, "front")


def test_a_front_with_single_keys_passes_too(api: Api) -> None:
    env = "env: [{}, {}]".format(
        *(f"{{name: {key}, valueFrom: {{configMapKeyRef: {{name: settings, key: {key}}}}}}}"
          for key in ("APP_COLOR", "APP_GREETING"))
    )  # fmt: skip
    changed("solution-front.yaml", ("envFrom:\n            - configMapRef: {name: settings}", env))
    assert_passes(api, "front")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("replicas: 4", "replicas: 3", "it has 3 Pods, the task asks for four"),
        ("hello:2.0.0", "hello:1.0.1", "its Pods run 1.0.1, the task wants 2.0.0"),
        (
            "envFrom:\n            - configMapRef: {name: settings}",
            "env: [{name: APP_COLOR, valueFrom: {configMapKeyRef: {name: settings, key: APP_COLOR}}}]",
            "its variables from ConfigMaps are APP_COLOR, and settings has APP_COLOR, APP_GREETING",
        ),
    ],
)
def test_what_is_wrong_with_front_is_told(api: Api, old: str, new: str, line: str) -> None:
    changed("solution-front.yaml", (old, new))
    assert last_line(api, "front") == f"✗ not yet: {line}"


def test_a_front_whose_settings_do_not_exist_is_told_so(api: Api) -> None:
    changed("solution-front.yaml", ("name: settings", "name: setings"))
    assert 'configmap "setings" not found' in last_line(api, "front")


def test_the_reporter_of_the_solution_passes(api: Api) -> None:
    bash("kubectl apply -f solution-reporter.yaml")
    assert_passes(api, "reporter")


def test_a_reporter_made_by_commands_passes_too(api: Api) -> None:
    bash(
        """
        kubectl create serviceaccount reporter
        kubectl create role reading --verb=get,list --resource=pods,pods/log
        kubectl create rolebinding reporter --role=reading --serviceaccount=k8s101-the-whole-demo:reporter
        """
    )
    assert_passes(api, "reporter")


def test_the_draft_alone_is_told_what_it_lacks(api: Api) -> None:
    bash(
        """
        kubectl create serviceaccount reporter
        kubectl create role reporter --verb=get,list --resource=pods
        """
    )
    assert last_line(api, "reporter") == "✗ not yet: it may not get pods"
    bash("kubectl create rolebinding reporter --role=reporter --serviceaccount=k8s101-the-whole-demo:reporter")
    assert last_line(api, "reporter") == "✗ not yet: it may not get pods/log"


def test_too_many_rights_are_told(api: Api) -> None:
    changed("solution-reporter.yaml", ("kind: Role\n  name: reporter", "kind: ClusterRole\n  name: view"))
    assert last_line(api, "reporter") == "✗ not yet: it may also list configmaps, and the task says: nothing else"
    bash("kubectl delete rolebinding reporter")
    changed("solution-reporter.yaml", ("[get, list]", "['*']"))
    assert last_line(api, "reporter") == "✗ not yet: it may also delete pods, and the task says: nothing else"


def test_rights_in_the_whole_cluster_are_told(api: Api) -> None:
    name = "k8s101-test-reporter"
    bash(
        f"""
        kubectl create serviceaccount reporter
        kubectl create clusterrole {name} --verb=get,list --resource=pods,pods/log
        kubectl create clusterrolebinding {name} --clusterrole={name} --serviceaccount=k8s101-the-whole-demo:reporter
        """
    )
    try:
        assert last_line(api, "reporter").startswith("✗ not yet: it may list Pods in other namespaces, too")
    finally:
        bash(f"kubectl delete clusterrolebinding,clusterrole {name}")


@pytest.fixture
def kiosk(api: Api) -> Api:
    """The fault of exercise 3, as the page prepares it."""
    bash(f"kubectl delete ingress,service kiosk -n {KIOSK} --ignore-not-found")
    bash(f"kubectl apply -f kiosk.yaml\nkubectl rollout status deployment/kiosk -n {KIOSK} --timeout=60s")
    return api


def port(number: int) -> str:
    path = "/spec/rules/0/http/paths/0/backend/service/port/number"
    return (
        f"kubectl patch ingress kiosk -n {KIOSK} --type=json "
        f"""--patch '[{{"op": "replace", "path": "{path}", "value": {number}}}]'"""
    )


def test_the_fault_stays_until_somebody_acts_and_the_check_does_not_give_it_away(kiosk: Api) -> None:
    assert last_line(kiosk, "kiosk") == "○ not attempted: kiosk is as your colleague left it"
    bash(port(8080))
    assert last_line(kiosk, "kiosk") == "✗ not yet: the path from the Ingress to a Pod is still broken"


def test_the_repaired_ingress_passes(kiosk: Api) -> None:
    bash(port(8000))
    assert_passes(kiosk, "kiosk")


def test_a_service_that_listens_at_port_80_passes_too(kiosk: Api) -> None:
    ports = '{"spec": {"ports": [{"port": 80, "targetPort": 8000}]}}'
    bash(f"kubectl patch service kiosk -n {KIOSK} --type=merge --patch '{ports}'")
    assert_passes(kiosk, "kiosk")


def test_a_service_that_leads_to_no_listener_is_told_so(kiosk: Api) -> None:
    ports = '{"spec": {"ports": [{"port": 80, "targetPort": 80}]}}'
    bash(f"kubectl patch service kiosk -n {KIOSK} --type=merge --patch '{ports}'")
    assert last_line(kiosk, "kiosk") == "✗ not yet: nothing answers behind port 80"


def test_an_ingress_that_nobody_serves_is_told_so(kiosk: Api) -> None:
    patch = '{"spec": {"ingressClassName": "nginx"}}'
    bash(f"{port(8000)}\nkubectl patch ingress kiosk -n {KIOSK} --patch '{patch}'")
    assert last_line(kiosk, "kiosk") == "✗ not yet: its class is nginx: Traefik does not serve it"


def test_an_ingress_for_another_host_is_told_so(kiosk: Api) -> None:
    bash(
        f"kubectl get ingress kiosk -n {KIOSK} -o yaml | sed 's/host: kiosk.test/host: shop.test/' | kubectl apply -f -"
    )
    assert last_line(kiosk, "kiosk") == "✗ not yet: it has no rule for kiosk.test any more"


def test_a_deleted_ingress_is_no_repair(kiosk: Api) -> None:
    bash(f"kubectl delete ingress kiosk -n {KIOSK}")
    assert last_line(kiosk, "kiosk") == "✗ not yet: there is no Ingress kiosk any more, so nobody gets in"
