"""Label selectors, and what counts as a rule that spreads copies over nodes."""

from __future__ import annotations

from typing import Any

import pytest

from k8s101.lesson.api.names import selects
from k8s101.lesson.quiz.bank import Finding
from k8s101.lesson.quiz.checking import spread_by_rule

LABELS = {"app": "web", "track": "stable"}
OWN = {"matchLabels": {"app": "web"}}
OTHERS = {"matchLabels": {"app": "wep"}}


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        (None, False),
        ({}, True),
        (OWN, True),
        (OTHERS, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["api", "web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
        ({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, True),
    ],
)
def test_a_selector_fits_labels(selector: dict[str, Any] | None, fits: bool) -> None:
    assert selects(selector, LABELS) is fits


def spread(when: str = "DoNotSchedule", skew: int = 1, **other: Any) -> dict[str, Any]:
    rule = {"topologyKey": "kubernetes.io/hostname", "labelSelector": OWN, "maxSkew": skew, "whenUnsatisfiable": when}
    return {"topologySpreadConstraints": [rule | other]}


def apart(**other: Any) -> dict[str, Any]:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": OWN} | other
    return {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def preferred() -> dict[str, Any]:
    term = {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": OWN}}
    return {"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}}


def told(spec: dict[str, Any]) -> Finding:
    return spread_by_rule({"spec": {"template": {"metadata": {"labels": LABELS}, "spec": spec}}})


@pytest.mark.parametrize("spec", [spread(), apart(), spread("ScheduleAnyway", 2) | apart(), spread() | preferred()])
def test_a_rule_counts(spec: dict[str, Any]) -> None:
    assert told(spec) == Finding(True, "a rule in the template keeps it so")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({}, "by luck"),
        ({"nodeSelector": {"kubernetes.io/hostname": "worker-1"}}, "by luck"),
        (spread(topologyKey="topology.kubernetes.io/zone"), "by luck"),
        (spread("ScheduleAnyway"), "only prefers it"),
        (preferred(), "only prefers it"),
        (spread(labelSelector=OTHERS), "counts other Pods"),
        (apart(labelSelector=OTHERS), "counts other Pods"),
        (spread(skew=2), "2 more of them than another"),
    ],
)
def test_anything_else_is_told_its_cause(spec: dict[str, Any], why: str) -> None:
    finding = told(spec)
    assert not finding.ok
    assert why in finding.text
