"""Rules on what cells hold for presenters: notes, and how long a cell takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from k8s101.notebook.lint.limits import NOTE_LETTERS
from k8s101.notebook.lint.module import Hit, Module, Rule

TEXTS = ("say", "wrong")
EXAMPLE = 'write {"presenter": {"say": "…", "wrong": "…", "skip": true}}, as many of the three as there are'


def presenter_notes(module: Module) -> Iterator[Hit]:
    """Notes have the agreed form."""
    for cell in module.cells:
        note = cell.raw.metadata.get("presenter")
        if note is not None and (fault := _fault(note)):
            yield cell, f"a presenter's note: {fault}", EXAMPLE


def _fault(note: Any) -> str | None:
    if not isinstance(note, dict) or not note:
        return "it holds nothing"
    if unknown := sorted(note.keys() - {*TEXTS, "skip"}):
        return f"nobody reads {unknown[0]}"
    for name in TEXTS:
        if name in note and (not isinstance(note[name], str) or not note[name].strip()):
            return f"{name} is no text"
        if len(note.get(name, "")) > NOTE_LETTERS:
            return f"{name} has more than {NOTE_LETTERS} letters"
    return None if note.get("skip", True) is True else "skip is true or left out"


def presenter_in_steps(module: Module) -> Iterator[Hit]:
    """Each step tells a presenter what to say while it runs, or what the room gets wrong."""
    for opening, section in module.sections:
        if opening.part == "step" and not any("presenter" in cell.raw.metadata for cell in section):
            yield opening, "a step without a presenter's note", EXAMPLE


def seconds_measured(module: Module) -> Iterator[Hit]:
    """Each code cell's seconds are measured, not wished."""
    for cell in module.cells:
        seconds = cell.raw.metadata.get("seconds")
        if cell.is_markdown and seconds is not None:
            yield cell, "seconds on a Markdown cell", "remove them"
        elif cell.is_code and not module.is_template and not (isinstance(seconds, int) and seconds >= 0):
            yield cell, "nobody has measured how long it takes", f"python -m k8s101.notebook execute {module.number}"


RULES: tuple[Rule, ...] = (presenter_notes, presenter_in_steps, seconds_measured)
