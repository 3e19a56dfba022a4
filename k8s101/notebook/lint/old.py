"""The rules of the former frame, for pages that are not rewritten yet (`frame: old` in lessons.yml)."""

from __future__ import annotations

from collections.abc import Iterator

from k8s101.notebook import tags
from k8s101.notebook.lint.limits import OLD_CELLS, OLD_CODE_CELLS, OLD_WORDS
from k8s101.notebook.lint.module import Hit, Module, Rule


def old_cell_count(module: Module) -> Iterator[Hit]:
    """Thirty to forty-two cells."""
    if not OLD_CELLS[0] <= len(module.cells) <= OLD_CELLS[1]:
        yield None, f"{len(module.cells)} cells", f"make it {OLD_CELLS[0]} to {OLD_CELLS[1]}"


def old_code_cell_count(module: Module) -> Iterator[Hit]:
    """Twelve to twenty code cells that do the lesson's work."""
    counted = [cell for cell in module.code if cell.role not in tags.UNCOUNTED]
    if not OLD_CODE_CELLS[0] <= len(counted) <= OLD_CODE_CELLS[1]:
        advice = f"make it {OLD_CODE_CELLS[0]} to {OLD_CODE_CELLS[1]} besides {', '.join(sorted(tags.UNCOUNTED))}"
        yield None, f"{len(counted)} code cells", advice


def old_word_count(module: Module) -> Iterator[Hit]:
    """At most 1,500 words."""
    words = sum(prose.words for cell, prose in module.prose if "title" not in cell.tags)
    if words > OLD_WORDS:
        yield None, f"{words} words", f"cut to {OLD_WORDS}"


def old_exercises(module: Module) -> Iterator[Hit]:
    """Each exercise has a check; hints and a solution exist."""
    exercises = [(opening, cells) for opening, cells in module.sections if opening.part == "exercise"]
    for opening, section in exercises:
        if not any(cell.role == "check" for cell in section):
            yield opening, "exercise without a check", "add a code cell with check(...)"
    for tag in ("hint", "solution"):
        if exercises and not module.with_tag(tag):
            yield exercises[-1][0], f"exercises without a {tag}", f"add: {tags.ROLES[tag]}"


RULES: tuple[Rule, ...] = (old_cell_count, old_code_cell_count, old_word_count, old_exercises)
