"""The learner's own copies in `work/`: no outputs, solutions folded, never overwritten once touched."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
from enum import StrEnum
from pathlib import Path

from nbformat import NotebookNode

from k8s101.cluster.values.settings import invoking_user
from k8s101.lesson.cells import files
from k8s101.notebook.document import Cell, Tree, cells, make_cell, number_of, read, render, write_atomically
from k8s101.notebook.execute import without_outputs
from k8s101.notebook.normalise import KEPT_METADATA, normalise

KEY = "k8s101"
"""Notebook metadata of ours; JupyterLab keeps it when it saves."""

MARKDOWN_LINK = re.compile(r"(\]\()([^)\s]+)")
HTML_LINK = re.compile(r"(\b(?:src|href)=[\"'])([^\"']+)")
MODULE_FILE = re.compile(r"\d\d-[a-z0-9-]+\.ipynb(#.*)?")


class Result(StrEnum):
    """What became of a learner's copy."""

    NEW = "new"
    CURRENT = "up to date"
    UPDATED = "replaced by the newer version (you had not used it)"
    KEPT = "kept (you have used it)"
    OUTDATED = "kept (you have used it); there is a newer version"
    FRESH = "fresh, your old one is beside it"


def make_copies(tree: Tree, fresh: str | None = None) -> dict[Path, Result]:
    """Make or refresh the copies of all modules.

    Args:
        tree: the checkout.
        fresh: number of a module whose copy is made anew; the learner's is kept under another name.

    Returns:
        What became of each copy.

    Raises:
        Problem: the number has no notebook, or a notebook cannot be read.
    """
    chosen = tree.paths([fresh])[0] if fresh else None
    made = {tree.work / path.name: make_copy(path, tree, fresh=path == chosen) for path in tree.paths()}
    for path in tree.paths():
        make_folder(path, tree, fresh=path == chosen)
    return made


def make_folder(path: Path, tree: Tree, *, fresh: bool = False) -> None:
    """Make or refresh the folder with a lesson's files; what the learner has edited stays.

    Args:
        path: the committed notebook.
        tree: the checkout.
        fresh: make it anew; the learner's is kept under another name.
    """
    folder = tree.work / path.stem
    if fresh and files.edited(folder):
        folder.rename(_free_name(folder))
    files.copy(tree.manifests / path.stem, folder)


def make_copy(path: Path, tree: Tree, *, fresh: bool = False) -> Result:
    """Make or refresh one copy.

    Args:
        path: the committed notebook.
        tree: the checkout.
        fresh: make it anew even if the learner has used it; theirs is kept under another name.
    """
    target = tree.work / path.name
    text = render(learner_copy(read(path), number_of(path)))
    if not target.exists():
        _write(target, text)
        return Result.NEW
    if used(target):
        if fresh:
            target.rename(_free_name(target))
            _write(target, text)
            return Result.FRESH
        return Result.KEPT if _origin(target) == _digest(text) else Result.OUTDATED
    if _origin(target) == _digest(text):
        return Result.CURRENT
    _write(target, text)
    return Result.UPDATED


def learner_copy(nb: NotebookNode, number: str) -> NotebookNode:
    """Return a notebook as a learner gets it.

    Args:
        nb: the committed notebook.
        number: its module number.
    """
    result = without_outputs(normalise(nb, number))
    for index, cell in enumerate(cells(result)):
        if cell.is_code and "solution" in cell.tags:
            folded = make_cell("markdown", _folded(cell), cell.id, cell.tags)
            folded.metadata |= {name: cell.raw.metadata[name] for name in KEPT_METADATA if name in cell.raw.metadata}
            result.cells[index] = folded
        elif cell.is_markdown:
            cell.raw.source = _adapt_links(cell.source)
    result.metadata[KEY] = {"generated": content_hash(result), "origin": _digest(render(result))}
    return result


def _folded(cell: Cell) -> str:
    fence = "```"
    while fence in cell.source:
        fence += "`"
    text = f"{fence}{cell.language}\n{cell.source}\n{fence}"
    return f"<details>\n<summary>Solution</summary>\n\n{text}\n\n</details>"


def _adapt_links(source: str) -> str:
    def adapted(match: re.Match[str]) -> str:
        target = match.group(2)
        elsewhere = re.match(r"[a-z][a-z0-9+.-]*:|/|#|\.\./", target) or MODULE_FILE.fullmatch(target)
        return match.group(0) if elsewhere else f"{match.group(1)}../notebooks/{target}"

    return HTML_LINK.sub(adapted, MARKDOWN_LINK.sub(adapted, source))


def content_hash(nb: NotebookNode) -> str:
    """Return a hash of what a learner can change: cells, their text, their outputs.

    Args:
        nb: a learner's copy.
    """
    content = [(cell.source, cell.raw.cell_type, len(cell.outputs), cell.count) for cell in cells(nb)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def used(target: Path) -> bool:
    """Tell whether a learner has changed or run a copy; one that cannot be read counts as used.

    Args:
        target: a file in `work/`.
    """
    try:
        nb = read(target)
    except Exception:  # whatever it is, it is the learner's
        return True
    return bool(nb.metadata.get(KEY, {}).get("generated") != content_hash(nb))


def _origin(target: Path) -> str | None:
    try:
        origin = read(target).metadata.get(KEY, {}).get("origin")
    except Exception:  # used() has already said that it is the learner's
        return None
    return str(origin) if origin else None


def _digest(text: str) -> str:
    """Return a hash of a copy's text that its own note of the hash does not change."""
    nb = copy.deepcopy(json.loads(text))
    nb["metadata"].pop(KEY, None)
    return hashlib.sha256(json.dumps(nb, sort_keys=True).encode()).hexdigest()[:16]


def _free_name(target: Path) -> Path:
    number = 1
    while (name := target.with_name(f"{target.stem}.old-{number}{target.suffix}")).exists():
        number += 1
    return name


def _write(target: Path, text: str) -> None:
    user = invoking_user()
    fresh_directory = not target.parent.exists()
    write_atomically(target, text)
    if os.getuid() == 0 and user.uid != 0:  # behind sudo: the copies belong to the person
        for path in [target, *([target.parent] if fresh_directory else [])]:
            os.chown(path, user.uid, user.gid)
