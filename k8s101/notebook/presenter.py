"""What a presenter needs of a module: a script, cell by cell, and the same notebook as slides."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from nbformat import NotebookNode

from k8s101.notebook.document import Cell, cells, make_cell
from k8s101.notebook.lessons import Lesson
from k8s101.notebook.prose import parse

LETTERS = 90
"""So much of a cell's text tells a presenter which cell it is."""

VERBS = {
    "recall": "recall",
    "predict": "ask",
    "reveal": "reveal",
    "draw": "show",
    "timeline": "show",
    "check": "check",
    "hint": "hint",
    "solution": "solve",
}
NEW_SLIDE = frozenset({"title", "goals", "step", "exercise", "own-cluster", "key-points"})


def script(nb: NotebookNode, lesson: Lesson | None = None) -> str:
    """Return a presenter's script in Markdown: seconds, what to say, what the room answers wrong, what to skip.

    Args:
        nb: the notebook.
        lesson: what lessons.yml says about it.
    """
    parts = _parts(cells(nb))
    title = f"{lesson.number} {lesson.title}" if lesson else "a module"
    total, spared = _seconds(cell for _, part in parts for cell in part), _seconds(_skippable(parts))
    facts = [f"{_time(total)} of running cells"]
    if lesson:
        facts.insert(0, f"{lesson.minutes} minutes")
    if spared:
        facts.append(f"{_time(spared)} less without what may be skipped")
    lines = [f"# Presenter's script: {title}", "", " · ".join(facts)]
    for heading, part in parts:
        rows = [line for cell in part for line in _lines(cell)]
        if rows:
            skip = " · may be skipped" if any(_note(cell).get("skip") for cell in part[:1]) else ""
            lines += ["", f"## {heading} · {_time(_seconds(part))}{skip}", "", *rows]
    return "\n".join(lines) + "\n"


def _parts(found: list[Cell]) -> list[tuple[str, list[Cell]]]:
    """Return the cells below each heading that a room sees as one piece of the lesson."""
    parts: list[tuple[str, list[Cell]]] = [("Begin", [])]
    for cell in found:
        headings = [text for level, text in parse(cell.source).headings if level == 2] if cell.is_markdown else []
        if headings:
            parts.append((headings[0], []))
        parts[-1][1].append(cell)
    return parts


def _skippable(parts: list[tuple[str, list[Cell]]]) -> Iterator[Cell]:
    for _, part in parts:
        if _note(part[0]).get("skip"):
            yield from part
        else:
            yield from (cell for cell in part if _note(cell).get("skip"))


def _note(cell: Cell) -> dict[str, Any]:
    return dict(cell.raw.metadata.get("presenter", {}))


def _seconds(chosen: Iterator[Cell] | list[Cell]) -> int:
    return sum(int(cell.raw.metadata.get("seconds", 0)) for cell in chosen)


def _time(seconds: int) -> str:
    return f"{seconds} s" if seconds < 100 else f"{round(seconds / 60)} min"


def _lines(cell: Cell) -> Iterator[str]:
    note = _note(cell)
    if cell.is_code:
        seconds = cell.raw.metadata.get("seconds")
        took = f" ({seconds} s)" if seconds else ""
        yield f"- `{cell.id}` {VERBS.get(cell.role or '', 'run')}{took}: `{_summary(cell)}`"
    if "say" in note:
        yield f"  - say: {note['say']}" if cell.is_code else f"- say: {note['say']}"
    if "wrong" in note:
        yield ("  " if cell.is_code else "") + f"- the room usually answers: {note['wrong']}"
    if note.get("skip") and cell.is_code:
        yield "  - short of time: skip it"


def _summary(cell: Cell) -> str:
    if cell.written_file:
        return f"edit {cell.written_file}"
    lines = [line.strip() for line in cell.body.splitlines() if line.strip()]
    first = next((line for line in lines if not line.startswith(("#", "import ", "from "))), cell.magic or "nothing")
    more = " …" if len(lines) > 1 or len(first) > LETTERS else ""
    return first[:LETTERS].replace("`", "'") + more


def slides(nb: NotebookNode) -> NotebookNode:
    """Return the notebook with what `jupyter nbconvert --to slides` reads: where a slide begins, and notes.

    Args:
        nb: the notebook; it is not changed.
    """
    result = copy.deepcopy(nb)
    shown: list[NotebookNode] = []
    for cell in cells(result):
        opens = cell.is_markdown and (cell.part in NEW_SLIDE or cell.source.startswith("#"))
        kind = "slide" if opens else "skip" if cell.role in ("hint", "solution") else "fragment"
        cell.raw.metadata["slideshow"] = {"slide_type": kind}
        shown.append(cell.raw)
        if texts := [str(text) for name, text in _note(cell).items() if name != "skip"]:
            notes = make_cell("markdown", "\n\n".join(texts), f"{cell.id}-notes")
            notes.metadata["slideshow"] = {"slide_type": "notes"}
            shown.append(notes)
    result.cells = shown
    return result
