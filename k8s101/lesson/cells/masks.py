"""What varies from run to run in the words of kubectl: generated names, addresses, times, identifiers."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address

from k8s101.cluster.values.settings import CANDIDATE_RANGES
from k8s101.lesson.api.names import LETTERS

DOTS = "…"

NETWORKS = [net for ranges in CANDIDATE_RANGES for net in (ranges.nodes, ranges.pods, ranges.services)]

WORDS = frozenset({"https", "html5"})
"""Five letters behind a hyphen that somebody chose."""

HASH = "[456789bcdf]{6,10}"
"""How Kubernetes writes the hash of a template (k8s.io/apimachinery/pkg/util/rand, SafeEncodeString)."""

END = r"(?![\w-]|\.\w)"
"""Where a name ends; what is followed by a dot and a letter is the name of a file or a host."""

GENERATED = (
    re.compile(rf"(?<=[a-z0-9])-{HASH}(?:-[{LETTERS}]{{5}})?{END}"),
    # the time of a CronJob's run in minutes, at least 29 million since 2025
    re.compile(rf"(?<=[a-z0-9])-(?:29|3\d)\d{{6}}(?:-[{LETTERS}]{{5}})?{END}"),
    re.compile(rf"(?<=[a-z0-9])-([{LETTERS}]{{5}}){END}"),
)
AGE = r"(?:\d+(?:\.\d+)?(?:ms|[ydhms]))+"
SIMPLE = (
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), DOTS),
    (re.compile(r"\b[0-9a-f]{64}\b"), DOTS),
    # a commit, and how long its health check has taken
    (re.compile(r"\b[0-9a-f]{40}\b"), DOTS),
    (re.compile(r"(?<=health check failed after )\d+\.\d+s\b"), DOTS),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"), DOTS),
    (re.compile(r"\b[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}"), DOTS),
    # the same twice as Helm writes it; how wide the column is depends on the digits of a second's fraction
    (re.compile(r"\b[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\b"), DOTS),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? [+-]\d{4} \S+"), DOTS),
    (re.compile(rf"(?<=\t)(UPDATED|{DOTS}) +(?=\t)"), r"\1"),
    (re.compile(r"(resourceVersion\"?: \")\d+(?=\")|(Resource Version: +)\d+"), rf"\1\2{DOTS}"),
    (re.compile(rf"\({AGE} ago\)"), f"({DOTS} ago)"),
    (re.compile(rf"\bin {AGE} \({AGE} including waiting\)"), f"in {DOTS}"),
    # a row of events that grep took out of its table still begins with its age
    (re.compile(rf"(?:\b{AGE} )?\(x\d+ over {AGE}\)"), f"(x{DOTS} over {DOTS})"),
    (re.compile(r"(?<= )\d+\.\d+ms\b"), DOTS),
    # what an autoscaler has measured, beside its target
    (re.compile(r"(?<=: )\d+%(?=/\d+%)"), f"{DOTS}%"),
)
ADDRESS = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)")
NODE_PORT = re.compile(r"(?<=:)(3[0-2]\d{3})(?=/(?:TCP|UDP|SCTP))|(?<=\s)(3[0-2]\d{3})(?=/(?:TCP|UDP|SCTP)$)")
LOCAL_PORT = re.compile(r"(?:(?<=127\.0\.0\.1:)|(?<=\[::1\]:)|(?<=localhost:))(\d{5})\b")


def mask(text: str, ports: frozenset[int] = frozenset()) -> str:
    """Return a text with an ellipsis for everything that varies.

    Args:
        text: a line or a cell of a table.
        ports: ports that somebody chose, which stay.
    """
    for pattern, replacement in SIMPLE:
        text = pattern.sub(replacement, text)
    for pattern in GENERATED:
        text = pattern.sub(_generated, text)
    text = ADDRESS.sub(_address, text)
    for pattern in (NODE_PORT, LOCAL_PORT):
        text = pattern.sub(lambda found: found[0] if int(found[0]) in ports else DOTS, text)
    return text


def _generated(found: re.Match[str]) -> str:
    return found[0] if found[0][1:] in WORDS else f"-{DOTS}"


def _address(found: re.Match[str]) -> str:
    try:
        address = IPv4Address(found[0])
    except AddressValueError:
        return found[0]
    return DOTS if any(address in network for network in NETWORKS) else found[0]
