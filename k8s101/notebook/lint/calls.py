"""The workshop's helpers that a cell calls, found in its Python."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from k8s101.notebook.document import Cell


@dataclass(frozen=True)
class Call:
    """A call of a function by its bare name.

    Args:
        name: the function.
        texts: its arguments that are texts.
        alone: whether the call is a statement of its own, whose value nobody keeps.
    """

    name: str
    texts: tuple[str, ...]
    alone: bool


def tree(cell: Cell) -> ast.Module | None:
    """Return the parsed Python of a cell, None if it is not Python."""
    try:
        return ast.parse(cell.python)
    except SyntaxError:
        return None


def calls(cell: Cell, *wanted: str) -> list[Call]:
    """Return the calls of some functions in a cell, in order.

    Args:
        cell: a code cell.
        wanted: names of functions.
    """
    parsed = tree(cell)
    nodes = list(ast.walk(parsed)) if parsed else []
    statements = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    return [
        Call(node.func.id, tuple(_texts(node)), id(node) in statements)
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in wanted
    ]


def _texts(node: ast.Call) -> list[str]:
    return [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]


def names(cell: Cell) -> set[str]:
    """Return every bare name that a cell's Python uses."""
    parsed = tree(cell)
    return {node.id for node in ast.walk(parsed) if isinstance(node, ast.Name)} if parsed else set()
