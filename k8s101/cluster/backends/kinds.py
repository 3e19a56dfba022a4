"""The kinds of clusters, and which one this user gets on this machine.

Run as a program, `python -m k8s101.cluster.backends.kinds KIND…` makes what these kinds need beforehand; with `--check`
it only says what the machine lacks for them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

import click

from k8s101.cluster.backends import existing, guest, nodes, simulated
from k8s101.cluster.backends.base import Backend, Supplies
from k8s101.cluster.node import ranges
from k8s101.cluster.values.progress import display
from k8s101.errors import Problem

BACKENDS: Mapping[str, Backend] = {"nodes": nodes, "guest": guest, "simulated": simulated, "existing": existing}

MADE = ("nodes", "guest", "simulated")
"""Those that `up` makes, the most real one first; the other one is named by its kubeconfig."""


def most_real(*, with_sudo: bool = False) -> str:
    """Return the backend of a new cluster, as far as it can be told without trying.

    Args:
        with_sudo: whether the user can become root, where nothing else has real nodes.
    """
    if nodes.possible():
        return "nodes"
    if guest.possible():
        return "guest"
    return "nodes" if with_sudo and os.getuid() != 0 else "simulated"


def prepare(name: str | None, tell: Callable[[str], None]) -> tuple[str, Supplies]:
    """Check the machine and make what a start needs; return the backend and that.

    Args:
        name: the backend; the most real one that can start if left out.
        tell: called with a line that says why it is not a more real one.

    Raises:
        Problem: the machine lacks something.
    """
    wanted = name or _with_room(tell)
    try:
        return wanted, _prepared(wanted)
    except Problem as problem:
        other = BACKENDS[wanted].TRAITS.next_best
        if name or other is None:
            raise
        tell(f"this cluster is of the kind {other}: {problem.found}")
        return other, _prepared(other)


def _with_room(tell: Callable[[str], None]) -> str:
    """Return the kind of a new cluster: the most real one, or one that takes no addresses where none are free."""
    wanted = most_real()
    if wanted != "nodes" or not nodes.possible() or not guest.possible():
        return wanted
    try:
        ranges.choose()
    except Problem as problem:
        if ranges.VARIABLE in os.environ:
            raise
        tell(f"this cluster is of the kind guest: {problem.found}")
        tell(f"for real nodes of the machine: k8s101 down, then {ranges.FORM} k8s101 up, with ranges that are free")
        return "guest"
    return wanted


def _prepared(name: str) -> Supplies:
    BACKENDS[name].check()
    with display() as report:
        return BACKENDS[name].prepare(report)


@click.command()
@click.argument("kinds", nargs=-1, required=True, type=click.Choice(MADE))
@click.option("--check", is_flag=True, help="Make nothing; only say what the machine lacks.")
def main(kinds: tuple[str, ...], check: bool) -> None:
    """Make the programs, images and kernels that these kinds of clusters need."""
    try:
        if check:
            for kind in kinds:
                BACKENDS[kind].check()
            return
        with display() as report:
            for kind in kinds:
                BACKENDS[kind].prepare(report)
    except Problem as problem:
        click.echo(problem, err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
