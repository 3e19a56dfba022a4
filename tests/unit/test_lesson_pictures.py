"""Pictures: the same on every run, with a text, readable without colour."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from k8s101.lesson.api.rollout import bounds, last_rollout
from k8s101.lesson.pictures import parts, timeline
from k8s101.lesson.pictures.draw import picture
from k8s101.lesson.pictures.graph import Edge, Graph, Node, _node, _owned, _without_idle, open_pod
from k8s101.lesson.pictures.picture import Picture
from tests.unit.lesson_fixtures import Object, Recording, deployment, owned, pod, replicaset


def graph_of(*items: Object) -> Graph:
    by_uid = {item["metadata"]["uid"]: item for item in items}
    graph = Graph({uid: _node(item) for uid, item in by_uid.items()})
    graph.edges += _owned(by_uid)
    return _without_idle(graph)


def three_pods() -> Graph:
    parent = replicaset("1", "1.0.0")
    return graph_of(deployment(3), parent, *(pod(f"p{n}", parent, node=f"worker-{n}") for n in (2, 1, 3)))


def test_the_text_names_every_object_and_what_ties_it() -> None:
    assert picture(three_pods(), "deployment/hello").text == "\n".join(
        [
            "Deployment hello · 3 of 3 ready",
            "  owns ReplicaSet hello-… · revision 1 · 1.0.0 · 3 of 3 ready",
            "    owns Pod hello-… · ready · 1.0.0 · worker-1",
            "    owns Pod hello-… · ready · 1.0.0 · worker-2",
            "    owns Pod hello-… · ready · 1.0.0 · worker-3",
        ]
    )


def opened(state: Object) -> Graph:
    """A Pod with a sidecar, an app in a given state, and a volume that both mount."""
    item = pod("a", replicaset("1", "1.0.0"))
    mount = [{"name": "logs", "mountPath": "/logs"}, {"name": "kube-api-access-x", "mountPath": "/var/run"}]
    item["spec"] |= {
        "volumes": [{"name": "logs", "emptyDir": {}}, {"name": "kube-api-access-x", "projected": {}}],
        "initContainers": [
            {"name": "settings", "image": "k8s101.test/toolbox:1.0"},
            {"name": "shipper", "image": "busybox", "restartPolicy": "Always", "volumeMounts": mount},
        ],
        "containers": [item["spec"]["containers"][0] | {"name": "app", "volumeMounts": mount}],
    }
    item["status"] |= {
        "initContainerStatuses": [
            {"name": "settings", "state": {"terminated": {"reason": "Completed"}}},
            {"name": "shipper", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}},
        ],
        "containerStatuses": [{"name": "app", "state": state}],
    }
    return open_pod(graph_of(item), item)


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"running": {}}, "running"),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, "CrashLoopBackOff"),
        ({"terminated": {"exitCode": 3}}, "terminated"),
        ({}, "waiting"),
    ],
)
def test_a_pod_by_itself_shows_its_containers_and_what_they_share(state: Object, word: str) -> None:
    assert opened(state).text().splitlines() == [
        "Pod hello-… · ready",
        f"  runs Container app · {word} · hello:1.0.0",
        "    uses Volume logs · emptyDir",
        "  runs Container settings · init container · Completed · toolbox:1.0",
        "  runs Container shipper · sidecar · running · busybox",
        "    uses Volume logs · emptyDir",
    ]


def test_names_that_differ_on_every_run_do_not_change_the_picture() -> None:
    parent = replicaset("1", "1.0.0")
    other = graph_of(deployment(3), parent, *(pod(f"z{n}", parent, node=f"worker-{n}") for n in (3, 2, 1)))
    first, second = picture(three_pods(), "x"), picture(other, "x")
    assert (first.svg, first.text, first.alt) == (second.svg, second.text, second.alt)


def test_html_is_an_image_with_a_sentence_and_the_text() -> None:
    bundle = picture(three_pods(), "deployment/hello")._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    alt = "Objects of deployment/hello: 1 Deployment, 1 ReplicaSet, 3 Pods, 3 of 3 Pods ready."
    assert f'alt="{alt}"' in bundle["text/html"]
    assert "<script" not in bundle["text/html"]
    found = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', bundle["text/html"])
    assert found
    root = ElementTree.fromstring(base64.b64decode(found[1]))
    assert root.find("{http://www.w3.org/2000/svg}title").text == alt  # type: ignore[union-attr]


def test_states_differ_by_shape_not_only_by_colour() -> None:
    parent = replicaset("1", "1.0.0")
    good = picture(graph_of(parent, pod("a", parent)), "x").svg
    bad = picture(graph_of(parent, pod("a", parent, ready=False)), "x").svg

    def without_colour(svg: str) -> str:
        return re.sub(r"#[0-9A-Fa-f]{6}", "", svg)

    assert without_colour(good) != without_colour(bad)
    assert "not ready" in bad


def cluster_parts(**away: str) -> list[tuple[str, str]]:
    plane = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    nodes = [f"worker-{n}{part}" for n in (1, 2, 3) for part in ("", "/containerd", "/kube-proxy", "/kubelet")]
    return [(name, away.get(name.replace("-", "_"), "runs")) for name in [*plane, *nodes]]


def test_the_cluster_itself_is_drawn_with_who_asks_whom() -> None:
    drawn = parts.picture(cluster_parts())
    lines = drawn.text.splitlines()
    assert lines[:3] == [
        "etcd · runs",
        "kube-apiserver · runs · asks etcd",
        "kube-controller-manager · runs · asks kube-apiserver",
    ]
    assert lines[4:6] == ["worker-1 · runs", "  containerd · runs"]
    assert lines[7] == "  kubelet · runs · asks kube-apiserver and containerd"
    assert drawn.alt.endswith("3 nodes that ask kube-apiserver; all parts run.")
    root = ElementTree.fromstring(drawn.svg)
    assert [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")].count("kubelet") == 3


def test_a_part_that_is_away_is_told_by_word_and_by_shape() -> None:
    drawn = parts.picture(cluster_parts(kube_scheduler="does not run"))
    assert "kube-scheduler · does not run" in drawn.text
    assert drawn.alt.endswith("not running: kube-scheduler.")
    assert drawn.svg.count("<circle") == parts.picture(cluster_parts()).svg.count("<circle") - 1


def test_of_no_objects_there_is_a_picture_that_says_so() -> None:
    drawn = ElementTree.fromstring(picture(Graph({}, []), "namespace empty").svg)
    assert float(drawn.attrib["width"]) > 0 and float(drawn.attrib["height"]) > 0
    assert "there are no objects" in "".join(drawn.itertext())


def test_names_cannot_break_out_of_the_picture() -> None:
    graph = Graph({"a": Node("a", "Service", '<b onload="x">&')}, [Edge("a", "a", "owns")])
    drawn = picture(graph, '"><script>')
    ElementTree.fromstring(drawn.svg)
    assert "<script>" not in drawn._repr_mimebundle_()["text/html"]


def test_old_replicasets_without_pods_are_left_out() -> None:
    old, new = replicaset("1", "1.0.0", 0), replicaset("2", "1.0.1")
    graph = graph_of(deployment(), old, new, pod("a", new))
    assert [node.facts[0] for node in graph.nodes.values() if node.kind == "ReplicaSet"] == ["revision 2"]


def test_below_keeps_only_what_can_be_reached() -> None:
    graph = three_pods()
    graph.nodes["s"] = Node("s", "Service", "hello")
    assert "Service" not in {node.kind for node in graph.below("d").nodes.values()}
    assert len(graph.below("d").nodes) == 5


@pytest.mark.parametrize(
    ("replicas", "update", "wanted"),
    [
        (5, {"maxSurge": "25%", "maxUnavailable": "25%"}, (4, 7)),
        (3, {"maxSurge": "25%", "maxUnavailable": "25%"}, (3, 4)),
        (5, {"maxSurge": 1, "maxUnavailable": 0}, (5, 6)),
        (5, {"maxSurge": 0, "maxUnavailable": "10%"}, (4, 5)),
        (10, {"maxSurge": "100%", "maxUnavailable": "100%"}, (0, 20)),
    ],
)
def test_the_band_is_computed_as_the_controller_does(
    replicas: int, update: dict[str, int | str], wanted: tuple[int, int]
) -> None:
    assert bounds(deployment(replicas, "1", **update)) == wanted


def rolling(recording: Recording, *, careless: bool = False) -> Object:
    """Replace two Pods of release 1.0.0 by two of 1.0.1, one more allowed, none fewer."""
    old, new = replicaset("1", "1.0.0", 2), replicaset("2", "1.0.1", 0)
    recording.see(deployment(2, "1", maxSurge=1, maxUnavailable=0))
    recording.see(old)
    for uid in ("a", "b"):
        recording.see(pod(uid, old))
    recording.see(deployment(2, "1", maxSurge=1, maxUnavailable=0))  # the new template, not yet acted on
    recording.see(new)
    now = deployment(2, "2", maxSurge=1, maxUnavailable=0)
    recording.see(now)
    for number, (old_uid, new_uid) in enumerate((("a", "c"), ("b", "d"))):
        recording.see(replicaset("2", "1.0.1", number + 1))
        if careless:
            recording.see(pod(old_uid, old, stopping=True))
        recording.see(pod(new_uid, new, ready=False))
        recording.see(pod(new_uid, new))
        recording.see(replicaset("1", "1.0.0", 1 - number))
        recording.see(pod(old_uid, old, stopping=True))
        recording.see(pod(old_uid, old), "DELETED")
    return now


def test_a_rollout_is_read_from_what_was_recorded() -> None:
    recording = Recording()
    rollout = last_rollout(recording.recorder, rolling(recording))
    assert (rollout.old, rollout.new, rollout.least, rollout.most) == ("1", "2", 2, 3)
    assert (rollout.lowest, rollout.highest) == (2, 3)
    assert rollout.inside_band
    assert timeline.rollout_text(rollout) == "\n".join(
        [
            "deployment/hello: revision 1 (1.0.0) → revision 2 (1.0.1)",
            "  ready Pods of revision 1: 2 → 0",
            "  ready Pods of revision 2: 0 → 2",
            "  at least 2 ready: kept",
            "  at most 3 Pods: kept",
        ]
    )
    drawn = timeline.rollout_picture(rollout)
    assert drawn.inside_band
    assert "stays inside" in drawn.alt
    ElementTree.fromstring(drawn.svg)


def test_a_pod_whose_end_is_due_does_not_break_the_upper_bound() -> None:
    recording = Recording()
    rolling(recording)
    parent = replicaset("2", "1.0.1", 2)
    for uid in ("e", "f"):  # more Pods for a moment than their ReplicaSets want
        recording.see(pod(uid, parent))
    rollout = last_rollout(recording.recorder, deployment(2, "2", maxSurge=1, maxUnavailable=0))
    assert max(sample.pods for sample in rollout.samples) == 4
    assert (rollout.highest, rollout.inside_band) == (3, True)
    recording.see(replicaset("2", "1.0.1", 4))
    rollout = last_rollout(recording.recorder, deployment(2, "2", maxSurge=1, maxUnavailable=0))
    assert (rollout.highest, rollout.inside_band) == (4, False)


def test_a_watch_that_lags_does_not_move_the_begin_of_a_rollout() -> None:
    recording, late = Recording(), Recording()
    now = rolling(recording)
    pods = recording.recorder.history("Pod")
    for seen in [
        *recording.recorder.history("Deployment", "ReplicaSet"),
        *(replace(seen, at=seen.at + 60) for seen in pods),
    ]:
        late.recorder.add(seen)
    assert last_rollout(late.recorder, now).inside_band


def test_a_rollout_that_leaves_its_band_is_told() -> None:
    recording = Recording()
    rollout = last_rollout(recording.recorder, rolling(recording, careless=True))
    assert rollout.lowest == 1
    assert not rollout.inside_band
    assert "at least 2 ready: BROKEN" in timeline.rollout_text(rollout)
    assert "leaves" in timeline.rollout_picture(rollout).alt


def test_the_life_of_a_pod_names_who_acted() -> None:
    recording, parent = Recording(), replicaset("1", "1.0.0")
    recording.see(pod("old", parent))
    recording.see(pod("old", parent, stopping=True))
    young = pod("new", parent, ready=False)
    for reason, who, about, message in (
        ("Scheduled", "default-scheduler", "new", "assigned"),
        ("SuccessfulCreate", "replicaset-controller", "rs1", f"Created pod: {young['metadata']['name']}"),
        ("Started", "kubelet", "new", "Container started"),
    ):
        event = owned(f"e{reason}", "Event", reason)
        event |= {"involvedObject": {"uid": about}, "reason": reason, "reportingComponent": who, "message": message}
        recording.see(event)
    unbound = pod("new", parent, ready=False)
    del unbound["spec"]["nodeName"]
    recording.see(unbound)
    recording.see(young)
    running = pod("new", parent)
    running["status"]["containerStatuses"] = [{"state": {"running": {}}}]
    recording.see(running)
    acts = timeline.life(recording.recorder, running)
    assert [(act.who, act.what) for act in acts] == [
        ("you", "delete Pod hello-…"),
        ("replicaset-controller", "creates Pod hello-…"),
        ("default-scheduler", "assigns it to worker-1"),
        ("kubelet", "starts its container"),
        ("kubelet", "reports it ready"),
    ]
    drawn: Picture = timeline.life_picture(acts)
    assert drawn.text.splitlines()[0] == "1  you                    delete Pod hello-…"
    ElementTree.fromstring(drawn.svg)


def lost_and_replaced(*reasons: str) -> Recording:
    """A Deployment lost a Pod, and the events tell these reasons."""
    recording, parent = Recording(), replicaset("1", "1.0.0")
    recording.see(parent)
    recording.see(pod("old", parent))
    recording.see(pod("old", parent, stopping=True))
    lost = pod("old", parent)["metadata"]["name"]
    for reason in reasons:
        event = owned(f"e{reason}", "Event", reason)
        event |= {"involvedObject": {"uid": "rs1"}, "reason": reason, "message": f"Deleted pod: {lost}"}
        recording.see(event)
    recording.see(pod("new", parent))
    return recording


def test_a_lost_pod_is_told_by_the_deployment() -> None:
    recording = lost_and_replaced()
    found = timeline.last_replacement(recording.recorder, deployment())
    assert found is not None and found["metadata"]["uid"] == "new"
    assert [act.what for act in timeline.life(recording.recorder, found, "worker-…")][:3] == [
        "delete Pod hello-…",
        "creates Pod hello-…",
        "assigns it to worker-…",
    ]


def test_a_pod_that_the_controller_removed_was_not_lost() -> None:
    recording = lost_and_replaced("SuccessfulDelete")
    assert timeline.last_replacement(recording.recorder, deployment()) is None


def test_the_pods_of_a_rollout_replace_no_lost_one() -> None:
    recording, old, new = Recording(), replicaset("1", "1.0.0"), replicaset("2", "1.0.1")
    for item in (old, pod("one", old), new, pod("one", old, stopping=True), pod("two", new)):
        recording.see(item)
    assert timeline.last_replacement(recording.recorder, deployment()) is None
