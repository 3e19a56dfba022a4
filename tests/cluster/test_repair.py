"""Parts that die: what goes on without them, what comes back by itself, what a start brings back."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from functools import partial

import psutil
import pytest
import requests

from k8s101.cluster.facade import cluster as clusters
from k8s101.cluster.host import host
from k8s101.cluster.linux import cgroups
from k8s101.cluster.node import router
from tests.escapes import Escapes
from tests.lab import HELLO_PORT, Lab, Namespace, hello, pod, service, several
from tests.waiting import eventually

FOREVER = [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}]
FOREVER += [{"key": "node.kubernetes.io/unreachable", "operator": "Exists"}]
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
PARTS = (*CONTROL_PLANE, "worker-2/containerd", "worker-2/kubelet", "worker-2/kube-proxy")


def ask(address: str) -> requests.Response:
    session = requests.Session()
    session.trust_env = False
    return session.get(f"http://{address}", timeout=3, headers={"Connection": "close"})


def answers_always(address: str) -> bool:
    """Ask thirty times; a kube-proxy follows the EndpointSlice a moment later, so the first round may fail."""
    return all(ask(address).ok for _ in range(30))


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_component_comes_back_and_works(lab: Lab, space: Namespace, part: str) -> None:
    before = lab.process(part)
    lab.cluster.part(part).kill()
    eventually(f"{part} runs again", lambda: lab.process(part) not in (0, before), 30)
    address = eventually("an app serves", lambda: serve_app(space), 60)
    eventually("the Service answers", lambda: ask(address).ok, 30)


def serve_app(space: Namespace) -> str:
    """Start an app with all parts of the cluster, and return its Service's address."""
    space.start(several("Deployment", hello("web"), replicas=3), service("web"))
    found: str = space.get("service", "web")["spec"]["clusterIP"]
    return found


def test_the_cluster_works_as_soon_as_the_api_server_does(lab: Lab, space: Namespace) -> None:
    """Clients that were refused three times in two minutes would wait for up to a minute each."""
    for _ in range(3):
        lab.cluster.part("kube-apiserver").stop()
        lab.cluster.part("kube-apiserver").start()
    address = eventually("an app serves", lambda: serve_app(space), 30)
    eventually("the Service answers", lambda: ask(address).ok, 15)


def test_all_components_killed_at_once_come_back(lab: Lab, space: Namespace) -> None:
    address = serve_app(space)
    before = {part: lab.process(part) for part in PARTS}
    for part in PARTS:
        lab.cluster.part(part).kill()
    assert ask(address).ok, "Services need no control plane"
    eventually("all run again", lambda: all(lab.process(p) not in (0, old) for p, old in before.items()), 30)
    eventually("it answers", lambda: lab.cluster.api.ready(), 60)
    space.kubectl("scale", "deployment/web", "--replicas=5")
    space.wait_ready()


def test_stopped_components_stay_stopped_until_they_are_started(lab: Lab, space: Namespace) -> None:
    lab.cluster.part("kube-scheduler").stop()
    try:
        space.apply(pod("waits"))
        assert not lab.cluster.part("kube-scheduler").running
        assert space.get("pod", "waits")["status"]["phase"] == "Pending"
        assert "nodeName" not in space.get("pod", "waits")["spec"]
    finally:
        lab.cluster.part("kube-scheduler").start()
    space.wait_ready()


def test_a_node_dies_and_comes_back(lab: Lab, space: Namespace, escapes: Escapes) -> None:
    """One long test: a node needs half a minute to be missed."""
    script = "echo run >> /data/runs; exec sleep infinity"
    volumes = [{"name": "data", "emptyDir": {}}]
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    keeper = pod(
        "keeper",
        command=("sh", "-c", script),
        nodeName="worker-1",
        tolerations=FOREVER,
        volumes=volumes,
        container=mounts,
    )
    space.start(several("Deployment", hello("web"), replicas=4), service("web"), keeper)
    assert "worker-1" in {p["spec"]["nodeName"] for p in space.pods(app="web")}
    address = space.get("service", "web")["spec"]["clusterIP"]
    inside = psutil.Process(lab.node_pid("worker-1")).children(recursive=True)
    first = lab.node_pid("worker-1")

    os.kill(first, signal.SIGKILL)
    eventually("every process of the node ended", lambda: all(has_ended(p.pid) for p in inside), 10)
    eventually("the node is gone", lambda: lab.process("worker-1") == 0, 10)
    assert not lab.cluster.part("worker-1").running

    eventually("worker-1 is missed", lambda: lab.node_state("worker-1") == "Unknown", 60)
    eventually("no endpoint is left on it", lambda: nodes_behind(space) <= {"worker-2", "worker-3"}, 30)
    eventually("the Service answers with worker-1 dead", lambda: answers_always(address), 15)
    with pytest.raises(OSError):
        socket.create_connection((str(lab.cluster.settings.ranges.services[-2]), 80), timeout=5)
    assert escapes.packets() == 0
    eventually("Pods run elsewhere", lambda: len(ready_elsewhere(space)) == 4, 60)

    lab.cluster.part("worker-1").start()
    eventually("worker-1 is back", lambda: lab.node_state("worker-1") == "True", 60)
    space.wait_ready()
    assert space.exec("keeper", "cat", "/data/runs") == "run\nrun\n"
    for node in lab.nodes:
        assert "hello" in lab.fetch(address, at=lab.at_node(node))
    eventually("the Service answers with worker-1 back", lambda: answers_always(address), 15)


def nodes_behind(space: Namespace) -> set[str]:
    slices = space.get("endpointslices", "--selector=kubernetes.io/service-name=web")
    return {e["nodeName"] for s in slices for e in s.get("endpoints") or [] if e["conditions"]["ready"]}


def ready_elsewhere(space: Namespace) -> list[str]:
    pods = (p for p in space.pods(app="web") if p["spec"].get("nodeName") != "worker-1")
    return [p["metadata"]["name"] for p in pods if p["status"].get("phase") == "Running"]


def cluster_processes(lab: Lab) -> set[int]:
    base = json.loads(lab.cluster.settings.cgroups_file.read_text())
    return {pid for pid in cgroups.processes(base) if not has_ended(pid)}


def stop(lab: Lab) -> None:
    clusters.stop(lab.cluster)
    assert not lab.cluster.running()
    assert not any(link["ifname"] == router.HOST_LINK for link in router.query("link", "show"))


def is_refused(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=5).close()
    except TimeoutError:
        raise AssertionError(f"{address} is not refused but lost") from None
    except OSError:
        return True
    return False


def kill_supervisor(lab: Lab) -> None:
    supervisor = host.process(lab.cluster.settings)
    assert supervisor is not None
    supervisor.kill()


@pytest.mark.parametrize("end", [stop, kill_supervisor])
def test_the_whole_cluster_ends_and_comes_back_with_its_objects(
    lab: Lab, space: Namespace, escapes: Escapes, end: Callable[[Lab], None]
) -> None:
    address = serve_app(space)
    space.kubectl("create", "configmap", "kept", "--from-literal=word=kept")
    before = {item["metadata"]["uid"] for item in space.get("deployments,services,configmaps")}
    nodes = {item["metadata"]["name"]: item["metadata"]["uid"] for item in lab.get("nodes")}
    identity = lab.cluster.identity
    processes = cluster_processes(lab)
    assert len(processes) > 15

    end(lab)
    eventually("all its processes ended", lambda: all(has_ended(pid) for pid in processes), 10)
    try:
        for target in ((str(lab.cluster.settings.ranges.router), 6443), (address, 80)):
            # the last thread of a process may listen a moment longer than its first
            eventually(f"{target} is refused", partial(is_refused, *target), 10)
        assert escapes.packets() == 0
    finally:
        clusters.up(print)
    assert lab.cluster.identity == identity
    assert {item["metadata"]["uid"] for item in space.get("deployments,services,configmaps")} == before
    assert {item["metadata"]["name"]: item["metadata"]["uid"] for item in lab.get("nodes")} == nodes
    space.wait_ready()
    eventually("the Service answers", lambda: ask(address).ok, 30)


def test_up_on_a_running_cluster_changes_nothing(lab: Lab, space: Namespace) -> None:
    space.start(hello("web"))
    address = space.get("pod", "web")["status"]["podIP"]
    before = [(p.name, p.pid) for p in lab.cluster.processes()]
    with socket.create_connection((address, HELLO_PORT), 5) as line:
        clusters.up(print)
        line.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"200 OK" in line.recv(100), "a connection lives on"
    assert [(p.name, p.pid) for p in lab.cluster.processes()] == before


def test_up_repairs_a_half_dead_cluster(lab: Lab, space: Namespace) -> None:
    for part in ("kube-scheduler", "worker-2/kubelet", "worker-3"):
        lab.cluster.part(part).stop()
    lab.cluster.part("kube-controller-manager").pause()
    subprocess.run(("ip", "link", "delete", router.HOST_LINK), check=True)
    clusters.up(print)
    assert all(lab.process(name) for name in (*PARTS, *lab.nodes))
    serve_app(space)
