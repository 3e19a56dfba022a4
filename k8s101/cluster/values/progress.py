"""How long work shows what it does and how much is left."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars


@dataclass(frozen=True)
class Progress:
    """One moment of long work.

    Args:
        project: the project that is being made.
        tool: the program or file that is being made, empty for the whole project.
        done: how many units are done.
        total: how many units there are, 0 while that is not known.
        message: what is being done, as a short phrase.
        left: how many projects are left, this one included; 0 where that is not counted.
        unit: `packages` or `bytes`.
    """

    project: str
    tool: str
    done: int
    total: int
    message: str
    left: int = 1
    unit: str = "packages"

    @property
    def phrase(self) -> str:
        """What is being done and how many projects are left."""
        if not self.left:
            return self.message
        return f"{self.message} ({self.left} project{'' if self.left == 1 else 's'} left)"


Report = Callable[[Progress], None]


def quiet(progress: Progress) -> None:
    """Show nothing."""


@contextmanager
def display(console: Console | None = None) -> Iterator[Report]:
    """Show progress on standard error: one bar on a terminal, plain lines elsewhere."""
    # notebooks ask every program for colours (FORCE_COLOR), but a cell that is stored can't hold a moving bar
    console = console or Console(file=sys.stderr, force_terminal=sys.stderr.isatty())
    if not console.is_terminal:
        yield _plain_lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        task = bars.add_task("looking for programs", total=None)

        def report(progress: Progress) -> None:
            bars.update(
                task,
                description=progress.phrase,
                completed=progress.done,
                total=progress.total or None,
            )

        yield report


def _plain_lines(console: Console) -> Report:
    shown: tuple[str, int] | None = None

    def report(progress: Progress) -> None:
        nonlocal shown
        tenth = 10 * progress.done // progress.total if progress.total else 0
        if shown == (progress.phrase, tenth):
            return
        shown = (progress.phrase, tenth)
        percent = f" {100 * progress.done // progress.total} %" if progress.total else ""
        console.print(progress.phrase + percent, highlight=False, markup=False, soft_wrap=True)

    return report
