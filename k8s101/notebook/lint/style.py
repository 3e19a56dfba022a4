"""Words to avoid in a lesson, and what to write: the table of AUTHORING.md as a rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

from k8s101.lesson.quiz import bank
from k8s101.notebook.document import TEMPLATE
from k8s101.notebook.lint.module import Hit, Module, Rule

WORDS: dict[str, str] = {
    r"shall": "should, must",
    r"has to be there": "must be ready",
    r"bears?|bearing": "has",
    r"(?:is|are) content with": "accepts",
    r"in peace": "without a conflict",
    r"rooms? of (?:its|their) own": "lives in a namespace",
    r"wish(?:es|ed)?": "request",
    r"promis(?:e|es|ed|ing)": "request, reserved, guarantee",
    r"gives? way": "is replaced",
    r"chang(?:e|es|ing) places": "grows and shrinks",
    r"turns? the selector": "change the selector",
    r"(?:is|are|be) taken back|takes? (?:it|them) back": "undo, roll back",
    r"go(?:es)? back by (?:itself|themselves)": "roll back",
    r"for good": "is deleted and not replaced",
    r"(?:is|are) gone again": "is deleted",
    r"under way": "in flight",
    r"written down": "stored, the API lists it",
    r"kept in the list": "the API still lists it",
    r"(?:is|are) well(?! known)": "looks healthy",
    r"by the clock": "on a schedule",
    r"made up for": "the controller starts one run for those it missed",
    r"simply|just|obviously|of course": "nothing: leave it out",
    r"easy|easily": "nothing: leave it out",
    r"we|our|ours|let's|us": "you, or whoever acts",
}
"""What to avoid (as a regular expression) and what to write."""

AVOID = [(re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", re.IGNORECASE), better) for pattern, better in WORDS.items()]
CODE = re.compile(r"`[^`]*`|“[^”]*”")
COMMENT = re.compile(r"(?:^|\s)#\s?(.*)$", re.MULTILINE)


def avoided(text: str) -> Iterator[tuple[str, str]]:
    """Yield each word to avoid in a text, with what to write; code and quotations are left out.

    Args:
        text: some sentences.
    """
    bare = CODE.sub(" ", text)
    for pattern, better in AVOID:
        for match in pattern.finditer(bare):
            yield match.group(), better


def page_style(module: Module) -> Iterator[Hit]:
    """The page is in plain English."""
    for cell, prose in module.prose:
        for word, better in avoided(prose.sentences) if "title" not in cell.tags else ():
            yield cell, f"“{word}”", f"write: {better}"


def question_style(module: Module) -> Iterator[Hit]:
    """So are its questions and hints."""
    home = bank.module(module.path.stem[3:] if not module.is_template else TEMPLATE)
    for asked in getattr(home, "QUESTIONS", ()):
        texts = [asked.text, *(text for option in asked.options.values() for text in (option.text, option.feedback))]
        for word, better in avoided(" · ".join(texts)):
            yield None, f"question {asked.name}: “{word}”", f"write: {better}"
    for task in getattr(home, "EXERCISES", ()):
        for word, better in avoided(" · ".join(task.hints)):
            yield None, f"hints of {task.name}: “{word}”", f"write: {better}"


def manifest_style(module: Module) -> Iterator[Hit]:
    """And the comments in its manifests."""
    folder = module.tree.manifests / module.path.stem.lstrip("_")
    for path in sorted(folder.glob("*.yaml")):
        comments = " · ".join(COMMENT.findall(path.read_text(encoding="utf-8")))
        for word, better in avoided(comments):
            yield None, f"{path.name}: “{word}”", f"write: {better}"


RULES: tuple[Rule, ...] = (page_style, question_style, manifest_style)
