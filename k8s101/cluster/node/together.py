"""The supervisor of a cluster of real nodes: in the router's network namespace, with the nodes as its forks.

`python -m k8s101.cluster.node.together CONFIGURATION` is run in a fresh network namespace.
"""

from __future__ import annotations

import sys
from pathlib import Path

from k8s101.cluster.node import router
from k8s101.cluster.node.node import FORKS
from k8s101.cluster.supervisor import forking
from k8s101.cluster.values.settings import Settings


def main(configuration: Path, *options: str) -> None:
    """Set up the router and become the supervisor."""
    router.set_up(Settings.load(configuration.parent))
    forking.become("--configuration", str(configuration), *options, programs=FORKS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
