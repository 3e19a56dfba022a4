"""The kinds of clusters, and which one this user gets on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import Problem
from .backends import existing, guest, nodes, simulated
from .backends.base import Backend, Parts
from .progress import display

BACKENDS: Mapping[str, Backend] = {"nodes": nodes, "guest": guest, "simulated": simulated, "existing": existing}

MADE = ("nodes", "guest", "simulated")
"""Those that `up` makes, the most real one first; the other one is named by its kubeconfig."""


def most_real() -> str:
    """Return the backend of a new cluster, as far as it can be told without trying."""
    if nodes.possible():
        return "nodes"
    return "guest" if guest.possible() else "simulated"


def prepare(name: str | None, tell: Callable[[str], None]) -> tuple[str, Parts]:
    """Check the machine and make what a start needs; return the backend and that.

    Args:
        name: the backend; the most real one that can start if left out.
        tell: called with a line that says why it is not a more real one.

    Raises:
        Problem: the machine lacks something.
    """
    wanted = name or most_real()
    try:
        return wanted, _prepared(wanted)
    except Problem as problem:
        if name or wanted != "guest":
            raise
        tell(f"nodes are simulated here: {problem.found}")
        return "simulated", _prepared("simulated")


def _prepared(name: str) -> Parts:
    BACKENDS[name].check()
    with display() as report:
        return BACKENDS[name].prepare(report)
