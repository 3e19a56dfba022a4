"""What a backend does and what it can do, as the facade and notebooks ask it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from k8s101.cluster.access.api import Api, Get
from k8s101.cluster.supervisor.process import Process
from k8s101.cluster.values.progress import Report
from k8s101.cluster.values.settings import Settings
from k8s101.errors import Problem


@dataclass(frozen=True)
class Capabilities:
    """What cells may rely on; names are those of `%%needs`.

    Args:
        containers: Pods run real containers with logs, exec and networking.
        host_network: the notebook reaches node, Pod and Service addresses directly.
        control_plane_faults: components of the control plane can be stopped and started.
        node_faults: nodes and their components can be stopped, added and removed.
        pulls_images: nodes fetch images from public registries.
    """

    containers: bool
    host_network: bool
    control_plane_faults: bool
    node_faults: bool
    pulls_images: bool = False


FULL = Capabilities(containers=True, host_network=True, control_plane_faults=True, node_faults=True)


@dataclass(frozen=True)
class Traits:
    """What a kind of cluster is, whichever one of its kind.

    Args:
        usual: what such a cluster can do, as a rule.
        ours: the whole cluster is the workshop's, not only namespaces in it.
        needs_root: root starts and ends it, for everybody on the machine.
        patience: how many times longer than on real nodes something may take.
        memory_gib: memory that a machine should have for it.
        nodes_in: the part in which its nodes run, where that is not the host supervisor itself.
        next_best: the kind that is taken where this one turns out not to start.
    """

    usual: Capabilities
    ours: bool = True
    needs_root: bool = False
    patience: int = 1
    memory_gib: float = 1.5
    nodes_in: str | None = None
    next_best: str | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that was examined before a start.

    Args:
        good: whether it is as it should be.
        what: the thing and what was found.
        then: what to do where it is not.
    """

    good: bool
    what: str
    then: str = ""

    @classmethod
    def asked(cls, question: Callable[[], object], good: str) -> Finding:
        """Ask something whose Problem is the finding; `good` may name the answer as `{}`."""
        try:
            answer = question()
        except Problem as problem:
            return cls(False, problem.found, problem.then)
        return cls(True, good.format(answer))


@dataclass(frozen=True)
class Supplies:
    """What a start needs, found or made before it.

    Args:
        tools: the path of each program.
        images: the archive of the workshop's images, where containers run.
    """

    tools: dict[str, Path] = field(default_factory=dict)
    images: Path | None = None


class Backend(Protocol):
    """One kind of cluster; each module `nodes`, `guest`, `simulated` and `existing` is one."""

    TRAITS: Traits

    def check(self) -> None:
        """Check what the machine has; a Problem says what is missing."""

    def examine(self, settings: Settings | None) -> list[Finding]:
        """Say what `k8s101 doctor` should say of the machine, for this user; the cluster's settings if there is one."""

    def prepare(self, report: Report) -> Supplies:
        """Find or make programs and images."""

    def create(self, state: Path, node_count: int) -> Settings:
        """Lay out a new cluster."""

    def running(self, settings: Settings) -> bool:
        """Tell whether its processes run."""

    def processes(self, settings: Settings, tools: Mapping[str, Path]) -> list[Process]:
        """Return what the host supervisor runs, given the path of each program."""

    def start(self, settings: Settings, parts: Supplies) -> None:
        """Write all files and start everything; what exists of its identity is kept."""

    def connect(self, settings: Settings) -> None:
        """Let this machine reach it."""

    def populate(self, settings: Settings, api: Api) -> None:
        """Write what every cluster of this kind has: nodes, access rules, DNS and identity."""

    def waits(self, settings: Settings) -> dict[str, Callable[[], bool]]:
        """Return what a start waits for once the nodes are ready, in words."""

    def verify(self, settings: Settings, get: Get) -> None:
        """Check that it is the one that was made or confirmed; a Problem says which one answers."""

    def capabilities(self, settings: Settings) -> Capabilities:
        """Return what notebooks may rely on."""

    def stop(self, settings: Settings) -> None:
        """End all its processes; its state stays."""

    def forget(self, settings: Settings, report: Callable[[str], None]) -> None:
        """End it and remove what it made outside its state directory."""
