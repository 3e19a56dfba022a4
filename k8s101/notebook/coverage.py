"""coverage.yml: which cells cover which statement of the source slides and which step of the source demo."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from k8s101.errors import Problem
from k8s101.notebook import lessons as lessons_module
from k8s101.notebook.document import Cell, Tree, cells, number_of, output_texts, read
from k8s101.notebook.tags import PREFIXES, values

SLIDE_ROWS = 195
"""Headings, bullets and statements of the slides, two of which make two claims."""

DEMO_STEPS = 31
QUESTIONS = frozenset({"recall", "predict", "check"})
SHELL_TEST = re.compile(r"(?:^|[;&|]\s*)(?:test|\[{1,2}) ", re.MULTILINE)
ROW = re.compile(r"slide:[a-z0-9]+(-[a-z0-9]+)*|demo:[1-9]\d?")


@dataclass(frozen=True)
class Row:
    """One thing that the source says or does.

    Args:
        row: the tag, `slide:<slug>` or `demo:<step>`.
        text: what the source says, in our own words.
        modules: where it is covered; the first module owes it.
        proof: the assertion that shows it.
        definition: whether a Markdown cell with a question behind it will do.
        corrected: what is wrong or outdated in the source, if something is.
        open: whether it is still owed although the module is written.
        shows: a text that the stored output of a cell with the tag contains.
        asserts: whether a cell with the tag proves it by an assertion instead.
        cells: ids of the cells that cover it.
    """

    row: str
    text: str
    modules: tuple[str, ...]
    proof: str
    definition: bool = False
    corrected: str = ""
    open: bool = False
    shows: str = ""
    asserts: bool = False
    cells: tuple[str, ...] = ()

    @property
    def tag(self) -> str:
        """The tag of a cell that covers the row."""
        return self.row

    @property
    def name(self) -> str:
        """The slug, or the number of the step."""
        return self.row.split(":", 1)[1]


def load(tree: Tree) -> tuple[Row, ...]:
    """Read coverage.yml.

    Args:
        tree: the checkout.

    Raises:
        Problem: the file is missing or a row has another form.
    """
    path = tree.notebooks / "coverage.yml"
    return _parse(path, path.read_text(encoding="utf-8") if path.exists() else "")


@lru_cache(maxsize=8)
def _parse(path: Path, text: str) -> tuple[Row, ...]:
    try:
        return tuple(_row(entry) for entry in yaml.safe_load(text)["rows"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise Problem(
            f"the list of covered rows cannot be read: {error}",
            where=str(path),
            then="compare it with the comment at its top",
        ) from None


def _row(entry: dict[str, Any]) -> Row:
    row = Row(**entry | {name: tuple(entry.get(name, ())) for name in ("modules", "cells")})
    if not ROW.fullmatch(row.row) or not row.modules or not row.text or not row.proof:
        raise ValueError(f"row {row.row} is incomplete")
    return row


def found_cells(tree: Tree) -> dict[str, list[Cell]]:
    """Return for each tag the cells that cover it: executed code, or a definition's question.

    Args:
        tree: the checkout.
    """
    definitions = {row.tag for row in load(tree) if row.definition}
    found: dict[str, list[Cell]] = {}
    for path in tree.paths():
        notebook = cells(read(path))
        for cell in notebook:
            for tag in _row_tags(cell):
                asks = tag in definitions and _question_follows(cell, notebook)
                if cell.count is not None or asks or tag.startswith("corrected:"):
                    found.setdefault(tag, []).append(cell)
    return found


def _row_tags(cell: Cell) -> Iterator[str]:
    for prefix in PREFIXES:
        yield from (f"{prefix}:{value}" for value in values(cell.tags, prefix))


def _question_follows(cell: Cell, notebook: list[Cell]) -> bool:
    following = next((other for other in notebook[cell.index + 1 :] if other.is_code), None)
    return cell.is_markdown and following is not None and following.role in QUESTIONS


def faults(tree: Tree) -> list[str]:
    """Return one line for each row that is owed and not covered, or whose stored cells are not up to date.

    Args:
        tree: the checkout.
    """
    written = {number_of(path) for path in tree.paths()}
    listed = lessons_module.load(tree.notebooks / "lessons.yml").modules
    planned = {lesson.number for lesson in listed if lesson.planned}
    found = found_cells(tree)
    lines = []
    for row in load(tree):
        owed = row.modules[0] in written - planned
        if owed and not row.open and row.tag not in found:
            lines.append(f"{row.row}: module {row.modules[0]} has no executed cell for it; tag the one that shows it")
        if owed and not row.open and row.corrected and f"corrected:{row.name}" not in found:
            lines.append(f"{row.row}: nobody corrects it; tag a cell corrected:{row.name}")
        if row.open and set(row.modules) <= written - planned:
            lines.append(f"{row.row}: open, though all its modules are written; cover it and remove the line")
        if owed and not row.open and (fault := unproved(row, found.get(row.tag, []))):
            lines.append(f"{row.row}: {fault}")
        if list(row.cells) != [cell.id for cell in found.get(row.tag, [])]:
            lines.append(f"{row.row}: stored cells are out of date; run: python -m k8s101.notebook coverage")
    return lines


def unproved(row: Row, found: list[Cell]) -> str | None:
    """Return why the cells of a row do not prove it, None if they do.

    Args:
        row: the row; a definition is proved by its question.
        found: the cells that have its tag.
    """
    if not row.shows and not row.asserts:
        return (
            None
            if row.definition
            else "nothing proves it; add shows: a text that a tagged cell prints, or asserts: true"
        )
    if row.shows and not any(row.shows in text for cell in found for _, text in output_texts(cell)):
        return f"no cell with its tag shows {row.shows!r}; execute the notebook, or correct shows"
    if row.asserts and not any(_asserts(cell) for cell in found):
        return "no cell with its tag asserts anything; add an assert, or shows: a text that it prints"
    return None


def _asserts(cell: Cell) -> bool:
    if cell.is_shell:
        return SHELL_TEST.search(cell.body) is not None
    try:
        return any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell.python)))
    except SyntaxError:
        return False


def filled(tree: Tree) -> str:
    """Return coverage.yml with each row's cells as the notebooks have them.

    Args:
        tree: the checkout.
    """
    found = found_cells(tree)
    head = [line for line in _text(tree).splitlines() if line.startswith("#")]
    lines = [*head, "rows:"]
    for row in load(tree):
        lines += _lines(replace(row, cells=tuple(cell.id for cell in found.get(row.tag, []))))
    return "\n".join(lines) + "\n"


def _text(tree: Tree) -> str:
    return (tree.notebooks / "coverage.yml").read_text(encoding="utf-8")


def _lines(row: Row) -> list[str]:
    shown = {name: value for name, value in asdict(row).items() if value or name == "cells"}
    lines = [f"  {name}: {_scalar(value)}" for name, value in shown.items()]
    return [f"- {lines[0].strip()}", *lines[1:]]


def _scalar(value: object) -> str:
    """Return a value as YAML on one line, strings without quotes where that is safe."""
    if isinstance(value, str) and _plain(value):
        return value
    return json.dumps(value, ensure_ascii=False)  # YAML reads JSON


def _plain(value: str) -> bool:
    try:
        return bool(yaml.safe_load(f"- {value}") == [value])
    except yaml.YAMLError:
        return False
