"""The template's exercises on the real cluster: what a test of checks looks like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from k8s101.cluster.values.settings import ROOT
from k8s101.lesson.api.session import Api, make_current
from tests.notebooks.checking import assert_passes, clear, last_line, lesson

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("template") as api:
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    clear(opened, "deployments")


def web(api: Api, copies: int = 2, version: str = "1.1.0", cpu: str = "20m") -> None:
    """Create what the exercise asks for, or something that differs from it in one thing."""
    container = {"name": "hello", "image": f"k8s101.test/hello:{version}", "resources": {"requests": {"cpu": cpu}}}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    spec = {"replicas": copies, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    body: Any = {"metadata": {"name": "web"}, "spec": spec}
    api.apps.create_namespaced_deployment(api.namespace, body)


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "generate") == "○ not attempted: there is no Deployment web yet"


def test_the_solution_passes(api: Api) -> None:
    web(api)
    assert_passes(api, "generate")


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ({"copies": 3}, "✗ not yet: it has 3 ready Pods, the task asks for 2"),
        ({"version": "1.0.1"}, "✗ not yet: its Pods run 1.0.1, the task wants 1.1.0"),
        ({"cpu": "200m"}, "✗ not yet: each requests 200m CPU, the task asks for 20m"),
    ],
)
def test_a_wrong_answer_is_told_its_cause(api: Api, mistake: dict[str, Any], told: str) -> None:
    web(api, **mistake)
    assert last_line(api, "generate") == told


def test_the_fault_is_not_named_before_it_is_repaired(api: Api) -> None:
    shop = yaml.safe_load((ROOT / "manifests/template/shop.yaml").read_text())
    api.apps.create_namespaced_deployment(api.namespace, shop)
    assert last_line(api, "repair") == "○ not attempted: shop is as your colleague left it"
    container = shop["spec"]["template"]["spec"]["containers"][0]
    container["image"] = "k8s101.test/hello:1.1.0"
    api.apps.patch_namespaced_deployment("shop", api.namespace, shop)
    assert last_line(api, "repair") == "✗ not yet: shop has no ready Pod yet"
    container["readinessProbe"]["httpGet"]["port"] = 8000
    api.apps.patch_namespaced_deployment("shop", api.namespace, shop)
    assert_passes(api, "repair")
