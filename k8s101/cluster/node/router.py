"""The router: a network namespace that joins the nodes, the control plane and the host.

Every node hangs on a point-to-point link, like a machine in a cloud's route table; the control plane's
processes live in the namespace itself. Nothing in it knows a way out of the machine, nor calls the machine, and
the host's own firewall sees only what passes between the host and the cluster.
"""

from __future__ import annotations

import json
import subprocess
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from k8s101.cluster.access import identity
from k8s101.cluster.linux import cgroups
from k8s101.cluster.values.settings import Settings
from k8s101.errors import Problem

HOST_LINK = "k8s101"
"""Name of the host's only interface to the cluster."""

LAST_RESORT = 65535
"""The metric of routes that hold when no other does."""

FIRST_RULE = 1
"""The priority of the cluster's own policy rules: before those of VPNs (Tailscale's begin at 5210), behind `local`."""

MAIN_RULE = 32766

HOST_PEER = "to-host"
NODE_LINK = "to-worker"


def ip(*lines: str) -> None:
    """Run several commands of iproute2 in one process.

    Raises:
        subprocess.CalledProcessError: one of them failed.
    """
    subprocess.run(("ip", "-batch", "-"), input="\n".join(lines), text=True, check=True, capture_output=True)


def query(*arguments: str) -> list[dict[str, Any]]:
    """Return the JSON answer of a command of iproute2."""
    result = subprocess.run(("ip", "-json", *arguments), check=True, capture_output=True, text=True)
    found: list[dict[str, Any]] = json.loads(result.stdout or "[]")
    return found


def set_network_setting(key: str, value: str) -> None:
    """Write a setting of this network namespace, such as `ip_forward`."""
    Path("/proc/sys/net/ipv4", key).write_text(value)


def forward_packets() -> None:
    """Make this network namespace a router, and one that goes soon after its last process.

    A connection whose process was killed keeps its namespace, with all its links, until nobody has answered for a
    hundred seconds (tcp_orphan_retries in Documentation/networking/ip-sysctl.rst of Linux).
    """
    set_network_setting("ip_forward", "1")
    set_network_setting("tcp_orphan_retries", "1")


def _refuse_machine() -> None:
    """Let the machine call the cluster and nobody in the cluster call the machine, which may listen everywhere."""
    rules = f'oifname != "{HOST_PEER}" accept; ct state established,related accept; reject'
    hooks = ("forward", "output")
    chains = "".join(f"chain {hook} {{ type filter hook {hook} priority filter; {rules}; }}\n" for hook in hooks)
    subprocess.run(("nft", "-f", "-"), input=f"table ip k8s101 {{\n{chains}}}\n", text=True, check=True)


def connect_host(settings: Settings, router_pid: int) -> None:
    """Give the host its link to the router and routes to nodes, Pods and Services.

    Routes of last resort keep these ranges off the machine's other interfaces while the cluster is stopped.

    Args:
        settings: the cluster's settings.
        router_pid: a process in the router's network namespace.

    Raises:
        Problem: somebody else has routes to these addresses by now.
    """
    if _is_connected(settings):
        return
    try:
        _connect(settings, router_pid)
    except subprocess.CalledProcessError as error:
        raise Problem(
            f"this machine cannot be connected to the cluster: {error.stderr.strip()}",
            where="ip route show",
            then="disconnect a VPN; or k8s101 down, then k8s101 up takes other addresses",
        ) from error


def _is_connected(settings: Settings) -> bool:
    if owner() != settings.state:
        return False
    routes = {route["dst"] for route in query("route", "show", "dev", HOST_LINK)}
    wanted = {str(settings.ranges.router), *map(str, _networks(settings))}
    return wanted <= routes and not _missing_rules(settings)


def owner() -> Path | None:
    """Return the state directory of the cluster to which the machine has a link, None without one."""
    for link in query("link", "show"):
        if link["ifname"] == HOST_LINK and "UP" in link["flags"]:
            return Path(link.get("ifalias", "unknown"))
    return None


def _networks(settings: Settings) -> tuple[IPv4Network, ...]:
    return settings.ranges.nodes, settings.ranges.pods, settings.ranges.services


def _connect(settings: Settings, router_pid: int) -> None:
    ranges = settings.ranges
    disconnect_host()
    ip(*(f"rule add to {net} lookup main priority {FIRST_RULE}" for net in _missing_rules(settings)))
    ip(
        *(f"route replace unreachable {net} metric {LAST_RESORT}" for net in _networks(settings)),
        f"link add {HOST_LINK} type veth peer name {HOST_PEER} netns {router_pid}",
        f'link set {HOST_LINK} alias "{settings.state}"',
        f"addr add {ranges.host}/32 dev {HOST_LINK}",
        f"link set {HOST_LINK} up",
        f"route add {ranges.router} dev {HOST_LINK} scope link src {ranges.host}",
        *(f"route add {net} via {ranges.router} dev {HOST_LINK} src {ranges.host}" for net in _networks(settings)),
    )
    inside = f"link set {HOST_PEER} up\nroute add {ranges.host} dev {HOST_PEER} scope link src {ranges.router}\n"
    subprocess.run(
        ("nsenter", f"--net=/proc/{router_pid}/ns/net", "ip", "-batch", "-"),
        input=inside,
        text=True,
        check=True,
        capture_output=True,
    )


def disconnect_host() -> None:
    """Remove the host's link; the routes of last resort stay."""
    if _has_link():
        try:
            ip(f"link del {HOST_LINK}")
        except subprocess.CalledProcessError:
            # it goes with the router's namespace, which may end meanwhile
            if _has_link():
                raise


def _has_link() -> bool:
    return any(link["ifname"] == HOST_LINK for link in query("link", "show"))


def _rules() -> list[dict[str, Any]]:
    try:
        return query("-4", "rule", "show")
    except subprocess.CalledProcessError:
        return []  # a kernel without policy rules follows its routes only


def _target(rule: dict[str, Any]) -> str:
    return f"{rule['dst']}/{rule['dstlen']}" if "dst" in rule and "dstlen" in rule else rule.get("dst", "all")


def _missing_rules(settings: Settings) -> list[IPv4Network]:
    rules = _rules()
    known = {_target(rule) for rule in rules if rule.get("priority") == FIRST_RULE and rule.get("table") == "main"}
    return [net for net in _networks(settings) if str(net) not in known] if rules else []


def rules_before_main() -> list[str]:
    """Return the policy rules that send packets elsewhere before the machine's own routes are looked at."""
    others = [rule for rule in _rules() if FIRST_RULE < rule["priority"] < MAIN_RULE]
    return [f"{rule['priority']}: lookup {rule['table']}" for rule in others if rule.get("table", "main") != "main"]


def check_way(settings: Settings) -> None:
    """Check that this machine's packets for the cluster take its link.

    Raises:
        Problem: they go elsewhere.
    """
    for network in _networks(settings):
        address = network[1]
        try:
            (way,) = query("-4", "route", "get", str(address))
        except subprocess.CalledProcessError as error:
            way = {"dev": error.stderr.strip().removeprefix("RTNETLINK answers: ")}
        if way.get("dev") != HOST_LINK:
            raise Problem(
                f"packets for the cluster's {network} do not reach it, but {way.get('dev')}",
                where=f"ip rule show; ip route get {address}",
                then="k8s101 up (with sudo where root started it) sets rules and routes anew",
            )


def forget_routes(settings: Settings) -> None:
    """Remove the routes of last resort and the policy rules."""
    for route in query("route", "show", "type", "unreachable"):
        if route.get("metric") == LAST_RESORT and route["dst"] in map(str, _networks(settings)):
            ip(f"route del unreachable {route['dst']} metric {LAST_RESORT}")
    missing = _missing_rules(settings)
    if _rules():
        own = [net for net in _networks(settings) if net not in missing]
        ip(*(f"rule del to {net} lookup main priority {FIRST_RULE}" for net in own))


def set_up(settings: Settings) -> None:
    """Make the network namespace that this process has just got the router, in control groups of the cluster."""
    base = cgroups.delegate(cgroups.PREFIX + identity.read(settings)[:8])
    settings.cgroups_file.write_text(json.dumps(base))
    cgroups.enter(cgroups.SUPERVISOR, base)
    ip("link set lo up", f"addr add {settings.ranges.router}/32 dev lo")
    forward_packets()
    _refuse_machine()
