"""The whole vocabulary of cell tags: the only place where it is written down.

A code cell has exactly one tag of `PARTS` or `ROLES`; a Markdown cell may have none: it then explains.
A part reaches from the first cell with its tag to the first cell of the next part.
"""

from __future__ import annotations

import re

PARTS: dict[str, str] = {
    "title": "first cell, Markdown, generated from lessons.yml: heading, minutes, needs, links",
    "goals": "Markdown: why this matters, 3 to 5 objectives as a list, modules to know before",
    "prepare": "one code cell: connect(); a Markdown cell before it may have the tag, too",
    "step": "Markdown with a level-2 heading: opens one of the 3 to 7 steps",
    "exercise": "Markdown with a heading: opens one of the three tasks; also the cells for a learner's own work",
    "own-cluster": "Markdown with a level-2 heading: a table of what differs elsewhere, and the module's commands",
    "clean-up": "Markdown with a level-2 heading, and the code cell that deletes the namespace",
    "key-points": "last cell, Markdown: 3 to 5 sentences, next module, further reading with at most 5 links",
}
"""Parts of the module frame, in the order in which they must stand (step and exercise repeat)."""

ROLES: dict[str, str] = {
    "recall": "code: recall(...), questions on earlier modules; after goals, before the first step",
    "predict": "code: predict(...) alone, before the cell that answers it",
    "run": "code that does the work of a step or looks at its result; mostly %%bash",
    "reveal": "code: reveal(...), in the cell after the result, alone or with a picture or a number",
    "draw": "code that shows a picture with draw(...)",
    "timeline": "code that shows a timeline(...)",
    "interactive": "code with a live view; prints one stable line unless K8S101_INTERACTIVE=1",
    "check": "code: check(...), after an exercise, and again after its solution",
    "hint": "code or Markdown with a hint for the exercise before it",
    "solution": "code: reference solution; executed in tests, folded in a learner's copy",
}
"""What a cell does inside a part."""

EXTRAS: dict[str, str] = {
    "break-it": "beside `step`: in this step something is broken on purpose",
    "nbval-ignore-output": "output is not compared: at most 2 a notebook, each with an assert",
    "nbval-check-output": "output holds on every cluster: also compared with --nbval-lax",
    "parameters": "papermill's parameter cell",
}
"""Tags that may stand beside a part or a role."""

PREFIXES: dict[str, str] = {
    "slide": "slide:<slug> covers this row of coverage.yml",
    "demo": "demo:<1..31> covers this step of the source demo",
    "corrected": "corrected:<slug> says in words that this row of the source is wrong or outdated",
}
"""Tags with a value: as many as are true."""

UNCOUNTED = frozenset({"recall", "predict", "reveal", "draw", "timeline", "hint", "solution"})
"""Cells with these roles do not make a page too long: it may ask and help as often as it likes."""

CODE_TAGS = frozenset(ROLES) | {"prepare", "exercise", "clean-up"}
"""Tags of which a code cell bears exactly one."""

MARKDOWN_ONLY = frozenset({"title", "goals", "step", "break-it", "own-cluster", "key-points"})
CODE_ONLY = frozenset(ROLES) - {"hint"} | frozenset(EXTRAS) - {"break-it"}

VALUE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
"""The form of the value behind a prefix."""


def known(tag: str) -> bool:
    """Tell whether a tag belongs to the vocabulary.

    Args:
        tag: one cell tag.
    """
    if tag in PARTS or tag in ROLES or tag in EXTRAS:
        return True
    prefix, _, value = tag.partition(":")
    return prefix in PREFIXES and VALUE.fullmatch(value) is not None


def values(tags: list[str], prefix: str) -> list[str]:
    """Return what stands behind a prefix in these tags.

    Args:
        tags: the tags of one cell.
        prefix: `slide`, `demo` or `corrected`.
    """
    return [tag.split(":", 1)[1] for tag in tags if tag.startswith(prefix + ":")]
