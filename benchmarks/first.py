"""When the first node of a cluster that starts can be used."""

from __future__ import annotations

import time
from threading import Thread
from typing import Any

from k8s101.cluster.facade import cluster as clusters
from k8s101.cluster.values.deadline import until

FIRST_NODE_SECONDS = 120


class FirstNode(Thread):
    """Waits for the first node that Pods can use, while a cluster starts, and keeps when it was seen."""

    seen: float | None = None

    def run(self) -> None:
        """Look until it is there."""
        self.seen = until(self._usable, FIRST_NODE_SECONDS, errors=(Exception,)) and time.monotonic()

    @staticmethod
    def _usable() -> bool:
        cluster = clusters.find()
        return cluster is not None and any(map(_takes_pods, cluster.api.get("/api/v1/nodes")["items"]))


def _takes_pods(node: dict[str, Any]) -> bool:
    conditions = {entry["type"]: entry["status"] for entry in node.get("status", {}).get("conditions", [])}
    return conditions.get("Ready") == "True" and not node["spec"].get("taints")
