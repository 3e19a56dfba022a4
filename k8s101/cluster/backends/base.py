"""What a backend can do, as notebooks ask it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """What cells may rely on; names are those of `%%needs`.

    Args:
        containers: Pods run real containers with logs, exec and networking.
        host_network: the notebook reaches node, Pod and Service addresses directly.
        control_plane_faults: components of the control plane can be stopped and started.
        node_faults: nodes and their components can be stopped, added and removed.
    """

    containers: bool
    host_network: bool
    control_plane_faults: bool
    node_faults: bool


FULL = Capabilities(containers=True, host_network=True, control_plane_faults=True, node_faults=True)
