"""Which names the Python of a cell defines and which it takes from earlier cells."""

from __future__ import annotations

import ast
import symtable


def names(source: str) -> tuple[set[str], set[str]]:
    """Return the names that a cell defines and those that it uses without defining them first.

    Args:
        source: Python without magics.

    Raises:
        SyntaxError: the source is not Python.
    """
    defined: set[str] = set()
    used: set[str] = set()
    for statement in ast.parse(source).body:
        table = symtable.symtable(ast.unparse(statement), "cell", "exec")
        stored, loaded = _stored(table), _loaded(table)
        if isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign):
            # In `n = n + 1` the right side comes first; in a loop or `with` the target does.
            if statement.value is not None:
                loaded = _loaded(symtable.symtable(ast.unparse(statement.value), "cell", "exec"))
            if isinstance(statement, ast.AugAssign):
                loaded |= stored
        else:
            loaded -= stored
        used |= loaded - defined
        defined |= stored
    return defined, used


def _stored(table: symtable.SymbolTable) -> set[str]:
    here = {
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
    }
    return {name for name in here if not name.startswith(".")}


def _loaded(table: symtable.SymbolTable) -> set[str]:
    found = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
    for child in table.get_children():
        found |= _free(child)
    return found


def _free(table: symtable.SymbolTable) -> set[str]:
    found = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
    for child in table.get_children():
        found |= _free(child)
    return found
