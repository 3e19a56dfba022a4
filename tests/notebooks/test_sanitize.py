"""The sanitise file changes what varies between runs, and nothing that a lesson wants to show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from nbval.plugin import get_sanitize_patterns

from k8s101.cluster.values.settings import CANDIDATE_RANGES

FILE = Path(__file__).with_name("sanitize.cfg")
TEXT = FILE.read_text()
PAIRS: list[tuple[str, str]] = get_sanitize_patterns(TEXT)
NAMES = re.findall(r"^\[([a-z-]+)\]$", TEXT, re.MULTILINE)
RULES = dict(zip(NAMES, PAIRS, strict=True))

CHANGED: dict[str, list[tuple[str, str | None]]] = {
    "pod-name": [("hello-6d4cf56db6-x2k7p 1/1", "hello-6d4cf56db6-POD 1/1")],
    "uid": [("uid 3f0c6a52-8b1e-4c0e-9d57-0a7c1b2d3e4f.", "uid UID.")],
    "time": [
        ("at 2026-11-23T08:42:17Z", "at TIME"),
        ("2026-11-23T08:42:17.123456Z started", "TIME started"),
    ],
    "pod-address": [("from 10.244.2.17:8000", "from POD-IP:8000"), ("172.30.1.2.", "POD-IP.")],
    "service-address": [("http://10.96.0.10/", "http://SERVICE-IP/")],
    "node-address": [("worker-2 10.101.0.12", "worker-2 NODE-IP-12"), ("172.29.201.11 x", "NODE-IP-11 x")],
    "resource-version": [
        ('"resourceVersion": "4711"', '"resourceVersion": "RV"'),
        ('resourceVersion: "1"', 'resourceVersion: "RV"'),
    ],
    "age": [
        ("hello   1/1   Running   0   3s\nweb     1/1   Running   0   2m10s", None),
        ("hello   3d4h", "hello   AGE"),
    ],
    "local-port": [("http://127.0.0.1:43817/", "http://127.0.0.1:PORT/"), ("localhost:30080", "localhost:PORT")],
}
"""For each rule: a text before, and after (None: only that it changes)."""

LEFT_ALONE = {
    "pod-name": [
        "hello-6d4cf56db6",
        "worker-1-abcde",
        "blue-green-https",
        "hello-1.0.1-x2k7p",
        "hello-6d4cf56db6-x2k7",
    ],
    "uid": ["3f0c6a52-8b1e-4c0e-9d57", "sha256:3f0c6a528b1e4c0e9d570a7c1b2d3e4f"],
    "time": ["2026-11-23", "08:42:17", "version 1.37.2"],
    "pod-address": ["10.243.2.17", "110.244.2.17", "10.244.2.17.5", "10.244.0", "version 10.244.1"],
    "service-address": ["10.95.0.1", "10.99.0.1", "172.32.0.1"],
    "node-address": ["10.101.1.12", "192.168.200.4", "10.101.0.0.1"],
    "resource-version": ['resourceVersion: "RV"', 'version: "4711"', "resourceVersion: 0"],
    "age": ["ready after 3s", "waited 3s", "hello   3", "hello  10seconds", "   AGE"],
    "local-port": ["localhost:8000", "10.0.0.1:43817", "127.0.0.1:443"],
}


def sanitised(text: str) -> str:
    """Return a text as nbval compares it."""
    for regex, replace in PAIRS:
        text = re.sub(regex, replace, text)
    return text


def changed_by(name: str, text: str) -> str:
    """Return what one rule makes of a text."""
    regex, replace = RULES[name]
    return re.sub(regex, replace, text)


def test_nbval_reads_every_pair() -> None:
    assert len(PAIRS) == len(re.findall(r"^\s*regex\b", TEXT, re.MULTILINE)) == len(NAMES) > 0


def test_no_regex_stands_twice() -> None:
    assert len({regex for regex, _ in PAIRS}) == len(PAIRS)


def test_every_rule_has_samples() -> None:
    assert set(CHANGED) == set(LEFT_ALONE) == set(NAMES)


@pytest.mark.parametrize(("name", "before", "after"), [(n, b, a) for n, ps in CHANGED.items() for b, a in ps])
def test_rule_changes_its_sample(name: str, before: str, after: str | None) -> None:
    found = changed_by(name, before)
    assert found != before
    assert after is None or found == after


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in LEFT_ALONE.items() for text in texts])
def test_rule_leaves_the_near_miss(name: str, text: str) -> None:
    assert changed_by(name, text) == text


@pytest.mark.parametrize("text", [text for texts in LEFT_ALONE.values() for text in texts])
def test_near_misses_survive_the_whole_file(text: str) -> None:
    assert sanitised(text) == text


def test_addresses_of_every_candidate_range_get_the_same_words() -> None:
    words = {
        sanitised(f"node {ranges.node(2)} Pod {ranges.pods_of(2)[9]} Service {ranges.services[10]}")
        for ranges in CANDIDATE_RANGES
    }
    assert words == {"node NODE-IP-12 Pod POD-IP Service SERVICE-IP"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("replicas 3 · ready 3", "replicas 3 · ready 2"),
        ("hello 1.0.0 from worker-1", "hello 1.0.1 from worker-1"),
        ("hello-6d4cf56db6-x2k7p", "hello-7d4cf56db6-x2k7p"),
        ("hello-6d4cf56db6-x2k7p", "web-6d4cf56db6-x2k7p"),
        ("10.244.1.7 answers", "10.96.0.7 answers"),
        ("node 10.101.0.11", "node 10.101.0.12"),
        ("hello   1/1   Running   0   3s", "hello   1/1   Running   1   3s"),
        ("hello   1/1   Running   0   3s", "hello   0/1   Pending   0   3s"),
        ("http://127.0.0.1:43817 answers 200", "http://127.0.0.1:43817 answers 500"),
        ("revision 1 2 3", "revision 1 3 4"),
        ("failed: 0", "failed: 1"),
    ],
)
def test_planted_difference_stays_visible(one: str, other: str) -> None:
    assert sanitised(one) != sanitised(other)


def test_two_runs_of_the_same_table_compare_equal() -> None:
    one = "NAME                     READY   IP           AGE\nhello-6d4cf56db6-x2k7p   1/1     10.244.1.7   3s\n"
    other = "NAME                     READY   IP           AGE\nhello-6d4cf56db6-9w4dn   1/1     10.244.3.9   1m4s\n"
    assert sanitised(one) == sanitised(other)
