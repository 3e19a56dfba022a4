"""Module 12 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101.errors import CommandFailed
from k8s101.lesson.api.session import Api, make_current
from tests.notebooks.checking import Page, assert_passes, clear, last_line, lesson
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

PAGE = Page("12")
bash = PAGE.bash
cell = PAGE.cell

USER = "statefulsets-test"
VOLUMES_SECONDS = 60


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("statefulsets") as api:
        bash(f"k8s101 addons enable storage --for {USER}")
        yield api
        eventually("no volume is left", lambda: not _volumes(api), VOLUMES_SECONDS)
        bash(f"k8s101 addons disable storage --for {USER}")


def _volumes(api: Api) -> list[str]:
    found = api.rest.list("PersistentVolume", "")
    return [pv["metadata"]["name"] for pv in found if pv["spec"]["claimRef"]["namespace"] == api.namespace]


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    clear(opened, "statefulsets", "persistentvolumeclaims", "services")


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    for name in ("shelf", "ledger", "orders"):
        assert last_line(api, name) == f"○ not attempted: there is no StatefulSet {name} yet"


def test_blanks_that_are_left_are_refused_by_the_cluster(api: Api) -> None:
    with pytest.raises(CommandFailed):
        bash(f"kubectl apply -f - <<'FILE'\n{cell('12-exercise-1-file')}\nFILE")
    assert last_line(api, "shelf") == "○ not attempted: there is no StatefulSet shelf yet"


def test_the_shelf_of_the_solution_passes(api: Api) -> None:
    bash(cell("12-exercise-1-solution"))
    assert_passes(api, "shelf")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("Policy: Parallel", "Policy: OrderedReady", "its Pods start one after the other"),
        ("whenScaled: Delete", "whenScaled: Retain", "the claim of a Pod stays when the set is scaled down"),
        ("whenDeleted: Retain", "whenDeleted: Delete", "whoever deletes the set deletes the claims, too"),
        ("serviceName: shelf", "serviceName: books", "shelf names Service books, and there is none"),
        ("  clusterIP: None\n", "", "Service shelf has an address: its name does not lead to Pods"),
        (
            "selector: {app: shelf}",
            "selector: {app: book}",
            "Service shelf selects {'app': 'book'}, and the Pods have the labels {'app': 'shelf'}",
        ),
    ],
)
def test_what_is_wrong_with_the_shelf_is_told(api: Api, old: str, new: str, told: str) -> None:
    PAGE.changed("solution-shelf.yaml", (old, new))
    assert last_line(api, "shelf") == f"✗ not yet: {told}"


def test_a_shelf_at_another_place_is_told_so(api: Api) -> None:
    PAGE.changed("solution-shelf.yaml", ("mountPath: /books", "mountPath: /data"))
    assert last_line(api, "shelf") == "✗ not yet: shelf-0 has no claim at /books"


def test_a_ledger_is_told_what_is_missing_until_one_pod_has_the_release(api: Api) -> None:
    draft = cell("12-exercise-2-solution").split("kubectl set image")[0]
    bash(draft)
    assert last_line(api, "ledger") == "✗ not yet: ledger-1 runs 1.0.0, the task wants 1.1.0 there"
    bash("kubectl set image statefulset/ledger hello=k8s101.test/hello:1.1.0")
    assert_passes(api, "ledger")
    bash("""kubectl patch statefulset/ledger -p '{"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}}'""")
    assert last_line(api, "ledger") == "✗ not yet: ledger-0 runs 1.1.0, the task wants 1.0.0 there"


def test_a_pod_that_is_replaced_by_hand_passes_too(api: Api) -> None:
    PAGE.changed("solution-ledger.yaml", ("rollingUpdate: {partition: 1}", "type: OnDelete"))
    bash("kubectl wait pod/ledger-1 --for=create --timeout=60s")
    bash("kubectl wait pod/ledger-1 --for=condition=Ready --timeout=60s")
    bash("kubectl set image statefulset/ledger hello=k8s101.test/hello:1.1.0")
    bash("kubectl delete pod ledger-1")
    assert_passes(api, "ledger")


def test_a_ledger_without_claims_is_told_so(api: Api) -> None:
    text = (PAGE.files / "solution-ledger.yaml").read_text()
    claims = text[text.index("  volumeClaimTemplates") :]
    PAGE.changed(
        "solution-ledger.yaml",
        (claims, ""),
        ("volumeMounts: [{name: data, mountPath: /data}]", ""),
        ("rollingUpdate: {partition: 1}", "type: RollingUpdate"),
    )
    assert last_line(api, "ledger") == "✗ not yet: ledger-0 has no claim at /data"


def test_a_deployment_is_no_ledger(api: Api) -> None:
    bash("kubectl create deployment ledger --image=k8s101.test/hello:1.0.0")
    try:
        assert last_line(api, "ledger") == "○ not attempted: there is no StatefulSet ledger yet"
    finally:
        bash("kubectl delete deployment ledger")


@pytest.fixture
def orders(api: Api) -> Api:
    """The fault of exercise 3, as the page prepares it."""
    bash(cell("12-exercise-3-fault"))
    return api


STUCK = "✗ not yet: its Pods do not all run yet: the reason is still there, or there is a second one"
SERVICE = "kubectl create service clusterip orders --clusterip=None --tcp=8000"


def test_half_a_repair_is_not_enough(orders: Api) -> None:
    assert last_line(orders, "orders") == "○ not attempted: orders is as your colleague left it"
    bash("kubectl delete statefulset orders")
    bash("kubectl delete pvc data-orders-0")
    PAGE.changed("orders.yaml", ("        storageClassName: fast\n", ""))
    assert last_line(orders, "orders") == STUCK
    bash(SERVICE)
    assert_passes(orders, "orders")


def test_the_repair_of_the_solution_passes(orders: Api) -> None:
    bash(cell("12-exercise-3-solution"))
    assert_passes(orders, "orders")


def test_the_service_alone_is_no_repair(orders: Api) -> None:
    bash(SERVICE)
    assert last_line(orders, "orders") == STUCK


def test_fewer_pods_are_no_repair(orders: Api) -> None:
    bash("kubectl scale statefulset orders --replicas=1")
    assert last_line(orders, "orders") == "✗ not yet: orders asks for 1 Pods; it needs both"


def test_pods_that_ask_nobody_are_no_repair(orders: Api) -> None:
    bash(
        """kubectl patch statefulset/orders --type=json \
        -p '[{"op": "remove", "path": "/spec/template/spec/initContainers"}]'"""
    )
    assert last_line(orders, "orders") == "✗ not yet: the Pods no longer ask orders-0 before they start"
