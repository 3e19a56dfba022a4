"""Rules on the frame of a module: which parts it has, and in which order."""

from __future__ import annotations

import re
from collections.abc import Iterator

from k8s101.notebook import tags
from k8s101.notebook.lint.limits import LINKS, OBJECTIVES
from k8s101.notebook.lint.module import Hit, Module, Rule
from k8s101.notebook.prose import parse

REPEATED = frozenset({"step", "exercise"})
WITH_HEADING = ("step", "own-cluster", "clean-up", "key-points")
WORK = frozenset({"predict", "run", "reveal", "draw", "timeline", "interactive"})
EXERCISE_ONLY = frozenset({"check", "hint", "solution"})


def known_tags(module: Module) -> Iterator[Hit]:
    """Only tags of the vocabulary."""
    for cell in module.cells:
        for tag in cell.tags:
            if tag == "raises-exception":
                yield cell, "raises-exception fails under papermill", "catch the error in Python and print it"
            elif not tags.known(tag):
                yield cell, f"unknown tag {tag}", "choose one of k8s101/notebook/tags.py"


def tag_kinds(module: Module) -> Iterator[Hit]:
    """Tags stand on the kind of cell they are made for."""
    for cell in module.cells:
        wrong = tags.MARKDOWN_ONLY if cell.is_code else tags.CODE_ONLY
        for tag in cell.tags:
            if tag in wrong:
                kind = "code" if cell.is_code else "Markdown"
                yield cell, f"tag {tag} on a {kind} cell", "move the tag or change the kind of the cell"


def one_role(module: Module) -> Iterator[Hit]:
    """Each code cell has exactly one tag that says what it is for."""
    for cell in module.code:
        roles = [tag for tag in cell.tags if tag in tags.CODE_TAGS]
        if len(roles) != 1:
            yield cell, f"code cell with the roles {roles or 'none'}", "give it exactly one, such as run"


def first_cell(module: Module) -> Iterator[Hit]:
    """The title bar comes first."""
    first = module.cells[0] if module.cells else None
    if first is None or "title" not in first.tags or not first.source.startswith("# "):
        yield first, "the first cell is not the title bar", "run: python -m k8s101.notebook normalise"


def part_order(module: Module) -> Iterator[Hit]:
    """Parts follow the order of the frame."""
    order = list(tags.PARTS)
    before = ""
    for cell in module.cells:
        if not cell.part:
            continue
        if before and order.index(cell.part) < order.index(before):
            yield cell, f"{cell.part} after {before}", f"keep the order {', '.join(order)}"
        before = cell.part


def parts_present(module: Module) -> Iterator[Hit]:
    """No part is missing, and none but steps and exercises comes twice."""
    for part in tags.PARTS:
        openings = [opening for opening, _ in module.sections if opening.part == part]
        if not openings:
            yield None, f"no {part} part", f"add: {tags.PARTS[part]}"
        elif len(openings) > 1 and part not in REPEATED:
            yield openings[1], f"a second {part} part", "keep one"


def breaks_something(module: Module) -> Iterator[Hit]:
    """One step, or more, breaks something on purpose."""
    if not module.with_tag("break-it"):
        yield None, "no step breaks something", "tag the opening of one step with break-it, too"


def single_code_cells(module: Module) -> Iterator[Hit]:
    """One code cell prepares, one cleans up."""
    for part in ("prepare", "clean-up"):
        found = [cell for cell in module.with_tag(part) if cell.is_code]
        if module.with_tag(part) and len(found) != 1:
            yield found[1] if found else None, f"{len(found)} code cells tagged {part}", "make it one"


def part_headings(module: Module) -> Iterator[Hit]:
    """Each part that a reader looks for opens with a heading."""
    for opening, _ in module.sections:
        if opening.part in WITH_HEADING and not opening.source.startswith("## "):
            yield opening, f"{opening.part} opens without a level-2 heading", "begin with a '## ' cell"
        if opening.part == "exercise" and opening.is_markdown and not re.match(r"###? ", opening.source):
            yield opening, "exercise opens without a heading", "begin with '## ' or '### '"


def role_places(module: Module) -> Iterator[Hit]:
    """Cells stand in the part that they belong to."""
    for opening, section in module.sections:
        for cell in section:
            if cell.role == "recall" and opening.part not in ("goals", "prepare"):
                yield cell, f"recall in {opening.part}", "move it before the first step"
            elif cell.role in WORK and opening.part not in ("step", "exercise"):
                yield cell, f"{cell.role} in {opening.part}", "move it into a step"
            elif cell.role in EXERCISE_ONLY and opening.part != "exercise":
                yield cell, f"{cell.role} in {opening.part}", "move it behind its exercise"


def steps_run(module: Module) -> Iterator[Hit]:
    """Each step does something."""
    for opening, section in module.sections:
        if opening.part == "step" and not any(cell.acts for cell in section):
            yield opening, "step without a run cell", "let the learner see it happen"


def recall_present(module: Module) -> Iterator[Hit]:
    """Modules with modules before them ask about those."""
    if module.number != "00" and not module.with_tag("recall"):
        yield None, "no recall questions", "ask two or three on earlier modules after the goals"


def objectives(module: Module) -> Iterator[Hit]:
    """Three to five objectives."""
    for cell in module.with_tag("goals"):
        count = parse(cell.source).items
        if not OBJECTIVES[0] <= count <= OBJECTIVES[1]:
            yield cell, f"{count} objectives", f"list {OBJECTIVES[0]} to {OBJECTIVES[1]}, each with a verb"


def last_cell(module: Module) -> Iterator[Hit]:
    """The last cell holds key points, what is next, and a few links."""
    for cell in module.with_tag("key-points"):
        prose = parse(cell.source)
        if cell is not module.cells[-1]:
            yield cell, "key points are not the last cell", "move them to the end"
        for word in ("Next", "Further reading"):
            if word not in prose.text:
                yield cell, f"no “{word}”", "end with the next module and further reading"
        outside = [link for link in prose.links if "://" in link]
        if len(outside) > LINKS:
            yield cell, f"{len(outside)} links", f"keep the best {LINKS}"


RULES: tuple[Rule, ...] = (
    known_tags,
    tag_kinds,
    one_role,
    first_cell,
    part_order,
    parts_present,
    breaks_something,
    single_code_cells,
    part_headings,
    role_places,
    steps_run,
    recall_present,
    objectives,
    last_cell,
)
