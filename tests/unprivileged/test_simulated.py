"""A cluster with simulated nodes in the hands of a user without any privilege."""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.small_machine import AN_OUTSIDE, MEMORY, UID, SmallMachine
from tests.waiting import eventually

HELLO = "k8s101.test/hello:1.0.0"
PARTS = {"etcd", "gate", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"}
OTHER = UID + 1


def make_web(machine: SmallMachine, replicas: int = 3) -> None:
    machine.kubectl("create", "deployment", "web", f"--image={HELLO}", f"--replicas={replicas}").good()


def running_pods(machine: SmallMachine) -> int:
    return machine.kubectl("get", "pods", "--no-headers").out.count(" Running ")


def test_it_comes_up_and_says_what_it_proved_and_goes_without_a_trace(machine: SmallMachine) -> None:
    began = time.monotonic()
    up = machine.k8s101("up", "--backend", "simulated").good()
    print(f"\nup with self-check: {time.monotonic() - began:.1f} s, {machine.memory_peak():.0f} MB at most")
    assert "3 simulated nodes Ready" in up.out
    assert "no container runs" in up.out
    assert machine.times_out_of_memory() == 0
    assert machine.memory_peak() < MEMORY / 1e6
    rows = json.loads(machine.k8s101("status", "--json").good().out)
    assert {part["name"] for part in rows["parts"]} == PARTS
    doctor = machine.k8s101("doctor").good()
    assert "kind of cluster: simulated (real nodes need root" in doctor.out
    assert machine.k8s101("down").good().out == "removed\n"
    assert machine.processes() == []
    assert not machine.state().exists()
    left = [path for path in machine.home().rglob("*") if path.is_file()]
    assert left == []


def test_the_nodes_look_like_real_ones(running: SmallMachine) -> None:
    nodes = json.loads(running.kubectl("get", "nodes", "--output=json").good().out)["items"]
    assert [node["metadata"]["name"] for node in nodes] == ["worker-1", "worker-2", "worker-3"]
    for node in nodes:
        assert node["status"]["allocatable"] == {"cpu": "1", "memory": "1Gi", "pods": "110"}
        addresses = {entry["type"]: entry["address"] for entry in node["status"]["addresses"]}
        assert addresses["InternalIP"] == "127.0.0.1"
    zones = [node["metadata"]["labels"]["topology.kubernetes.io/zone"] for node in nodes]
    assert zones == ["zone-a", "zone-b", "zone-c"]


def test_only_loopback_is_listened_on(running: SmallMachine) -> None:
    addresses = [line.split()[-2] for line in running.root("ss", "-H", "-l", "-t", "-u", "-n").splitlines()]
    # etcd (2), API server, controller-manager, scheduler, KWOK
    assert len(addresses) >= 6
    assert {address.rsplit(":", 1)[0] for address in addresses} == {"127.0.0.1"}


def test_keys_are_private(running: SmallMachine) -> None:
    files = [path for path in running.state().rglob("*") if path.is_file()]
    keys = [path for path in files if path.suffix in (".key", ".kubeconfig") or path.name == "kubeconfig"]
    assert len(keys) > 10
    assert {oct(path.stat().st_mode & 0o777) for path in keys} == {"0o600"}
    assert running.state().stat().st_mode & 0o077 == 0
    assert {path.stat().st_uid for path in files} == {UID}


def test_logs_and_exec_say_that_nothing_runs(running: SmallMachine) -> None:
    make_web(running, 1)
    eventually("the Pod runs", lambda: running_pods(running) == 1)
    assert "no logs found" in running.kubectl("logs", "deployment/web").err
    assert "no exec found" in running.kubectl("exec", "deployment/web", "--", "true").err
    running.k8s101("reset").good()


def test_objects_survive_a_stop(running: SmallMachine) -> None:
    running.kubectl("create", "configmap", "kept", "--from-literal=a=b").good()
    running.k8s101("stop").good()
    assert running.processes() == []
    assert running.k8s101("status").status == 1
    running.k8s101("start").good()
    running.kubectl("get", "configmap", "kept").good()
    running.k8s101("reset").good()
    assert running.kubectl("get", "configmap", "kept").status == 1


def test_reset_restores_nodes(running: SmallMachine) -> None:
    running.kubectl("label", "node", "worker-1", "disk=fast").good()
    running.kubectl("label", "node", "worker-2", "--overwrite", "topology.kubernetes.io/zone=elsewhere").good()
    running.kubectl("cordon", "worker-3").good()
    running.k8s101("reset").good()
    nodes = json.loads(running.kubectl("get", "nodes", "--output=json").good().out)["items"]
    assert all("disk" not in node["metadata"]["labels"] for node in nodes)
    assert nodes[1]["metadata"]["labels"]["topology.kubernetes.io/zone"] == "zone-b"
    assert all("unschedulable" not in node["spec"] for node in nodes)


def test_a_killed_supervisor_takes_all_along_and_up_repairs(running: SmallMachine) -> None:
    running.kubectl("create", "configmap", "kept", "--from-literal=a=b").good()
    pid = (running.state() / "supervisord.pid").read_text().strip()
    running.run("kill", "-KILL", pid).good()
    eventually("everything ended", lambda: running.processes() == [])
    running.k8s101("up", "--backend", "simulated", "--no-check").good()
    running.kubectl("get", "configmap", "kept").good()
    running.k8s101("reset").good()


@pytest.mark.parametrize("part", sorted(PARTS))
def test_a_killed_part_comes_back(running: SmallMachine, part: str) -> None:
    before = {row["name"]: row["pid"] for row in json.loads(running.k8s101("status", "--json").out)["parts"]}
    running.run("kill", "-KILL", str(before[part])).good()
    eventually("it runs again", lambda: running.k8s101("status").status == 0, 60)
    # and what it does is done again
    name = f"after-{part}"
    eventually(
        "a Deployment is accepted",
        lambda: running.kubectl("create", "deployment", name, f"--image={HELLO}").status == 0,
    )
    eventually("its Pod runs", lambda: running_pods(running) == 1, 60)
    running.k8s101("reset").good()


def test_a_port_that_was_taken_is_given_up(machine: SmallMachine) -> None:
    machine.k8s101("up", "--backend", "simulated", "--no-check").good()
    machine.kubectl("create", "configmap", "kept", "--from-literal=a=b").good()
    machine.k8s101("stop").good()
    ports = json.loads((machine.state() / "settings.json").read_text())["ports"]
    thief = f"import socket,time; s=socket.create_server(('127.0.0.1', {ports['api']})); time.sleep(600)"
    machine.run("sh", "-c", 'python3 -c "$1" >/dev/null 2>&1 &', "sh", thief).good()
    eventually("the port is taken", lambda: f"127.0.0.1:{ports['api']} " in machine.root("ss", "-H", "-l", "-t", "-n"))
    machine.k8s101("up", "--backend", "simulated").good()
    assert json.loads((machine.state() / "settings.json").read_text())["ports"]["api"] != ports["api"]
    machine.kubectl("get", "configmap", "kept").good()


def test_no_packet_leaves_the_machine() -> None:
    with SmallMachine(network=AN_OUTSIDE) as machine:

        def sent() -> int:
            (link,) = json.loads(machine.root("ip", "-json", "-statistics", "link", "show", "outside"))
            return int(link["stats64"]["tx"]["packets"])

        machine.run("python3", "-c", "import socket; socket.socket(2, 2).sendto(b'', ('10.244.1.1', 9))").good()
        before = sent()
        assert before > 0, "what is sent outside is counted"
        machine.k8s101("up", "--backend", "simulated").good()
        make_web(machine)
        eventually("the Pods run", lambda: running_pods(machine) == 3)
        machine.kubectl("expose", "deployment", "web", "--port=80", "--target-port=8000").good()
        for path in ("services/web", *pods(machine)):
            answer = machine.kubectl("get", "--raw", f"/api/v1/namespaces/default/{path}:80/proxy/")
            assert "simulated Pods have no network" in answer.err, answer
        machine.kubectl("logs", "deployment/web")
        machine.kubectl("get", "--raw", "/api/v1/nodes/worker-1/proxy/metrics")
        machine.k8s101("down").good()
        assert sent() == before


def pods(machine: SmallMachine) -> list[str]:
    return machine.kubectl("get", "pods", "--output=name").good().out.replace("pod/", "pods/").split()


def test_two_users_have_a_cluster_each() -> None:
    with SmallMachine(uids=(UID, OTHER)) as machine:
        machine.k8s101("up", "--backend", "simulated", "--no-check").good()
        machine.k8s101("up", "--backend", "simulated", "--no-check", uid=OTHER).good()
        machine.kubectl("create", "configmap", "mine", "--from-literal=a=b").good()
        assert machine.kubectl("get", "configmap", "mine", uid=OTHER).status == 1
        foreign = machine.k8s101("status", uid=OTHER, K8S101_STATE=str(machine.state()))
        assert foreign.status != 0
        assert "Traceback" not in foreign.err
        machine.k8s101("down", uid=OTHER).good()
        machine.k8s101("status").good()


def test_what_a_user_cannot_have_is_said_in_three_parts(running: SmallMachine, machine: SmallMachine) -> None:
    nodes = machine.k8s101("up", "--backend", "nodes")
    assert nodes.status == 1
    assert re.search(r"real nodes need root\n  where: .*\n  next:  sudo", nodes.err)
    other = running.k8s101("up", "--backend", "nodes")
    assert "a cluster of the kind simulated is here already" in other.err
    deep = str(machine.home() / ("x" * 80))
    assert "too long for a Unix socket" in machine.k8s101("up", "--backend", "simulated", K8S101_STATE=deep).err
    assert "5001 nodes are too many" in machine.k8s101("up", "--backend", "simulated", "--nodes", "5001").err
    assert not machine.state().exists()


@pytest.mark.slow
def test_a_thousand_nodes(machine: SmallMachine) -> None:
    began = time.monotonic()
    machine.k8s101("up", "--backend", "simulated", "--nodes", "1000").good()
    print(f"\n1000 nodes: {time.monotonic() - began:.0f} s")
    make_web(machine, 500)
    eventually("500 Pods run", lambda: running_pods(machine) == 500, 240)
    print(f"500 Pods: {time.monotonic() - began:.0f} s, {machine.memory_peak():.0f} MB at most")
    assert machine.times_out_of_memory() == 0
