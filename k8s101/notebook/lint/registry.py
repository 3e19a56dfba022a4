"""All rules of the linter, and what they find in one notebook."""

from __future__ import annotations

from pathlib import Path

from k8s101.notebook.document import Tree, read
from k8s101.notebook.lint import (
    code,
    exercises,
    frame,
    needs,
    outputs,
    presenter,
    prose,
    python,
    series,
    shell,
    sizes,
    steps,
    style,
)
from k8s101.notebook.lint.module import Finding, Module, Rule

PARTS = (frame, prose, code, needs, outputs, sizes, steps, exercises, shell, presenter, series, style, python)


def rules() -> dict[str, tuple[Rule, bool]]:
    """Return every rule that holds for a page by name, with whether it only warns."""
    found: dict[str, tuple[Rule, bool]] = {}
    for part in PARTS:
        for rule in part.RULES:
            found[rule.__name__] = (rule, rule in getattr(part, "WARNINGS", ()))
    return found


def lint(path: Path, tree: Tree) -> list[Finding]:
    """Return what all rules find in one notebook, in the order of its cells.

    Args:
        path: the notebook.
        tree: the checkout that links and paths refer to.

    Raises:
        Problem: the notebook cannot be read.
    """
    module = Module(path, read(path), tree)
    found: list[tuple[int, Finding]] = []
    for name, (rule, warning) in rules().items():
        for cell, what, then in rule(module):
            finding = Finding(module.number, cell.id if cell else None, name, what, then, warning)
            found.append((cell.index if cell else -1, finding))
    return [finding for _, finding in sorted(found, key=lambda pair: pair[0])]
