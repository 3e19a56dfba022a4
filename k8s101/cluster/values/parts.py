"""What a running cluster consists of: the names of its parts, and which of them should run."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

PAUSED = "PAUSED"
"""The state of a process that runs but is frozen, a word that supervisor does not have."""

_NAME = re.compile(r"(?P<node>worker-[1-9]\d*)(/(?P<on_node>[a-z-]+))?|(?P<component>[a-z-]+)")


@dataclass(frozen=True)
class PartName:
    """The name of a part: a component (`etcd`), a node (`worker-1`) or a component of a node (`worker-1/kubelet`).

    Args:
        node: the node, None for a component of the control plane.
        component: the component, None for a node as a whole.
    """

    node: str | None
    component: str | None

    @classmethod
    def parse(cls, text: object) -> PartName | None:
        """Return the name that a text spells, None where it spells none."""
        found = _NAME.fullmatch(text) if isinstance(text, str) else None
        return cls(found["node"], found["on_node"] or found["component"]) if found else None

    @property
    def is_node(self) -> bool:
        """Whether it means a node as a whole."""
        return self.node is not None and self.component is None

    def __str__(self) -> str:
        return "/".join(part for part in (self.node, self.component) if part)


@dataclass(frozen=True)
class PartState:
    """One supervised process.

    Args:
        name: as a `PartName` is written.
        state: the supervisor's word: RUNNING, STOPPED, EXITED, BACKOFF, …; or PAUSED.
        pid: its number in the supervisor's process namespace, 0 when it does not run.
    """

    name: str
    state: str
    pid: int

    @property
    def is_node(self) -> bool:
        """Whether it is a node as a whole."""
        name = PartName.parse(self.name)
        return name is not None and name.is_node


def expected_parts(found: Iterable[PartState], nodes: Collection[str]) -> list[PartState]:
    """Return the parts that should run: all but nodes which nobody asked for, and those only while they run.

    Args:
        found: every process that a supervisor knows.
        nodes: the nodes that the cluster started with; others were added by a lesson.
    """
    return [part for part in found if not part.is_node or part.name in nodes or part.pid]
