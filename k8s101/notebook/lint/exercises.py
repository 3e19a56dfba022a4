"""Rules on the ladder of exercises, and on the part that carries them over to a learner's own cluster."""

from __future__ import annotations

from collections.abc import Iterator

from k8s101.notebook.document import Cell
from k8s101.notebook.lint import calls
from k8s101.notebook.lint.limits import EXERCISES
from k8s101.notebook.lint.module import Hit, Module, Rule
from k8s101.notebook.prose import parse

ORDER = ("check", "hint", "solution")


def _exercises(module: Module) -> list[tuple[Cell, list[Cell]]]:
    return [(opening, cells) for opening, cells in module.sections if opening.part == "exercise"]


def exercise_count(module: Module) -> Iterator[Hit]:
    """Three exercises: change a manifest, generate and complete one, find a fault."""
    count = len(_exercises(module))
    if count != EXERCISES:
        yield None, f"{count} exercises", f"make it {EXERCISES}: change, generate and complete, find the fault"


def exercises_complete(module: Module) -> Iterator[Hit]:
    """Each exercise has a check, then hints, then a solution, then the check again."""
    for opening, section in _exercises(module):
        roles = [cell.role for cell in section]
        for role in ORDER:
            if role not in roles:
                yield opening, f"exercise without a {role}", f"add a cell tagged {role}"
        if "solution" in roles and "check" not in roles[roles.index("solution") :]:
            yield opening, "nothing checks the solution", "add the check again after it"
        order = [role for role in dict.fromkeys(roles) if role in ORDER]
        if order != [role for role in ORDER if role in order]:
            yield opening, f"an exercise in the order {', '.join(order)}", "keep the order check, hint, solution"


def exercises_checked_by_name(module: Module) -> Iterator[Hit]:
    """Checks and hints of an exercise are about the same task, and of different exercises about different ones."""
    seen: dict[str, str] = {}
    for opening, section in _exercises(module):
        names = {text for cell in section for call in calls.calls(cell, "check", "hint") for text in call.texts}
        if len(names) > 1:
            yield opening, f"one exercise checks {', '.join(sorted(names))}", "one task, one name"
        for name in sorted(names & seen.keys()):
            yield opening, f"{name} is checked in {seen[name]}, too", "give each exercise a task of its own"
        seen |= dict.fromkeys(names, opening.id)


def own_cluster(module: Module) -> Iterator[Hit]:
    """What differs elsewhere stands in a table, and the module's commands in a block to copy."""
    for opening, section in module.sections:
        if opening.part != "own-cluster":
            continue
        prose = [parse(cell.source) for cell in section if cell.is_markdown]
        if not any(part.tables for part in prose):
            yield opening, "no table of what differs elsewhere", "add one: here | elsewhere"
        blocks = [block for part in prose for block in part.blocks]
        if not any("kubectl" in block for block in blocks):
            yield opening, "no block with the module's commands", "list them without any helper"


RULES: tuple[Rule, ...] = (exercise_count, exercises_complete, exercises_checked_by_name, own_cluster)
