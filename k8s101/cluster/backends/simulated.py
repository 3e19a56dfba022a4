"""The `simulated` backend: a real control plane without privileges, and nodes that only exist in the API."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from pathlib import Path

from k8s101.cluster.access import identity
from k8s101.cluster.access.api import Api, Manifest
from k8s101.cluster.access.pki import Authority, write_kubeconfig
from k8s101.cluster.backends import local, nodes, objects
from k8s101.cluster.backends.base import Capabilities, Finding, Supplies, Traits
from k8s101.cluster.components import kwok
from k8s101.cluster.host import host
from k8s101.cluster.programs.binaries import ensure
from k8s101.cluster.supervisor.process import Process
from k8s101.cluster.values.progress import Report
from k8s101.cluster.values.settings import CANDIDATE_RANGES, LOOPBACK, Settings, invoking_user
from k8s101.errors import Problem

TOOLS = (*host.CONTROL_PLANE_TOOLS, "kwok")
MOST_NODES = 5000
"""What Kubernetes is tested with (https://kubernetes.io/docs/setup/best-practices/cluster-large/)."""

WIDE_PODS = IPv4Network("10.128.0.0/9")
"""Pod addresses of clusters with so many nodes that the usual range does not do; nothing is ever sent to one."""

TRAITS = Traits(Capabilities(containers=False, host_network=False, control_plane_faults=True, node_faults=False))

verify = identity.verify


def check() -> None:
    """Nothing is needed that Python's own start does not need."""


def examine(settings: Settings | None) -> list[Finding]:
    """Say why its nodes are not real."""
    return [nodes.why_not("simulated")]


def create(state: Path, node_count: int) -> Settings:
    """Lay out a cluster on free ports of loopback.

    Raises:
        Problem: too many nodes.
    """
    if node_count > MOST_NODES:
        raise Problem(f"{node_count} nodes are too many", where="Kubernetes itself", then=f"--nodes {MOST_NODES}")
    ranges = CANDIDATE_RANGES[0]
    if node_count >= ranges.pods.num_addresses // 256:
        ranges = dataclasses.replace(ranges, pods=WIDE_PODS)
    user = invoking_user()
    return Settings(state, "simulated", ranges, node_count, (user.uid, user.gid), local.free_ports())


def prepare(report: Report) -> Supplies:
    """Find or make programs."""
    return Supplies(ensure(TOOLS, report))


def running(settings: Settings) -> bool:
    """Tell whether the host supervisor runs."""
    return host.process(settings) is not None


def start(settings: Settings, parts: Supplies) -> None:
    """Write all files and start the control plane and KWOK."""
    stop(settings)
    settings = local.renew_ports(settings, (*local.KUBECONFIGS, kwok.KUBECONFIG))
    settings.logs.mkdir(exist_ok=True)
    ca = host.write_control_plane(settings)
    _write_kwok(settings, ca)
    kwok.write_egress(settings)
    local.start(settings, processes(settings, parts.tools), parts.tools["etcdctl"])


def processes(settings: Settings, tools: Mapping[str, Path]) -> list[Process]:
    """Return the control plane, KWOK and what stands between them."""
    flags = (
        # no Pod asks for it, and loopback may not be advertised
        "--endpoint-reconciler-type=none",
        f"--advertise-address={settings.ranges.router}",
        f"--egress-selector-config-file={kwok.egress(settings)}",
    )
    control_plane = host.control_plane_programs(settings, tools, *flags)
    return [*control_plane, kwok.gate(settings), kwok.program(settings, tools["kwok"])]


def _write_kwok(settings: Settings, ca: Authority) -> None:
    ca.issue_files(settings.pki, "kwok", "kwok", hosts=[str(LOOPBACK)], server=True)
    write_kubeconfig(settings.state / kwok.KUBECONFIG, ca, settings.api_server, kwok.USER)


def connect(settings: Settings) -> None:
    """Loopback is always connected."""


def populate(settings: Settings, api: Api) -> None:
    """Write access rules, nodes and identity, and start KWOK."""
    objects.apply_files(api, settings, "base/access.yaml", "simulated/access.yaml")
    if any(renewed < host.started_at(settings) for renewed in objects.leases(api).values()):
        # KWOK, started anew, would wait until the leases of the old one have ended
        api.call("DELETE", objects.LEASES)
    known = {item["metadata"]["name"]: item["metadata"]["labels"] for item in api.get("/api/v1/nodes")["items"]}

    def put(node: Manifest) -> None:
        labels = known.get(node["metadata"]["name"])
        if labels is None:
            api.call("POST", "/api/v1/nodes", json=node).raise_for_status()
        elif not node["metadata"]["labels"].items() <= labels.items():
            api.apply({key: part for key, part in node.items() if key != "status"})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, _nodes(settings)))
    host.ensure_started(settings, "kwok")
    api.apply(identity.manifest(settings))


def _nodes(settings: Settings) -> Iterator[Manifest]:
    for index, name in enumerate(settings.nodes, start=1):
        yield kwok.simulated(objects.node(settings, name, index), settings.ports.kubelet)


def waits(settings: Settings) -> dict[str, Callable[[], bool]]:
    """Nothing but nodes: no DNS runs on nodes that run nothing."""
    return {}


def capabilities(settings: Settings) -> Capabilities:
    """Return what notebooks may rely on."""
    return TRAITS.usual


def stop(settings: Settings) -> None:
    """End every process of the cluster; the state directory stays."""
    host.end(settings)


def forget(settings: Settings, report: Callable[[str], None]) -> None:
    """End the cluster; all it made is in its state directory."""
    stop(settings)
