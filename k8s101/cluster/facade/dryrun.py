"""What a start would run: every process with all its arguments, without running any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from k8s101.cluster.backends.kinds import BACKENDS, most_real
from k8s101.cluster.facade import place
from k8s101.cluster.facade.cluster import find
from k8s101.cluster.node import files
from k8s101.cluster.programs.binaries import places
from k8s101.cluster.supervisor.process import Process
from k8s101.cluster.values.settings import Settings


def plan(backend: str | None, node_count: int) -> str:
    """Return what `up` would run for the cluster that is there, or else for a new one.

    Args:
        backend: kind of a new cluster; the most real one if left out.
        node_count: worker nodes of a new cluster.

    Raises:
        Problem: a new cluster cannot be laid out here.
    """
    state = place.state_dir()
    known = find(state)
    settings = known.settings if known else BACKENDS[backend or most_real()].create(state, node_count)
    return render(settings, places())


def render(settings: Settings, tools: Mapping[str, Path]) -> str:
    """Return each process by name, its arguments indented below it.

    Args:
        settings: the cluster's settings.
        tools: the path of each program.
    """
    return "\n".join(_text(name, process) for name, process in _processes(settings, tools))


def _processes(settings: Settings, tools: Mapping[str, Path]) -> Iterator[tuple[str, Process]]:
    backend = BACKENDS[settings.backend]
    for process in backend.processes(settings, tools):
        yield process.name, process
    if not backend.TRAITS.usual.containers or not backend.TRAITS.ours:
        return
    inside = files.inside({name: str(tools[name]) for name in files.TOOLS})
    for index, node in enumerate(settings.nodes, start=1):
        for process in files.processes(node, settings.ranges.node(index), inside):
            yield f"{node}/{process.name}", process


def _text(name: str, process: Process) -> str:
    later = "" if process.autostart else "  (when asked)"
    return "\n    ".join([name + later, *process.command])
