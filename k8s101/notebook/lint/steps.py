"""Rules on steps: ask, run, tell; with kubectl where people use kubectl, with Python where a program does the job."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from k8s101.notebook.lint import calls
from k8s101.notebook.lint.limits import PYTHON_CELLS, SHELL_SHARE
from k8s101.notebook.lint.module import Hit, Module, Rule

RESULTS = frozenset({"run", "reveal", "draw", "timeline", "interactive"})
CLIENT = frozenset({"api", "Watch", "client", "stream"})
"""Names by which Python cells reach the official client."""


def predictions_alone(module: Module) -> Iterator[Hit]:
    """A question stands in a cell of its own, and nobody keeps what predict() returns."""
    for cell in module.code:
        asking = calls.calls(cell, "predict")
        if any(not call.alone for call in asking):
            yield cell, "the value of predict(…) is kept", 'write predict("name"), and later reveal("name")'
        elif asking and (parsed := calls.tree(cell)) and any(not _asks(node) for node in parsed.body):
            yield cell, "a prediction beside other code", "give it a cell of its own"


def _asks(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return isinstance(node.value.func, ast.Name) and node.value.func.id == "predict"
    return isinstance(node, ast.ImportFrom | ast.Import)


def predictions_revealed(module: Module) -> Iterator[Hit]:
    """Each prediction is answered later, after a cell that does something; nothing else is answered."""
    asked: dict[str, int] = {}
    answered: set[str] = set()
    for cell in module.code:
        for call in calls.calls(cell, "predict"):
            asked |= dict.fromkeys(call.texts, cell.index)
        for name in (text for call in calls.calls(cell, "reveal") for text in call.texts):
            if name not in asked:
                yield cell, f"reveals {name}, which was not asked", f'add a cell with predict("{name}") before the run'
            elif not any(asked[name] < other.index < cell.index and other.acts for other in module.code):
                yield cell, f"nothing runs between the question {name} and its answer", "let the cluster answer"
            answered.add(name)
    for name in sorted(asked.keys() - answered):
        yield module.cells[asked[name]], f"the prediction {name} is never revealed", f'add reveal("{name}") later'


def debriefs(module: Module) -> Iterator[Hit]:
    """What was seen, and what it means, stands directly under the result, before the next heading."""
    for before, cell in zip(module.cells, module.cells[1:], strict=False):
        heading = cell.is_markdown and cell.source.lstrip().startswith("#")
        if heading and before.is_code and before.role in RESULTS:
            yield before, "a heading follows the result", "say under the result what was seen and what it means"


def shell_share(module: Module) -> Iterator[Hit]:
    """At least two thirds of the cells that act in steps are `%%bash`."""
    shell = [cell for cell in module.acting if cell.is_shell]
    if len(shell) < SHELL_SHARE * len(module.acting):
        yield None, f"{len(shell)} of {len(module.acting)} acting cells are %%bash", f"make it {SHELL_SHARE} at least"


def python_cells(module: Module) -> Iterator[Hit]:
    """At least three cells act on the cluster with the official Python client."""
    if module.is_template:
        return
    found = [cell for cell in module.acting if calls.names(cell) & CLIENT]
    if len(found) < PYTHON_CELLS:
        advice = f"count, compare, watch or decide in {PYTHON_CELLS} cells with api.core, api.apps …"
        yield None, f"{len(found)} steps' cells use the official Python client", advice


def concept_picture(module: Module) -> Iterator[Hit]:
    """At least one picture of how things hang together: drawn from live data, or from notebooks/images/."""
    drawn = any(calls.calls(cell, "draw", "timeline") for cell in module.code)
    if not drawn and not any(source.endswith(".svg") for _, prose in module.prose for source, _ in prose.images):
        yield None, "no concept picture", "draw(…), timeline(…), or ![what it shows](images/NAME.svg)"


RULES: tuple[Rule, ...] = (
    predictions_alone,
    predictions_revealed,
    debriefs,
    shell_share,
    python_cells,
    concept_picture,
)
