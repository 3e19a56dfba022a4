"""Rules on code cells, most of them on Python."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from k8s101.notebook.lint.calls import tree
from k8s101.notebook.lint.limits import IGNORED_CELLS, LINES
from k8s101.notebook.lint.module import Hit, Module, Rule

SHELL_ESCAPE = re.compile(r"^\s*(?:[\w, ]+=\s*)?!", re.MULTILINE)
MAGIC = re.compile(r"^\s*%{1,2}\w+", re.MULTILINE)
MAGICS = frozenset({"", "needs", "bash", "writefile"})
SLEEP_IN_COMMAND = re.compile(r"(?:^|[;&|]\s*|\bsh -c ['\"]?)sleep\b", re.MULTILINE)

FORBIDDEN = {
    "subprocess": "its output is lost under nbval; use a %%bash cell",
    "os.system": "its exit code is lost; use a %%bash cell",
    "os.popen": "its exit code is lost; use a %%bash cell",
    "get_ipython": "it hides what runs; use %%bash or plain Python",
    "time.sleep": "wait for a condition: kubectl wait, a watch, .wait(…)",
    "asyncio.sleep": "wait for a condition: kubectl wait, a watch, .wait(…)",
    "sleep": "wait for a condition: kubectl wait, a watch, .wait(…)",
    "clear_output": "nbval keeps what was cleared; print the final state once",
    "update_display": "nbval keeps the first state; print the final state once",
    "sys.exit": "papermill takes it for success; let an assert fail",
    "exit": "papermill takes it for success; let an assert fail",
    "quit": "papermill takes it for success; let an assert fail",
    "SystemExit": "papermill takes it for success; let an assert fail",
}
"""Names that no cell uses, and what to do instead."""


def known_magics(module: Module) -> Iterator[Hit]:
    """Plain Python, `%%bash` or `%%writefile`; no shell escapes and no other magics but `%%needs`."""
    for cell in module.code:
        if cell.magic not in MAGICS:
            yield cell, f"magic %%{cell.magic}", "use %%bash, %%writefile, %%needs or plain Python"
        elif SHELL_ESCAPE.search(cell.python):
            yield cell, "a shell escape (!) loses the exit code", "use a %%bash cell"
        elif match := MAGIC.search(cell.python):
            yield cell, f"magic {match.group().strip()}", "only the first line of a cell may be one"
        elif tree(cell) is None:
            yield cell, "the cell is not Python", "correct the syntax"


def not_empty(module: Module) -> Iterator[Hit]:
    """No empty code cells: tools skip them and count them differently."""
    for cell in module.code:
        if not cell.body.strip():
            yield cell, "empty code cell", "write ... for the learner to replace, or remove it"


def forbidden_names(module: Module) -> Iterator[Hit]:
    """Nothing that hides failures, waits blindly or redraws."""
    for cell in module.code:
        parsed = tree(cell)
        for name in sorted(_names_used(parsed) & FORBIDDEN.keys()) if parsed else ():
            yield cell, f"{name} is not used in lessons", FORBIDDEN[name]


def _names_used(parsed: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(parsed):
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
        parsed = tree(cell)
        for node in ast.walk(parsed) if parsed else ():
            if isinstance(node, ast.Call) and any(word.arg == "display_id" for word in node.keywords):
                yield cell, "a display with display_id", "show the final state once"


def no_sleep_in_commands(module: Module) -> Iterator[Hit]:
    """No fixed sleep inside a shell command either; one in a loop that looks at something is none."""
    for cell in module.code:
        if cell.is_shell and SLEEP_IN_COMMAND.search(cell.body):
            yield cell, "sleep in a command", "wait for a condition: kubectl wait … --timeout=60s"


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
        parsed = tree(cell)
        if parsed and not any(isinstance(node, ast.Assert) for node in ast.walk(parsed)):
            yield cell, "ignored output without an assert", "assert what must hold"


def cell_length(module: Module) -> Iterator[Hit]:
    """At most twelve lines of code in a cell; a file that it writes may be longer."""
    for cell in module.code:
        lines = sum(1 for line in cell.source.splitlines() if line.strip())
        if lines > LINES and cell.written_file is None:
            yield cell, f"{lines} lines of code", f"split the cell, {LINES} at the very most"


def paths_exist(module: Module) -> Iterator[Hit]:
    """Files that a cell names are there."""
    for cell in module.code:
        parsed = tree(cell)
        for node in ast.walk(parsed) if parsed else ():
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
    known_magics,
    not_empty,
    forbidden_names,
    no_updating_displays,
    no_sleep_in_commands,
    no_final_semicolon,
    ignored_outputs,
    cell_length,
    paths_exist,
)
