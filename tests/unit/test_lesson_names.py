"""The public names, and generated names said in words."""

from __future__ import annotations

import subprocess
import sys

import pytest

import k8s101
from k8s101.lesson.api import names

PUBLIC = {
    "connect", "forward", "draw", "timeline", "predict", "reveal", "check", "hint", "recall", "fault",
    "component", "dashboard",
}  # fmt: skip


def test_there_are_few_names_and_all_can_be_imported() -> None:
    assert set(k8s101.__all__) == PUBLIC
    assert len(k8s101.__all__) <= 13
    for name in k8s101.__all__:
        assert callable(getattr(k8s101, name))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'watch'"):
        k8s101.watch  # noqa: B018


def test_importing_the_package_does_not_wait_for_the_kubernetes_client() -> None:
    code = "import k8s101, sys; sys.exit('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("Created pod: hello-84577cc65d-5dwgt", "Created pod: hello-…"),
        ("Scaled up replica set hello-84577cc65d from 0 to 3", "Scaled up replica set hello-… from 0 to 3"),
        ("pod/countdown-x7k2p", "pod/countdown-…"),
        ("Created job report-29665479", "Created job report-…"),
        ("pod/report-29401003-x7k2p", "pod/report-…"),
        ('Get "http://10.244.1.7:8000/": refused', 'Get "http://<address>:8000/": refused'),
        ("took 1.25s", "took <time>"),
    ],
)
def test_generated_parts_are_replaced(given: str, wanted: str) -> None:
    assert names.tidy(given) == wanted


@pytest.mark.parametrize("text", ["worker-1", "hello-green", "kube-apiserver", "default-scheduler", "v1.37.2"])
def test_names_that_people_gave_stay(text: str) -> None:
    assert names.tidy(text) == text


def test_a_pod_that_is_about_to_stop_is_not_ready() -> None:
    ready = {"metadata": {"name": "a"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert names.ready(ready)
    assert names.pod_state(ready) == "ready"
    stopping = ready | {"metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert not names.ready(stopping)
    assert names.pod_state(stopping) == "stopping"


def test_what_a_container_waits_for_is_named() -> None:
    waiting = {"state": {"waiting": {"reason": "ErrImagePull"}}}
    pod = {"metadata": {"name": "a"}, "status": {"phase": "Pending", "containerStatuses": [waiting]}}
    assert names.pod_state(pod) == "ErrImagePull"


def test_a_pod_with_a_number_keeps_its_name() -> None:
    labels = {"statefulset.kubernetes.io/pod-name": "etcd-1", "pod-template-hash": "x"}
    assert names.short({"metadata": {"name": "etcd-1", "generateName": "etcd-", "labels": labels}}) == "etcd-1"
    assert names.short({"metadata": {"name": "etcd-b2f4g", "generateName": "etcd-", "labels": {}}}) == "etcd-…"
