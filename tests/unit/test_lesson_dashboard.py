"""The dashboard: states by word and sign, the same on every run where it is stored, honest about what it may read."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import ProtocolError

from k8s101.lesson.api import environment, session
from k8s101.lesson.api.mirror import Mirror, State
from k8s101.lesson.api.rest import Resource, Rest
from k8s101.lesson.pictures import dashboard as board
from k8s101.lesson.pictures.overview import RESOURCES, age, rollout, tables
from k8s101.lesson.pictures.tables import Table, Word
from tests.unit.lesson_fixtures import Object, deployment, lesson, owned, pod, replicaset, template

NOW = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)


def node(name: str, known: str = "True", **spec: Any) -> Object:
    item = owned(name, "Node", name)
    item["metadata"]["labels"] = {"node-role.kubernetes.io/worker": ""}
    item["spec"] = spec
    item["status"] = {
        "conditions": [{"type": "Ready", "status": known}],
        "nodeInfo": {"kubeletVersion": "v1.37.2"},
    }
    return item


def event(number: int, message: str = "Created container", **more: Any) -> Object:
    item = owned(f"e{number}", "Event", f"hello.{number}")
    about = {"kind": "Pod", "name": "hello-bcdfg1-a", "uid": "a"}
    return item | {"involvedObject": about, "reason": "Created", "message": message, "type": "Normal"} | more


def seen(**objects: list[Object]) -> State:
    return State({resource.kind: objects.get(resource.kind, []) for resource in RESOURCES})


def rows(state: State, number: int, *, steady: bool = False) -> list[list[str]]:
    lines = tables(state, "n", NOW, steady=steady)[number].text().splitlines()
    return [re.split(r" {3,}", line) for line in lines[1:]]


def test_nodes_are_told_by_state_scheduling_role_and_taints() -> None:
    taint = {"key": "disk", "value": "slow", "effect": "NoSchedule"}
    away = node("worker-3", "Unknown", taints=[{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}])
    found = rows(seen(Node=[away, node("worker-2", "False", unschedulable=True), node("worker-1", taints=[taint])]), 0)
    assert found == [
        ["NODE", "STATE", "SCHEDULING", "ROLES", "VERSION", "TAINTS"],
        ["worker-1", "✓ ready", "allowed", "worker", "v1.37.2", "disk=slow:NoSchedule"],
        ["worker-2", "✗ not ready", "cordoned", "worker", "v1.37.2", "none"],
        ["worker-3", "✗ no heartbeat", "allowed", "worker", "v1.37.2", "node.kubernetes.io/unreachable:NoExecute"],
    ]


@pytest.mark.parametrize(
    ("spec", "status", "words"),
    [
        ({}, {"updatedReplicas": 3, "readyReplicas": 3, "replicas": 3}, "✓ complete"),
        ({}, {"updatedReplicas": 1, "readyReplicas": 3, "replicas": 4}, "○ 1 of 3 updated"),
        ({}, {"updatedReplicas": 3, "readyReplicas": 3, "replicas": 4}, "○ 1 too many, about to stop"),
        ({}, {"updatedReplicas": 3, "readyReplicas": 2, "replicas": 3}, "○ 2 of 3 ready"),
        ({"replicas": 0}, {}, "○ scaled to zero"),
        ({"paused": True}, {"updatedReplicas": 1, "readyReplicas": 3, "replicas": 3}, "○ paused"),
        ({}, {"observedGeneration": 1, "updatedReplicas": 3}, "○ its controller has not looked yet"),
        (
            {},
            {"conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]},
            "✗ stalled: ProgressDeadlineExceeded",
        ),
    ],
)
def test_a_rollout_is_told_in_words(spec: Object, status: Object, words: str) -> None:
    item = deployment(3)
    item["metadata"]["generation"] = 2
    item["spec"] |= spec
    item["status"] = {"observedGeneration": 2} | status
    assert str(rollout(item)) == words


def test_workloads_of_all_kinds_stand_in_one_table() -> None:
    everywhere, numbered = owned("ds", "DaemonSet", "agent"), owned("s", "StatefulSet", "store")
    everywhere["spec"], numbered["spec"] = {"template": template("1.0.0")}, {"template": template("2.0.0")}
    names = ("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled", "numberReady")
    everywhere["status"] = dict.fromkeys(names, 3)
    numbered["status"] = {"updatedReplicas": 1, "replicas": 1}
    found = rows(seen(Deployment=[deployment(2)], DaemonSet=[everywhere], StatefulSet=[numbered]), 1)
    assert found[1:] == [
        ["daemonset/agent", "3", "3", "3", "1.0.0", "✓ complete"],
        ["deployment/hello", "2", "0", "2", "1.0.0", "○ 0 of 2 updated"],
        ["statefulset/store", "1", "1", "0", "2.0.0", "○ 0 of 1 ready"],
    ]


def some_pods(*nodes: str) -> list[Object]:
    parent = replicaset("1", "1.0.0")
    first, second, third = (pod(name, parent, node=where) for name, where in zip("abc", nodes, strict=True))
    first["status"]["containerStatuses"] = [{"name": "hello", "restartCount": 2}]
    second["status"]["containerStatuses"] = [{"name": "hello", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]
    second["status"]["conditions"] = []
    del third["spec"]["nodeName"]
    third["status"] = {"phase": "Pending"}
    return [third, second, first]


def test_pods_stand_by_node_with_state_and_restarts() -> None:
    assert rows(seen(Pod=some_pods("worker-2", "worker-1", "")), 2)[1:] == [
        ["not assigned", "hello-bcdfg1-c", "○ pending", "1.0.0", "0"],
        ["worker-1", "hello-bcdfg1-b", "✗ CrashLoopBackOff", "1.0.0", "0"],
        ["worker-2", "hello-bcdfg1-a", "✓ ready", "1.0.0", "2"],
    ]


def test_events_are_the_last_ones_with_their_age() -> None:
    old = event(1, lastTimestamp="2026-01-01T00:00:00Z")
    series = {"count": 4, "lastObservedTime": "2026-01-01T00:09:30.000000Z"}
    warning = event(2, "Back-off " + "x" * 200, type="Warning", reason="BackOff", series=series)
    found = rows(
        seen(Event=[warning, old, *(event(n, lastTimestamp=f"2025-12-01T00:00:{n}Z") for n in range(10, 30))]), 3
    )
    assert len(found) == 1 + 8
    assert found[1][:4] == ["30s", "✗ Warning", "BackOff", "pod/hello-bcdfg1-a"]
    assert found[1][4].endswith("x… (4 times)")
    assert found[2] == ["10m", "○ Normal", "Created", "pod/hello-bcdfg1-a", "Created container"]


@pytest.mark.parametrize(("ago", "words"), [(0, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (200_000, "2d")])
def test_ages_have_one_unit(ago: int, words: str) -> None:
    stamp = datetime.fromtimestamp(NOW.timestamp() - ago, UTC)
    assert age(f"{stamp:%Y-%m-%dT%H:%M:%S}", NOW) == words
    assert age("", NOW) == "?"


def test_what_is_stored_does_not_tell_names_nodes_or_times() -> None:
    def texts(nodes: tuple[str, ...], number: int) -> list[str]:
        state = seen(Pod=some_pods(*nodes), Event=[event(number)], Node=[node("worker-1")], Deployment=[deployment(3)])
        return [table.text() for table in tables(state, "n", NOW, steady=True)]

    assert texts(("worker-2", "worker-1", ""), 1) == texts(("worker-1", "worker-3", ""), 7)
    assert rows(seen(Pod=some_pods("worker-2", "worker-1", "")), 2, steady=True)[2][:3] == ["…", "hello-…", "✓ ready"]
    assert rows(seen(Event=[event(1)]), 3, steady=True)[1] == ["…"] * 5


def test_an_empty_namespace_says_none() -> None:
    assert [table.text().splitlines()[1:] for table in tables(seen(), "n", NOW)] == [["none"]] * 4


def test_what_may_not_be_read_is_said_and_the_rest_is_shown() -> None:
    known = seen(Pod=some_pods("worker-1", "worker-2", ""))
    del known.objects["Node"]
    state = State(
        known.objects, {"Node": "nodes is forbidden", "Pod": "the API server does not answer (ProtocolError)"}
    )
    shown = tables(state, "n", NOW)
    assert shown[0].text() == "nodes\nnot shown: nodes is forbidden"
    assert "not shown: nodes is forbidden" in shown[0].html() and "<th" not in shown[0].html()
    assert shown[2].text().endswith("as last seen: the API server does not answer (ProtocolError)")
    assert "hello-bcdfg1-a" in shown[2].text()


def test_of_many_rows_those_in_trouble_are_shown() -> None:
    many = tuple((str(number), Word("lost", "bad") if number == 90 else Word("ready", "ok")) for number in range(100))
    table = Table("many", ("NAME", "STATE"), many, limit=3)
    assert [row[0] for row in table.shown] == ["0", "1", "90"]
    assert table.text().endswith("97 more, which are not shown; rows with ✗ are shown first")


def test_html_says_all_without_colour_and_escapes_what_others_wrote() -> None:
    state = seen(Pod=some_pods("worker-1", "worker-2", ""), Event=[event(1, "<script>")])
    html = "".join(table.html() for table in tables(state, "n", NOW))
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert html.count("<caption") == 4 and 'scope="col"' in html
    plain = re.sub(r"<[^>]+>", " ", html)
    assert re.search(r"✓ +ready", plain) and re.search(r"✗ +CrashLoopBackOff", plain)


class Answers:
    """An API server that answers from a list, and notes what it was asked."""

    def __init__(self, refuse: dict[str, Exception] | None = None) -> None:
        self.refuse = refuse or {}
        self.asked: list[tuple[str, str]] = []
        self.events: list[list[Object]] = []

    def call(self, method: str, path: str) -> Object:
        self.asked.append((method, path))
        if error := self.refuse.get(path.rpartition("/")[2]):
            raise error
        parent = replicaset("1", "1.0.0")
        items = [pod("a", parent)] if path.endswith("pods") else []
        return {"metadata": {"resourceVersion": "5"}, "items": items}

    def watch(self, path: str, **query: Any) -> Iterator[Object]:
        assert query["resourceVersion"] == "5" and query["timeoutSeconds"]
        yield from self.events.pop(0)


def mirror(answers: Answers, *resources: Resource) -> Mirror:
    return Mirror(cast(Rest, answers), "n", resources or RESOURCES)


def forbidden() -> ApiException:
    body = json.dumps({"message": 'nodes is forbidden: User "ann" cannot list resource "nodes"'})
    return ApiException(status=403, reason="Forbidden", body=body)


def test_rights_in_one_namespace_are_enough() -> None:
    answers = Answers({"nodes": forbidden(), "events": ProtocolError("reset")})
    state = mirror(answers).read()
    assert state.trouble == {
        "Node": 'nodes is forbidden: User "ann" cannot list resource "nodes"',
        "Event": "the API server does not answer (ProtocolError)",
    }
    assert [item["metadata"]["name"] for item in state.objects["Pod"]] == ["hello-bcdfg1-a"]
    assert {method for method, _ in answers.asked} == {"GET"}
    assert ("GET", "/api/v1/nodes") in answers.asked and ("GET", "/api/v1/namespaces/n/pods") in answers.asked


def test_a_lost_right_hides_what_was_seen_and_a_silent_server_does_not() -> None:
    answers = Answers()
    kept = mirror(answers)
    kept.read()
    answers.refuse = {"pods": ProtocolError("reset")}
    assert kept.read().objects["Pod"]
    answers.refuse = {"pods": forbidden()}
    assert "Pod" not in kept.read().objects
    answers.refuse = {}
    assert kept.read().trouble == {}


def test_watches_renew_what_was_read() -> None:
    answers, (pods,) = Answers(), [resource for resource in RESOURCES if resource.kind == "Pod"]
    kept = mirror(answers, pods)
    kept.read()
    parent = replicaset("1", "1.0.0")
    new, gone = pod("b", parent), pod("a", parent)
    new["metadata"]["resourceVersion"] = "6"
    bookmark = {"metadata": {"resourceVersion": "9"}}
    answers.events = [
        [
            {"type": "ADDED", "object": new},
            {"type": "DELETED", "object": gone},
            {"type": "BOOKMARK", "object": bookmark},
        ]
    ]
    assert kept._stream(pods, "5") == "9"
    assert [item["metadata"]["uid"] for item in kept.state().objects["Pod"]] == ["b"]


def test_where_nobody_watches_the_same_tables_are_printed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("K8S101_INTERACTIVE", raising=False)
    monkeypatch.setenv(environment.STABLE, "1")
    api = lesson(tmp_path)
    api.__dict__["rest"] = Answers({"nodes": forbidden()})
    session.make_current(api)
    board.dashboard()
    printed = capsys.readouterr().out
    assert printed.startswith("nodes\nnot shown: nodes is forbidden")
    assert "workloads in namespace k8s101-deployments\nnone\n" in printed
    assert re.search(r"… +hello-… +✓ ready +1\.0\.0 +0\n", printed)


def test_without_widgets_a_person_gets_the_tables_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("K8S101_INTERACTIVE", "1")
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    api = lesson(tmp_path)
    api.__dict__["rest"] = Answers()
    session.make_current(api)
    board.dashboard(namespace="other")
    assert "workloads in namespace other\n" in capsys.readouterr().out
