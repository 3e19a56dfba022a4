"""Which address ranges of this machine a cluster takes: the user's own choice, or the first that nobody uses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from k8s101.cluster.node.router import query
from k8s101.cluster.values.settings import CANDIDATE_RANGES, Ranges
from k8s101.errors import Problem

VARIABLE = "K8S101_RANGES"
FORM = f"{VARIABLE}=10.200.0.0/24,10.201.0.0/16,10.202.0.0/16"
SHORTEST = 8
"""Routes with a shorter prefix are default routes in parts, as VPNs set them: those of a cluster come before them."""

SIZES = {"nodes": range(24, 25), "pods": range(12, 21), "services": range(12, 25)}
"""Lengths of prefixes: nine nodes have a /24 of Pods each; the API server takes no more than a /12 of Services."""


@dataclass(frozen=True)
class Taken:
    """A network of this machine, and through which interface it is reached."""

    network: IPv4Network
    through: str

    def __str__(self) -> str:
        return f"{self.network} {self.through}"


def choose() -> Ranges:
    """Return the ranges that `K8S101_RANGES` names, or else the first candidates that nothing on this machine uses.

    Raises:
        Problem: those named are no good or in use, or all candidates are in use.
    """
    taken = _taken()
    if text := os.environ.get(VARIABLE):
        return _chosen(text, taken)
    for ranges in CANDIDATE_RANGES:
        if not _clashes(ranges, taken):
            return ranges
    in_the_way = sorted({str(other) for ranges in CANDIDATE_RANGES for other in _clashes(ranges, taken)})
    raise Problem(
        "every address range that a cluster takes by itself is in use on this machine",
        where=f"ip route show table all: {', '.join(in_the_way)}",
        then=f"name ranges for nodes, Pods and Services that are free: {FORM} k8s101 up; "
        "or k8s101 up --backend guest, which takes none",
    )


def _chosen(text: str, taken: Sequence[Taken]) -> Ranges:
    ranges = read(text)
    if others := _clashes(ranges, taken):
        raise Problem(
            f"{VARIABLE} names addresses that are in use: {', '.join(map(str, others))}",
            where="ip route show table all",
            then=f"choose others, or unset {VARIABLE}",
        )
    return ranges


def read(text: str) -> Ranges:
    """Return the ranges that a text names, those of nodes, Pods and Services in this order.

    Raises:
        Problem: it names none that a cluster can have.
    """
    try:
        networks = [IPv4Network(part.strip()) for part in text.split(",")]
        ranges = Ranges(*networks)
    except (ValueError, TypeError) as error:
        raise _wrong(text, "three networks were expected" if isinstance(error, TypeError) else str(error)) from error
    for network, (name, sizes) in zip(networks, SIZES.items(), strict=True):
        if network.prefixlen not in sizes:
            longest = f" to /{sizes[-1]}" if len(sizes) > 1 else ""
            raise _wrong(text, f"{network} of the {name} should be /{sizes[0]}{longest}")
        if (
            network.is_loopback
            or network.is_multicast
            or network.is_link_local
            or network.network_address.packed[0] == 0
        ):
            raise _wrong(text, f"{network} of the {name} has a meaning of its own to the kernel")
    if any(one.overlaps(other) for one in networks for other in networks if one is not other):
        raise _wrong(text, "they overlap")
    return ranges


def _wrong(text: str, why: str) -> Problem:
    return Problem(f"{VARIABLE} cannot be used: {why}", where=f"{VARIABLE}={text}", then=f"for example {FORM}")


def _taken() -> list[Taken]:
    found = []
    for route in query("-4", "route", "show", "table", "all"):
        if route["dst"] == "default" or (network := IPv4Network(route["dst"])).prefixlen < SHORTEST:
            continue
        found.append(Taken(network, f"dev {route['dev']}" if "dev" in route else route.get("type", "")))
    return found


def _clashes(ranges: Ranges, taken: Sequence[Taken]) -> list[Taken]:
    wanted = (ranges.nodes, ranges.pods, ranges.services)
    return [other for other in taken if any(net.overlaps(other.network) for net in wanted)]
