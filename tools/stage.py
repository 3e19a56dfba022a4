"""A stage of `make test`: its commands, its lane, how long it may take and who runs it."""

from __future__ import annotations

from dataclasses import dataclass

FIRST, NODES, BESIDE = "first", "nodes", "beside"
"""The lanes: what comes before all else, what uses the cluster of real nodes, what runs beside it."""

ROOT_ONLY = "real nodes, other users and networks of one's own need root"
COVERED = "the unprivileged and guest stages do the same as another user"


@dataclass(frozen=True)
class Command:
    """One command of a stage.

    Args:
        arguments: of `python -m`, or a program of this environment.
        name: the module that it tests, or what it makes; empty if it is the only one.
        alone: whether nothing of its stage may run beside it on the same cluster.
        after: the builds that must have ended before.
    """

    arguments: tuple[str, ...]
    name: str = ""
    alone: bool = False
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stage:
    """One stage of the tests.

    Args:
        name: as typed after `--only`.
        proves: what is known when it has passed.
        lane: with which others it runs in order.
        budget: how long it may take, in seconds; on two processors and with the programs made.
        commands: what it runs.
        width: how many of them at the same time.
        spread: whether they may run on the second cluster, too.
        niceness: how far it stands back behind what others do, 0 to 19.
        vital: whether its failure ends the run.
        extra: whether it belongs to `make test-all` only.
        root: True for what needs root, False for what only users without it need.
    """

    name: str
    proves: str
    lane: str
    budget: int
    commands: tuple[Command, ...]
    width: int = 1
    spread: bool = False
    niceness: int = 0
    vital: bool = False
    extra: bool = False
    root: bool | None = None

    def reason_to_skip(self, able: bool) -> str:
        """Return why it does not run, empty if it does.

        Args:
            able: whether this user can have real nodes.
        """
        if self.root is None or self.root == able:
            return ""
        return COVERED if able else ROOT_ONLY
