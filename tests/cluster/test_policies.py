"""NetworkPolicies on real nodes: what the add-on's agent lets through, and what the kernel drops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.cluster.adding import everything, good
from tests.lab import HELLO_PORT, Lab, Manifest, Namespace, hello, namespace, pod, service
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

SPACE = "k8s101-policy-test"
OTHER_PORT = 8001
CALLERS = ("one", "two")
ALL = {(caller, port) for caller in CALLERS for port in (HELLO_PORT, OTHER_PORT)}
Reached = set[tuple[str, int]]


@pytest.fixture(scope="module")
def before(lab: Lab) -> set[str]:
    """What is there without the add-on."""
    return everything(lab)


@pytest.fixture(scope="module")
def space(lab: Lab, before: set[str]) -> Iterator[Namespace]:
    """A server with two ports and two Pods that call it, on a cluster that enforces policies."""
    good("enable", "network-policy")
    with namespace(lab, SPACE) as found:
        server = hello("server", container={"ports": [{"name": "http", "containerPort": HELLO_PORT}]})
        other = pod("other", command=("hello", "serve", f"--port={OTHER_PORT}"))
        server["spec"]["containers"] += other["spec"]["containers"]
        found.start(server, *(pod(caller) for caller in CALLERS))
        yield found
    good("disable", "network-policy")


@pytest.fixture(autouse=True)
def open_again(space: Namespace) -> Iterator[None]:
    """Begin each test without policies."""
    yield
    space.kubectl("delete", "networkpolicies", "--all")


def address(space: Namespace, name: str) -> str:
    return str(space.get("pod", name)["status"]["podIP"])


def reached(space: Namespace) -> Reached:
    """Return who gets an answer from which port of the server."""
    server = address(space, "server")
    ports = f"{HELLO_PORT} {OTHER_PORT}"
    calls = f"for n in {ports}; do (wget -T 1 -qO /dev/null http://{server}:$n/ 2> /dev/null && echo $n) & done; wait"
    found = {caller: space.exec(caller, "sh", "-c", calls).split() for caller in CALLERS}
    return {(caller, int(port)) for caller, ports in found.items() for port in ports}


def policy(name: str, selects: str, **spec: Any) -> Manifest:
    kinds = [kind for kind in ("Ingress", "Egress") if kind.lower() in spec]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": {"matchLabels": {"app": selects}}, "policyTypes": kinds, **spec},
    }


def labelled(name: str) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": {"app": name}}}


HERE = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": SPACE}}}
ELSEWHERE = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
NOT_TWO = {"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["two"]}]}}
HTTP = {"port": HELLO_PORT}
BOTH = {("one", HELLO_PORT), ("one", OTHER_PORT)}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param([], set(), id="nobody"),
        pytest.param([{}], ALL, id="everybody"),
        pytest.param([{"from": [labelled("one")]}], BOTH, id="a label"),
        pytest.param([{"from": [labelled("one")], "ports": [HTTP]}], {("one", HELLO_PORT)}, id="label and port"),
        pytest.param([{"ports": [{"port": "http"}]}], ALL - {(c, OTHER_PORT) for c in CALLERS}, id="a port's name"),
        pytest.param([{"ports": [{"port": "https"}]}], set(), id="a name of no port"),
        pytest.param(
            [{"ports": [{"port": 7000, "endPort": HELLO_PORT}]}], ALL - {(c, 8001) for c in CALLERS}, id="range"
        ),
        pytest.param([{"ports": [HTTP | {"protocol": "UDP"}]}], set(), id="another protocol"),
        pytest.param([{"ports": [{"protocol": "TCP"}]}], ALL, id="a protocol without port"),
        pytest.param([{"from": [HERE]}], ALL, id="a namespace"),
        pytest.param([{"from": [HERE | labelled("two")]}], ALL - BOTH, id="namespace and label"),
        pytest.param([{"from": [ELSEWHERE, labelled("one")]}], BOTH, id="namespace or label"),
        pytest.param([{"from": [ELSEWHERE | labelled("one")]}], set(), id="label in another namespace"),
        pytest.param([{"from": [NOT_TWO]}], BOTH, id="an expression"),
        pytest.param([{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}], ALL, id="all addresses"),
        pytest.param([{"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}], set(), id="addresses of others"),
    ],
)
def test_what_may_come_in(space: Namespace, rules: list[dict[str, Any]], expected: Reached) -> None:
    space.apply(policy("rules", "server", ingress=rules))
    eventually(f"the calls that are answered: {sorted(expected)}", lambda: reached(space) == expected)


def test_a_block_of_addresses_has_exceptions(space: Namespace) -> None:
    block = {"cidr": "0.0.0.0/0", "except": [f"{address(space, 'two')}/32", f"{address(space, 'server')}/32"]}
    space.apply(policy("rules", "server", ingress=[{"from": [{"ipBlock": block}]}]))
    eventually("all but one", lambda: reached(space) == BOTH)


def test_policies_add_up_and_follow_labels(space: Namespace) -> None:
    space.apply(policy("first", "server", ingress=[{"from": [labelled("one")], "ports": [HTTP]}]))
    space.apply(policy("second", "server", ingress=[{"from": [labelled("two")], "ports": [{"port": OTHER_PORT}]}]))
    eventually("one port each", lambda: reached(space) == {("one", HELLO_PORT), ("two", OTHER_PORT)})
    space.kubectl("label", "pod", "two", "app=one", "--overwrite")
    eventually("the first policy is for both", lambda: reached(space) == {(c, HELLO_PORT) for c in CALLERS})
    space.kubectl("label", "pod", "two", "app=two", "--overwrite")


def test_what_may_go_out(space: Namespace) -> None:
    space.apply(policy("out", "one", egress=[{"to": [labelled("server")], "ports": [{"port": "http"}]}]))
    eventually("one port of one, all of two", lambda: reached(space) == ALL - {("one", OTHER_PORT)})
    space.apply(policy("in", "server", ingress=[{"from": [labelled("two")]}]))
    eventually("both sides have to allow it", lambda: reached(space) == ALL - BOTH)


def test_a_pod_may_always_call_itself(space: Namespace) -> None:
    space.apply(service("server"), policy("rules", "server", ingress=[], egress=[]))
    eventually("nobody else is answered", lambda: reached(space) == set())
    door = space.get("service", "server")["spec"]["clusterIP"]
    calls = ("exec", "server", "--container=other", "--", "wget", "-T", "2", "-qO-", f"http://{door}/")
    eventually("an answer of its own", lambda: space.ask(*calls).stdout == "hello 1.0.0 from server\n")
    space.kubectl("delete", "service", "server")


def test_probes_arrive_and_an_agent_that_dies_leaves_its_rules(lab: Lab, space: Namespace) -> None:
    space.apply(policy("rules", "server", ingress=[]))
    eventually("nobody", lambda: reached(space) == set())
    agents = Namespace(lab, "network-policy")
    restarts = {p["metadata"]["name"]: 0 for p in agents.pods()}
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "policy-agent" and any(
            process in psutil.Process(lab.process(node)).children(recursive=True) for node in lab.nodes
        ):
            process.kill()
    assert reached(space) == set()
    eventually(
        "agents run again",
        lambda: all(
            p["status"]["containerStatuses"][0]["restartCount"] > restarts[p["metadata"]["name"]] for p in agents.pods()
        ),
    )
    agents.wait_ready()
    assert reached(space) == set()
    assert space.get("pod", "server")["status"]["containerStatuses"][0]["ready"]
    said = agents.kubectl("logs", "daemonset/policy-agent")
    assert "nfqueue" in said, "whether upstream's component could do this here"


def test_nothing_is_left(lab: Lab, before: set[str], space: Namespace) -> None:
    tables = {node: lab.run(*lab.at_node(node), "nft", "list", "tables").stdout for node in lab.nodes}
    assert all("table ip network-policy" in found for found in tables.values())
    assert not any("probe" in found for found in tables.values())
    lab.kubectl("delete", "namespace", SPACE)
    assert good("disable", "network-policy") == "network-policy: disabled\n"
    assert not everything(lab) - before

    def clean() -> bool:
        return not any("network-policy" in lab.run(*lab.at_node(n), "nft", "list", "tables").stdout for n in lab.nodes)

    eventually("no rules are left", clean)
