"""The one form in which notebooks are committed: the same content always gives the same file."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from k8s101.notebook import lessons as lessons_module
from k8s101.notebook.document import TEMPLATE, Tree, make_cell, number_of, read, render, write_atomically
from k8s101.notebook.lessons import Lessons

KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
KEPT_METADATA = ("presenter", "seconds")
"""What a presenter says at a cell, and how long it takes."""

PAPERMILL_TAGS = frozenset({"injected-parameters", "papermill-error-cell-tag"})

MACHINE_MADE = re.compile(r"[0-9a-f]{8}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OTHER_MODULE = re.compile(r"(\d\d|template)-")
OVERWRITTEN = re.compile(r"^.*\r(?=[^\n])", re.MULTILINE)
WORDS_IN_ID = 4


def normalise(nb: NotebookNode, number: str, title: str | None = None) -> NotebookNode:
    """Return a notebook in the committed form; twice gives the same as once.

    Args:
        nb: any notebook of format 4.
        number: the module number, with which every cell id begins.
        title: text of the generated first cell; None leaves the first cell alone.
    """
    result = copy.deepcopy(nb)
    result.nbformat, result.nbformat_minor = 4, 5
    result.metadata = NotebookNode({"kernelspec": KERNELSPEC, "language_info": {"name": "python"}})
    if title is not None:
        _set_title(result, title)
    _set_ids(result, number)
    position = 0
    for cell in result.cells:
        cell.source = cell.source.replace("\r\n", "\n").strip("\n")
        cell.metadata = _cell_metadata(cell)
        if cell.cell_type == "code":
            position += 1
            _normalise_code(cell, position)
    return result


def _set_title(nb: NotebookNode, title: str) -> None:
    first = nb.cells[0] if nb.cells else None
    if first is not None and "title" in first.metadata.get("tags", []):
        first.cell_type, first.source = "markdown", title
    else:
        nb.cells.insert(0, make_cell("markdown", title, "title", ["title"]))


def _set_ids(nb: NotebookNode, number: str) -> None:
    taken: set[str] = set()
    for cell in nb.cells:
        base = wanted = _own_id(cell, number)
        suffix = 2
        while wanted in taken:
            wanted = f"{base}-{suffix}"
            suffix += 1
        taken.add(wanted)
        cell.id = wanted


def _own_id(cell: NotebookNode, number: str) -> str:
    """Keep an id that a person gave, so that inserting a cell changes no other; replace those of machines."""
    current = str(cell.get("id", ""))
    if current.startswith(f"{number}-") and _well_formed(current):
        return current
    bare = OTHER_MODULE.sub("", current, count=1)
    if _well_formed(bare) and not MACHINE_MADE.fullmatch(current):
        return f"{number}-{bare}"[:60].rstrip("-")
    text = re.sub(r"^(%%.*|from .*|import .*)$", "", cell.source, flags=re.MULTILINE)
    words = re.findall(r"[a-z0-9]+", text.lower())[:WORDS_IN_ID] or [str(cell.cell_type)]
    return "-".join([number, *words])[:60].rstrip("-")


def _well_formed(name: str) -> bool:
    return len(name) <= 64 and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) is not None


def _cell_metadata(cell: NotebookNode) -> NotebookNode:
    tags = list(dict.fromkeys(tag for tag in cell.metadata.get("tags", []) if tag not in PAPERMILL_TAGS))
    metadata: dict[str, Any] = {"tags": tags} if tags else {}
    if cell.cell_type == "code" and "solution" in tags:
        metadata["jupyter"] = {"source_hidden": True}
    metadata |= {name: cell.metadata[name] for name in KEPT_METADATA if name in cell.metadata}
    return NotebookNode(metadata)


def _normalise_code(cell: NotebookNode, position: int) -> None:
    # A cell that was never run keeps its empty count: the linter reports it, a number would hide it.
    if cell.get("execution_count") is not None:
        cell.execution_count = position
    cell.outputs = _merge_streams(cell.get("outputs", []))
    for output in cell.outputs:
        if output.output_type in ("display_data", "execute_result"):
            output.metadata = NotebookNode()
            output.data.pop(WIDGET_VIEW, None)
            for mime, data in output.data.items():
                output.data[mime] = data.replace("\r\n", "\n") if isinstance(data, str) else data
        if output.output_type == "execute_result":
            output.execution_count = cell.execution_count
    cell.outputs = [output for output in cell.outputs if output.get("data") != {}]


def _merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    merged: list[NotebookNode] = []
    for output in outputs:
        before = merged[-1] if merged else None
        if output.output_type == "stream" and before is not None and before.get("name") == output.name:
            before.text += output.text
        else:
            merged.append(output)
    for output in merged:
        if output.output_type == "stream":
            # Progress that overwrites its line leaves only the last state, as on a screen and in nbval.
            output.text = OVERWRITTEN.sub("", output.text.replace("\r\n", "\n"))
    return merged


def title_for(number: str, lessons: Lessons) -> str | None:
    """Return the generated first cell of a module, None where there is none.

    Args:
        number: module number or `template`.
        lessons: all modules.
    """
    lesson = lessons.find(number)
    return lessons_module.title_bar(lesson, lessons) if lesson and number != TEMPLATE else None


def normalised_text(path: Path, tree: Tree) -> str:
    """Return what the file would hold in the committed form.

    Args:
        path: a notebook of the tree.
        tree: the checkout.

    Raises:
        Problem: the notebook or lessons.yml cannot be read.
    """
    number = number_of(path)
    lessons = lessons_module.load(tree.notebooks / "lessons.yml")
    return render(normalise(read(path), number, title_for(number, lessons)))


def normalise_file(path: Path, tree: Tree) -> bool:
    """Bring a file into the committed form; return whether that changed it.

    Args:
        path: a notebook of the tree.
        tree: the checkout.
    """
    text = normalised_text(path, tree)
    if text == path.read_text(encoding="utf-8"):
        return False
    write_atomically(path, text)
    return True
