"""The linter of modules: every rule is a function that yields what it found and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nbformat import NotebookNode

from k8s101.notebook import lessons
from k8s101.notebook.document import TEMPLATE, Cell, Tree, cells, number_of
from k8s101.notebook.lessons import Lesson
from k8s101.notebook.prose import Prose, parse

Hit = tuple[Cell | None, str, str]
"""The cell (None: the notebook as a whole), what was found, what to do."""


@dataclass(frozen=True)
class Finding:
    """One line of the linter's report.

    Args:
        number: module number.
        cell: id of the cell, None for the whole notebook.
        rule: name of the rule.
        found: what is wrong.
        then: what to do.
        warning: whether the check passes all the same.
    """

    number: str
    cell: str | None
    rule: str
    found: str
    then: str
    warning: bool = False

    def __str__(self) -> str:
        where = f"cell {self.cell}" if self.cell else "notebook"
        return f"{self.number} {where}: {'warning: ' if self.warning else ''}{self.found}; {self.then}"


@dataclass(frozen=True)
class Module:
    """One notebook as rules see it.

    Args:
        path: the file.
        nb: its content.
        tree: the checkout that links and paths refer to.
    """

    path: Path
    nb: NotebookNode
    tree: Tree

    @property
    def number(self) -> str:
        """The module number."""
        return number_of(self.path)

    @property
    def is_template(self) -> bool:
        """Whether this is the small template, to which sizes do not apply."""
        return self.number == TEMPLATE

    @cached_property
    def lesson(self) -> Lesson | None:
        """What lessons.yml says about the module."""
        return lessons.load(self.tree.notebooks / "lessons.yml").find(self.number)

    @cached_property
    def cells(self) -> list[Cell]:
        """All cells."""
        return cells(self.nb)

    @cached_property
    def code(self) -> list[Cell]:
        """The code cells."""
        return [cell for cell in self.cells if cell.is_code]

    @cached_property
    def prose(self) -> list[tuple[Cell, Prose]]:
        """The Markdown cells with what they hold."""
        return [(cell, parse(cell.source)) for cell in self.cells if cell.is_markdown]

    @cached_property
    def acting(self) -> list[Cell]:
        """The cells of steps that do a step's work."""
        return [cell for opening, section in self.sections if opening.part == "step" for cell in section if cell.acts]

    @cached_property
    def sections(self) -> list[tuple[Cell, list[Cell]]]:
        """Each cell that opens a part, with the cells up to the next such cell."""
        found: list[tuple[Cell, list[Cell]]] = []
        for cell in self.cells:
            opens = cell.part and (cell.is_markdown or not found or found[-1][0].part != cell.part)
            if opens:
                found.append((cell, [cell]))
            elif found:
                found[-1][1].append(cell)
        return found

    def with_tag(self, tag: str) -> list[Cell]:
        """Return the cells that have a tag."""
        return [cell for cell in self.cells if tag in cell.tags]


Rule = Callable[[Module], Iterable[Hit]]
