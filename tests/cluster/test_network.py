"""Who reaches whom: Pods, nodes, the machine, by address, by Service and by name."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.escapes import Escapes
from tests.intrusions import intruder
from tests.lab import HELLO_PORT, Lab, Namespace, hello, namespace, pod, service, several
from tests.waiting import eventually


@pytest.fixture(scope="module")
def app(lab: Lab) -> Iterator[Namespace]:
    """The story app and a toolbox on every node, a toolbox in every node's network, Services of each type."""
    with namespace(lab, f"net-{int(time.time())}") as space:
        on_host = pod("on-host", hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet")
        space.start(
            several("DaemonSet", hello("web")),
            several("DaemonSet", pod("tools")),
            several("DaemonSet", on_host),
            service("web"),
            service("web-headless", selector={"app": "web"}, clusterIP="None"),
            service("web-port", selector={"app": "web"}, type="NodePort"),
        )
        yield space


def on(space: Namespace, node: str, app: str) -> dict[str, Any]:
    return next(p for p in space.pods(app=app) if p["spec"]["nodeName"] == node)


def name_of(item: dict[str, Any]) -> str:
    found: str = item["metadata"]["name"]
    return found


def ip_of(item: dict[str, Any]) -> str:
    found: str = item["status"]["podIP"]
    return found


def cluster_ip(space: Namespace, name: str = "web") -> str:
    found: str = space.get("service", name)["spec"]["clusterIP"]
    return found


def test_pod_reaches_pod_on_another_node_without_address_translation(app: Namespace) -> None:
    client, server = on(app, "worker-1", "tools"), on(app, "worker-2", "web")
    app.exec(name_of(client), "wget", "-q", "-O", "-", f"http://{ip_of(server)}:{HELLO_PORT}/something/77")
    logged = [line.split() for line in app.kubectl("logs", name_of(server)).splitlines() if "/something/" in line]
    assert [words[1] for words in logged] == [ip_of(client)]


def test_pod_reaches_every_pod_on_its_own_and_other_nodes(app: Namespace) -> None:
    for source in app.pods(app="tools"):
        for target in app.pods(app="web"):
            answer = app.exec(name_of(source), "wget", "-q", "-O", "-", f"http://{ip_of(target)}:{HELLO_PORT}/")
            assert name_of(target) in answer


def test_nodes_reach_pods_and_pods_reach_nodes(app: Namespace) -> None:
    lab = app.lab
    for node in lab.nodes:
        for target in app.pods(app="web"):
            assert "hello" in lab.fetch(f"{ip_of(target)}:{HELLO_PORT}", at=lab.at_node(node))
    source = name_of(on(app, "worker-1", "tools"))
    for node in lab.nodes:
        kubelet = f"https://{lab.address(node)}:10250/healthz"
        assert "Unauthorized" in app.exec(source, "hello", "fetch", "--insecure", kubelet)


def test_a_service_answers_pods_on_every_node(app: Namespace) -> None:
    for source in app.pods(app="tools"):
        assert "hello" in app.exec(name_of(source), "wget", "-q", "-O", "-", f"http://{cluster_ip(app)}/")


def test_a_service_answers_pods_in_a_nodes_network(app: Namespace) -> None:
    for source in app.pods(app="on-host"):
        assert "hello" in app.exec(name_of(source), "wget", "-q", "-O", "-", f"http://{cluster_ip(app)}/")


def test_a_service_answers_processes_of_a_node(app: Namespace) -> None:
    for node in app.lab.nodes:
        assert "hello" in app.lab.fetch(cluster_ip(app), at=app.lab.at_node(node))


def test_a_service_answers_the_machine_from_every_pod(app: Namespace) -> None:
    names = {name_of(item) for item in app.pods(app="web")}
    answered: set[str] = set()

    def all_answered() -> bool:
        answered.update(app.lab.fetch(cluster_ip(app)).split()[-1:])
        return answered >= names

    eventually("every Pod answered", all_answered)


def test_the_api_server_answers_at_its_own_service(app: Namespace) -> None:
    address = app.lab.get("service", "kubernetes", "--namespace=default")["spec"]["clusterIP"]
    source = name_of(on(app, "worker-3", "tools"))
    assert "v1.37" in app.exec(source, "hello", "fetch", "--insecure", f"https://{address}/version")
    with socket.create_connection((address, 443), timeout=5):
        pass


@pytest.mark.parametrize("number", [0, 1], ids=["service", "outside"])
def test_an_unknown_virtual_address_is_refused_at_once_and_never_leaves(
    app: Namespace, escapes: Escapes, number: int
) -> None:
    unknown = str(app.lab.cluster.settings.ranges.virtual[number][-2])
    with pytest.raises(OSError) as refused:
        socket.create_connection((unknown, 80), timeout=10)
    assert not isinstance(refused.value, TimeoutError), "not refused but lost"
    source = name_of(on(app, "worker-1", "tools"))
    assert "refused" in app.ask("exec", source, "--", "hello", "fetch", f"http://{unknown}").stderr
    with pytest.raises(AssertionError, match="refused"):
        app.lab.fetch(unknown, at=app.lab.at_node("worker-1"), seconds=10)
    assert escapes.packets() == 0


def test_an_outside_address_answers_wherever_it_is_called(app: Namespace) -> None:
    address = str(app.lab.cluster.settings.ranges.outside[-3])
    app.apply(service("web-outside", selector={"app": "web"}, type="LoadBalancer"))
    status = json.dumps({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}})
    app.kubectl("patch", "service", "web-outside", "--subresource=status", "--type=merge", f"--patch={status}")

    def answers() -> bool:
        return "hello" in app.ask("exec", source, "--", "hello", "fetch", f"http://{address}/").stdout

    for source in (name_of(on(app, node, "tools")) for node in app.lab.nodes):
        eventually(f"answered in {source}", answers)
    assert "hello" in app.lab.fetch(address)
    for node in app.lab.nodes:
        assert "hello" in app.lab.fetch(address, at=app.lab.at_node(node))


def test_a_service_without_pods_is_refused_at_once(space: Namespace) -> None:
    space.apply(service("empty"))
    address = (cluster_ip(space, "empty"), 80)

    def refused() -> bool:
        try:
            socket.create_connection(address, timeout=3).close()
        except ConnectionRefusedError:
            return True
        return False

    eventually("refused", refused, 15)


def test_a_node_port_answers_on_every_node(app: Namespace) -> None:
    port = app.get("service", "web-port")["spec"]["ports"][0]["nodePort"]
    for node in app.lab.nodes:
        assert "hello" in app.lab.fetch(f"{app.lab.address(node)}:{port}")


def test_a_host_port_answers_on_its_node_only(space: Namespace) -> None:
    web = hello("web", nodeName="worker-2", container={"ports": [{"containerPort": HELLO_PORT, "hostPort": 8088}]})
    space.start(web)
    assert "hello" in space.lab.fetch(f"{space.lab.address('worker-2')}:8088")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((space.lab.address("worker-1"), 8088), timeout=5)


def test_names(app: Namespace) -> None:
    source = name_of(on(app, "worker-2", "tools"))
    suffix = f"{app.name}.svc.cluster.local"

    def resolve(name: str) -> set[str]:
        return set(app.exec(source, "hello", "resolve", name).split())

    pods = {ip_of(item) for item in app.pods(app="web")}
    assert resolve("web") == resolve(f"web.{app.name}") == resolve(f"web.{suffix}") == {cluster_ip(app)}
    assert resolve("web-headless") == pods
    address = min(pods)
    assert resolve(f"{address.replace('.', '-')}.{app.name}.pod.cluster.local") == {address}
    assert cluster_ip(app) in app.exec(name_of(on(app, "worker-1", "on-host")), "hello", "resolve", "web")


@pytest.mark.parametrize(
    ("name", "answer"),
    # the cluster's DNS knows nobody outside whom it could ask
    [("nothing", "NXDOMAIN"), ("nothing.default.svc.cluster.local", "NXDOMAIN"), ("example.com", "SERVFAIL")],
)
def test_an_unknown_name_gets_a_no(app: Namespace, name: str, answer: str) -> None:
    result = app.ask("exec", name_of(on(app, "worker-1", "tools")), "--", "nslookup", name)
    assert result.returncode == 1
    assert answer in result.stdout


def test_nodes_have_no_way_out(app: Namespace) -> None:
    for node in app.lab.nodes:
        routes = json.loads(app.lab.run(*app.lab.at_node(node), "ip", "-json", "route", "show").stdout)
        assert routes
        assert "default" not in {route["dst"] for route in routes}


@contextmanager
def address_of_the_machine(address: str) -> Iterator[None]:
    """Give the machine one more address."""
    subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "addr", "del", f"{address}/32", "dev", "lo"], check=True)


def test_nobody_in_the_cluster_can_call_the_machine(app: Namespace) -> None:
    """Neither at its address on the link nor, with routes of a Pod's own, at an address behind the machine."""
    app.start(intruder(nodeName="worker-2"))
    link, behind = str(app.lab.cluster.settings.ranges.host), "198.51.100.7"
    with (
        address_of_the_machine(behind),
        socket.create_server(("0.0.0.0", 0)) as listener,
        socket.socket(type=socket.SOCK_DGRAM) as packets,
    ):
        port = listener.getsockname()[1]
        packets.bind(("0.0.0.0", port))
        packets.settimeout(1)
        socket.create_connection((link, port), timeout=5).close()
        listener.accept()[0].close()
        listener.settimeout(1)
        route = f"ip route add {behind} via {app.lab.cluster.settings.ranges.router}"
        for address in (link, behind):
            # busybox's nc knows no UDP, its tftp does
            for call in ("timeout 3 nc -w 2 {} {}", "timeout 2 tftp -g -r hello -l /tmp/hello {} {}"):
                app.ask("exec", "intruder", "--", "sh", "-c", f"{route}; echo hello | {call.format(address, port)}")
        for hear in (listener.accept, lambda: packets.recv(100)):
            with pytest.raises(TimeoutError):
                hear()
    app.kubectl("delete", "pod", "intruder", "--now")


def test_nothing_of_the_cluster_left_the_machine(app: Namespace, escapes: Escapes) -> None:
    assert escapes.packets() == 0
