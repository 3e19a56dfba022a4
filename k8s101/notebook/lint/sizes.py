"""Rules on the size of a module, which leave room for clarity and keep it within an hour."""

from __future__ import annotations

from collections.abc import Iterator

from k8s101.notebook import tags
from k8s101.notebook.lint.limits import CELLS, MINUTES, STEPS, WORDS
from k8s101.notebook.lint.module import Hit, Module, Rule


def cell_count(module: Module) -> Iterator[Hit]:
    """Thirty-five to sixty cells; those that only ask, answer, help or show a picture do not count towards sixty."""
    counted = [cell for cell in module.cells if cell.role not in tags.UNCOUNTED]
    if module.is_template:
        return
    if len(module.cells) < CELLS[0]:
        yield None, f"{len(module.cells)} cells", f"make it {CELLS[0]} to {CELLS[1]}"
    elif len(counted) > CELLS[1]:
        yield None, f"{len(counted)} cells", f"make it {CELLS[1]} besides {', '.join(sorted(tags.UNCOUNTED))}"


def word_count(module: Module) -> Iterator[Hit]:
    """Nine hundred to 2,800 words: as many as a newcomer needs, not more than somebody reads in an hour."""
    words = sum(prose.words for cell, prose in module.prose if "title" not in cell.tags)
    if not module.is_template and not WORDS[0] <= words <= WORDS[1]:
        yield None, f"{words} words", f"make it {WORDS[0]} to {WORDS[1]}"


def step_count(module: Module) -> Iterator[Hit]:
    """Three to seven steps."""
    steps = [opening for opening, _ in module.sections if opening.part == "step"]
    if steps and not STEPS[0] <= len(steps) <= STEPS[1]:
        yield None, f"{len(steps)} steps", f"make it {STEPS[0]} to {STEPS[1]}"


def minutes(module: Module) -> Iterator[Hit]:
    """At most an hour, as lessons.yml says it."""
    if module.lesson is not None and not MINUTES[0] <= module.lesson.minutes <= MINUTES[1]:
        yield None, f"{module.lesson.minutes} minutes", f"measure it; {MINUTES[0]} to {MINUTES[1]}, or split the module"


RULES: tuple[Rule, ...] = (cell_count, word_count, step_count, minutes)
