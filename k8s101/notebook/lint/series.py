"""Rules on questions: they exist, and none is recalled twice in the series."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from k8s101.lesson.quiz import bank
from k8s101.notebook.document import TEMPLATE, Tree, code_cells, number_of, read
from k8s101.notebook.lint import calls
from k8s101.notebook.lint.limits import RECALLED
from k8s101.notebook.lint.module import Hit, Module, Rule


def recalled(path: Path) -> tuple[str, ...]:
    """Return the questions that a notebook recalls, as `lesson/question`.

    Args:
        path: the notebook.
    """
    return _recalled(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _recalled(path: Path, changed: int) -> tuple[str, ...]:
    return tuple(text for cell in code_cells(read(path)) for call in calls.calls(cell, "recall") for text in call.texts)


def recall_count(module: Module) -> Iterator[Hit]:
    """Two or three questions on earlier modules."""
    own = [text for cell in module.code for call in calls.calls(cell, "recall") for text in call.texts]
    if module.with_tag("recall") and not module.is_template and not RECALLED[0] <= len(own) <= RECALLED[1]:
        yield module.with_tag("recall")[0], f"{len(own)} recalled questions", f"ask {RECALLED[0]} to {RECALLED[1]}"


def recalled_once(module: Module) -> Iterator[Hit]:
    """No question is recalled twice in the series; pages that await their rewriting do not count."""
    before = _earlier(module.tree, module.number)
    for cell in module.code:
        for call in calls.calls(cell, "recall"):
            for name in call.texts:
                if name in before:
                    yield cell, f"{name} is recalled in {before[name]}, too", "ask another question"
                before.setdefault(name, module.number)


def _earlier(tree: Tree, number: str) -> dict[str, str]:
    """Return each recalled question of earlier modules, with the number of the module."""
    if number == TEMPLATE:
        return {}
    earlier = [path for path in tree.paths() if number_of(path) < number]
    return {name: number_of(path) for path in earlier for name in recalled(path)}


def questions_exist(module: Module) -> Iterator[Hit]:
    """What a page asks, checks and hints at stands in the lesson's module of Python."""
    slug = module.path.stem[3:] if not module.is_template else TEMPLATE
    home = bank.module(slug)
    for table, functions in (("QUESTIONS", ("predict", "reveal")), ("EXERCISES", ("check", "hint"))):
        known = {entry.name for entry in getattr(home, table, ())}
        for cell in module.code:
            for name in (text for call in calls.calls(cell, *functions) for text in call.texts[:1]):
                if name not in known:
                    where = f"k8s101/lesson/modules/{slug.replace('-', '_')}.py"
                    yield cell, f"{functions[0]} {name}, which does not exist", f"add it to {table} in {where}"


RULES: tuple[Rule, ...] = (recall_count, recalled_once, questions_exist)
