"""Rules on `%%needs`: cells that hang together need the same, and each has a recording."""

from __future__ import annotations

import re
from collections.abc import Iterator

from k8s101.lesson.cells import recorded
from k8s101.notebook import lessons
from k8s101.notebook.lint.module import Hit, Module, Rule
from k8s101.notebook.names import names

OWN_NODE = re.compile(r"\bworker-\d")


def needs_after_prepare(module: Module) -> Iterator[Hit]:
    """The line is known only after the cell that imports k8s101."""
    prepared = False
    for cell in module.code:
        if cell.needs and not prepared:
            yield cell, "%%needs before or in the prepare cell", "move it behind"
        prepared = prepared or "prepare" in cell.tags


def needs_first_line(module: Module) -> Iterator[Hit]:
    """The line comes first, and names something."""
    for cell in module.code:
        if ("%%needs" in cell.source or "--needs" in cell.source) and not cell.needs:
            yield (
                cell,
                "%%needs is not a complete first line",
                "write %%needs containers, or %%bash --needs containers",
            )


def needs_carried_on(module: Module) -> Iterator[Hit]:
    """A cell that uses a variable needs what the cell that made it needs."""
    made_by: dict[str, tuple[str, frozenset[str]]] = {}
    for cell in module.code:
        try:
            defined, used = names(cell.python)
        except SyntaxError:
            continue  # known_magics reports it
        for name in sorted(used & made_by.keys()):
            maker, needs = made_by[name]
            if not needs <= cell.needs:
                wanted = ", ".join(sorted(needs | cell.needs))
                yield cell, f"uses {name} of {maker}, which %%needs more", f"begin with: %%needs {wanted}"
        made_by |= {name: (cell.id, cell.needs) for name in defined}


def needs_unique(module: Module) -> Iterator[Hit]:
    """Cells whose recordings are found by their text have different texts."""
    seen: dict[str, str] = {}
    for cell in module.code:
        if cell.needs:
            key = recorded.digest(cell.source)
            if key in seen:
                yield cell, f"the same text as {seen[key]}", "let the cells differ, a comment is enough"
            seen.setdefault(key, cell.id)


def needs_recorded(module: Module) -> Iterator[Hit]:
    """Each cell that some cluster cannot run has an up-to-date recording, and there are no others."""
    if module.is_template:
        return
    then = f"on a full cluster: python -m k8s101.notebook execute {module.number}"
    recordings = recorded.load(module.tree.recorded, module.number)
    needing = {cell.id: cell for cell in module.code if cell.needs}
    for cell in needing.values():
        if cell.id not in recordings:
            yield cell, "nothing recorded for this %%needs cell", then
        elif recordings[cell.id]["source"] != recorded.digest(cell.source):
            yield cell, "the recording is of another text", then
    for old in sorted(recordings.keys() - needing.keys()):
        yield None, f"a recording for {old}, which is no %%needs cell", then


def needs_of_module(module: Module) -> Iterator[Hit]:
    """The title bar names only what some cell needs."""
    lesson = lessons.load(module.tree.notebooks / "lessons.yml").find(module.number)
    needed = {need for cell in module.code for need in cell.needs}
    for need in sorted(set(lesson.needs if lesson else ()) - needed):
        yield None, f"lessons.yml says that it needs {need}, and no cell does", "take it off there"


def needs_for_names(module: Module) -> Iterator[Hit]:
    """Only our own nodes are called worker-1; a cell for every cluster finds out what they are called."""
    for cell in module.code:
        if OWN_NODE.search(cell.body) and "node_faults" not in cell.needs:
            yield cell, "names a node, and other clusters have other names", "take a name from the API, such as min(…)"


RULES: tuple[Rule, ...] = (
    needs_after_prepare,
    needs_first_line,
    needs_carried_on,
    needs_unique,
    needs_recorded,
    needs_of_module,
    needs_for_names,
)
WARNINGS: tuple[Rule, ...] = (needs_for_names,)
