"""Counts packets for the cluster's addresses that the machine sends anywhere but to the cluster."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from k8s101.cluster.node import router
from k8s101.cluster.values.settings import Ranges

TABLE = "k8s101-test-escapes"


@dataclass(frozen=True)
class Escapes:
    """The counter, which stands in the machine's packet filter.

    Args:
        prefix: what stands before every command on that machine.
    """

    prefix: Sequence[str] = ()

    def packets(self) -> int:
        """Return how many packets have been counted."""
        command = (*self.prefix, "nft", "-j", "list", "counter", "inet", TABLE, "escaped")
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        found: int = json.loads(answer.stdout)["nftables"][1]["counter"]["packets"]
        return found


@contextmanager
def counted(ranges: Ranges, prefix: Sequence[str] = ()) -> Iterator[Escapes]:
    """Count as long as the block runs."""
    inside = f'oifname != {{ "lo", "{router.HOST_LINK}" }}'
    rule = f"ip daddr {{ {ranges.nodes}, {ranges.pods}, {ranges.services} }} {inside} counter name escaped"
    text = f"""
table inet {TABLE} {{
    counter escaped {{ }}
    chain output {{ type filter hook output priority 0; {rule}; }}
    chain forward {{ type filter hook forward priority 0; {rule}; }}
}}
"""
    subprocess.run((*prefix, "nft", "-f", "-"), input=text, text=True, check=True)
    try:
        yield Escapes(prefix)
    finally:
        subprocess.run((*prefix, "nft", "delete", "table", "inet", TABLE), check=True)
