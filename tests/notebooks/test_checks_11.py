"""Module 11 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101.lesson.api.session import Api, make_current
from tests.notebooks.checking import Page, assert_passes, clear, last_line, lesson
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

PAGE = Page("11")
bash = PAGE.bash
cell = PAGE.cell
changed = PAGE.changed

VOLUMES_SECONDS = 60
USER = "volumes-test"


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("volumes") as api:
        bash(f"k8s101 addons enable storage --for {USER}")
        yield api
        bash(f"k8s101 addons disable storage --for {USER}")


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    clear(opened, "deployments", "persistentvolumeclaims")
    eventually("no volume is left", lambda: not opened.rest.list("PersistentVolume", ""), VOLUMES_SECONDS)


USED = "persistentVolumeClaim: {claimName: diary}"


def diary(source: str = USED, size: str = "20Mi", extra: str = "") -> None:
    """Apply the manifest of exercise 1, filled in like this."""
    more = [("spec:\n  accessModes", f"spec:\n  {extra}\n  accessModes")] if extra else []
    changed("solution-diary.yaml", (USED, source), ("20Mi", size), *more)


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "diary") == "○ not attempted: there is no PersistentVolumeClaim diary yet"
    assert last_line(api, "library") == "○ not attempted: there is no Deployment library yet"
    assert last_line(api, "orders") == "○ not attempted: there is no Deployment orders yet"


def test_the_diary_of_the_solution_passes(api: Api) -> None:
    bash(cell("11-exercise-1-solution"))
    assert_passes(api, "diary")


def test_a_larger_claim_passes_too_and_a_first_pod_does_not(api: Api) -> None:
    diary(size="1Gi", extra="storageClassName: local-path")
    bash("kubectl wait pod/diary --for=condition=Ready --timeout=60s")
    assert last_line(api, "diary").startswith("✗ not yet: this Pod is the first that writes into the claim")
    bash("kubectl delete pod diary")
    diary(size="1Gi", extra="storageClassName: local-path")
    assert_passes(api, "diary")


@pytest.mark.parametrize(
    ("source", "size", "extra", "line"),
    [
        ("emptyDir: {}", "20Mi", "", "Pod diary has emptyDir at /data"),
        ("persistentVolumeClaim: {claimName: notes}", "20Mi", "", "Pod diary uses claim notes; the task names it"),
        (USED, "20Mi", "storageClassName: slow", "Pod diary is on no node"),
        (USED, "2Mi", "", "the claim requests 2Mi, the task asks for 20Mi"),
    ],
)
def test_what_is_wrong_with_the_diary_is_told(api: Api, source: str, size: str, extra: str, line: str) -> None:
    diary(source, size, extra)
    if size == "2Mi":
        bash("kubectl wait pod/diary --for=condition=Ready --timeout=60s")
    elif extra:
        bash("kubectl wait pod/diary --for=condition=PodScheduled=False --timeout=60s")
    assert last_line(api, "diary").startswith(f"✗ not yet: {line}")


def library(*changes: tuple[str, str], restarted: bool = True) -> None:
    """Apply the manifest of exercise 2 with these changes, and restart it as the task asks."""
    changed("solution-library.yaml", *changes)
    if restarted:
        bash("kubectl wait deployment/library --for=jsonpath='{.status.readyReplicas}'=1 --timeout=60s")
        bash("kubectl rollout restart deployment/library")


def test_the_library_of_the_solution_passes(api: Api) -> None:
    bash(cell("11-exercise-2-solution"))
    assert_passes(api, "library")


def test_a_rolling_update_without_a_second_pod_passes_too(api: Api) -> None:
    library(("type: Recreate", "type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 1}"))
    assert_passes(api, "library")


def test_a_rolling_update_that_waits_for_its_own_claim_is_told_so(api: Api) -> None:
    library(("type: Recreate", "type: RollingUpdate"))
    line = last_line(api, "library")
    assert line.startswith("✗ not yet: Pod library-… is on no node")
    assert "ReadWriteOncePod access mode already in-use by another pod" in line


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("ReadWriteOncePod", "ReadWriteOnce", "ReadWriteOnce: several Pods may use the claim at the same time"),
        ("storage: 30Mi", "storage: 3Mi", "the claim requests 3Mi, the task asks for 30Mi"),
    ],
)
def test_what_is_wrong_with_the_claim_of_the_library_is_told(api: Api, old: str, new: str, line: str) -> None:
    library((old, new))
    assert last_line(api, "library") == f"✗ not yet: {line}"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("persistentVolumeClaim: {claimName: library}", "emptyDir: {}", "the template has emptyDir at /books"),
        ("mountPath: /scratch", "mountPath: /tmp/scratch", "the template has no volume at /scratch"),
        ("medium: Memory, ", "", "/scratch is on the node's disk, the task asks for memory"),
        (", sizeLimit: 16Mi", "", "nothing limits what /scratch may hold"),
        ("sizeLimit: 16Mi", "sizeLimit: 16Gi", "/scratch may hold 16Gi, the task asks for 16Mi"),
    ],
)
def test_what_is_wrong_with_the_volumes_of_the_library_is_told(api: Api, old: str, new: str, line: str) -> None:
    library((old, new), restarted=False)
    assert last_line(api, "library") == f"✗ not yet: {line}"


def test_a_library_that_nobody_restarted_is_told_so(api: Api) -> None:
    library(restarted=False)
    assert last_line(api, "library") == "✗ not yet: nobody has restarted it yet: kubectl rollout restart"


@pytest.fixture
def orders(api: Api) -> Api:
    """The fault of exercise 3, as the page prepares it."""
    bash(cell("11-exercise-3-fault"))
    return api


RENAME = """
kubectl patch deployment/orders --type=json -p '[{"op": "replace", "value": "orders",
  "path": "/spec/template/spec/volumes/0/persistentVolumeClaim/claimName"}]'
"""


def test_the_fault_stays_until_somebody_acts_and_half_a_repair_is_not_enough(orders: Api) -> None:
    assert last_line(orders, "orders") == "○ not attempted: orders is as your colleague left it"
    bash(RENAME)
    assert last_line(orders, "orders") == (
        "✗ not yet: its Pod does not run yet: the reason is still there, or there is a second one"
    )
    bash("kubectl delete pvc orders\nkubectl apply -f solution-orders.yaml")
    bash("kubectl rollout status deployment/orders --timeout=60s")
    assert_passes(orders, "orders")


def test_the_repair_of_the_solution_passes(orders: Api) -> None:
    bash(cell("11-exercise-3-solution"))
    assert_passes(orders, "orders")


def test_a_claim_with_the_name_that_the_pod_wants_passes_too(orders: Api) -> None:
    changed("solution-orders.yaml", ("name: orders", "name: order"))
    bash("kubectl rollout status deployment/orders --timeout=60s")
    assert_passes(orders, "orders")


def test_an_app_that_forgets_its_orders_is_no_repair(orders: Api) -> None:
    bash(
        """kubectl patch deployment/orders --type=json -p '[{"op": "replace",
        "path": "/spec/template/spec/volumes/0", "value": {"name": "orders", "emptyDir": {}}}]'"""
    )
    assert last_line(orders, "orders") == (
        "✗ not yet: the template has emptyDir at /orders; the orders must outlive their Pod"
    )


def test_fewer_pods_are_no_repair(orders: Api) -> None:
    bash("kubectl scale deployment/orders --replicas=0")
    assert last_line(orders, "orders") == "✗ not yet: orders asks for no Pod at all"
