"""Rules on the Python of code cells."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from k8s101.notebook.document import Cell
from k8s101.notebook.lint.module import Hit, Module, Rule

LINES = 12
EASY_LINES = 6
IGNORED_CELLS = 2

SHELL_ESCAPE = re.compile(r"^\s*(?:[\w, ]+=\s*)?!", re.MULTILINE)
MAGIC = re.compile(r"^\s*%{1,2}(?!needs\b)\w+", re.MULTILINE)
SLEEP_IN_COMMAND = re.compile(r"(?:^|[;&|]\s*|\bsh -c ['\"]?)sleep\b")
COMMANDS = frozenset({"sh", "kubectl"})

FORBIDDEN = {
    "subprocess": "its output is lost under nbval; use sh(…)",
    "os.system": "its exit code is lost; use sh(…)",
    "os.popen": "its exit code is lost; use sh(…)",
    "get_ipython": "it hides what runs; use sh(…) or plain Python",
    "time.sleep": "wait for a condition with wait_for(…)",
    "asyncio.sleep": "wait for a condition with wait_for(…)",
    "sleep": "wait for a condition with wait_for(…)",
    "clear_output": "nbval keeps what was cleared; print the final state once",
    "update_display": "nbval keeps the first state; print the final state once",
    "sys.exit": "papermill takes it for success; let an assert fail",
    "exit": "papermill takes it for success; let an assert fail",
    "quit": "papermill takes it for success; let an assert fail",
    "SystemExit": "papermill takes it for success; let an assert fail",
}
"""Names that no cell uses, and what to do instead."""


def _tree(cell: Cell) -> ast.Module | None:
    try:
        return ast.parse(cell.python)
    except SyntaxError:
        return None


def python_only(module: Module) -> Iterator[Hit]:
    """Plain Python, no shell escapes and no magics but `%%needs`."""
    for cell in module.code:
        if SHELL_ESCAPE.search(cell.source):
            yield cell, "a shell escape (!) loses the exit code", "use sh(…) or kubectl(…)"
        elif match := MAGIC.search(cell.source):
            yield cell, f"magic {match.group().strip()}", "use plain Python; only %%needs is allowed"
        elif _tree(cell) is None:
            yield cell, "the cell is not Python", "correct the syntax"


def not_empty(module: Module) -> Iterator[Hit]:
    """No empty code cells: tools skip them and count them differently."""
    for cell in module.code:
        if not cell.python.strip():
            yield cell, "empty code cell", "write ... for the learner to replace, or remove it"


def forbidden_names(module: Module) -> Iterator[Hit]:
    """Nothing that hides failures, waits blindly or redraws."""
    for cell in module.code:
        tree = _tree(cell)
        for name in sorted(_names_used(tree) & FORBIDDEN.keys()) if tree else ():
            yield cell, f"{name} is not used in lessons", FORBIDDEN[name]


def _names_used(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module).split(".")[0], *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found |= {f"{node.value.id}.{node.attr}"}
    return found


def no_updating_displays(module: Module) -> Iterator[Hit]:
    """No display that changes later: strict comparison sees only its first state."""
    for cell in module.code:
        tree = _tree(cell)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Call) and any(word.arg == "display_id" for word in node.keywords):
                yield cell, "a display with display_id", "show the final state once"


def no_sleep_in_commands(module: Module) -> Iterator[Hit]:
    """No fixed sleep inside a shell command either."""
    for cell in module.code:
        tree = _tree(cell)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in COMMANDS:
                texts = [text for text in ast.walk(node) if isinstance(text, ast.Constant)]
                if any(isinstance(text.value, str) and SLEEP_IN_COMMAND.search(text.value) for text in texts):
                    yield cell, "sleep in a command", "wait for a condition with wait_for(…)"


def no_final_semicolon(module: Module) -> Iterator[Hit]:
    """A semicolon at the end hides the result in a notebook, but not from nbval."""
    for cell in module.code:
        if cell.python.rstrip().endswith(";"):
            yield cell, "the cell ends with a semicolon", "assign the result to a name"


def ignored_outputs(module: Module) -> Iterator[Hit]:
    """Few cells whose output is not compared, each with an assertion of its own."""
    ignored = module.with_tag("nbval-ignore-output")
    if len(ignored) > IGNORED_CELLS:
        yield ignored[-1], f"{len(ignored)} cells with ignored output", f"make {IGNORED_CELLS} do"
    for cell in ignored:
        tree = _tree(cell)
        if tree and not any(isinstance(node, ast.Assert) for node in ast.walk(tree)):
            yield cell, "ignored output without an assert", "assert what must hold"


def cell_length(module: Module) -> Iterator[Hit]:
    """At most twelve lines of code in a cell."""
    for cell, lines in _lengths(module):
        if lines > LINES:
            yield cell, f"{lines} lines of code", f"split the cell, {LINES} at the very most"


def easy_length(module: Module) -> Iterator[Hit]:
    """Six lines are easy to read at a glance."""
    for cell, lines in _lengths(module):
        if EASY_LINES < lines <= LINES:
            yield cell, f"{lines} lines of code", f"{EASY_LINES} are easy to read"


def _lengths(module: Module) -> list[tuple[Cell, int]]:
    return [(cell, sum(1 for line in cell.source.splitlines() if line.strip())) for cell in module.code]


def paths_exist(module: Module) -> Iterator[Hit]:
    """Files that a cell names are there."""
    for cell in module.code:
        tree = _tree(cell)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                path = node.value
                names_file = path.startswith("../") or path.endswith((".yaml", ".yml"))
                if names_file and not re.search(r"[\s{}*]", path) and not _exists(module, path):
                    yield cell, f"file {path} does not exist", "write it relative to notebooks/ or manifests/"


def _exists(module: Module, path: str) -> bool:
    manifests = module.tree.manifests
    own = manifests / module.path.stem.lstrip("_")
    return any((folder / path).exists() for folder in (module.tree.notebooks, own, manifests / "base", manifests))


RULES: tuple[Rule, ...] = (
    python_only,
    not_empty,
    forbidden_names,
    no_updating_displays,
    no_sleep_in_commands,
    no_final_semicolon,
    ignored_outputs,
    cell_length,
    easy_length,
    paths_exist,
)
WARNINGS: tuple[Rule, ...] = (easy_length,)
