"""Outputs of cells that not every cluster can run: written by a full cluster, shown where it lacks something.

One file per module, `notebooks/recorded/NN.json`. A cell is found by its id; only JupyterLab tells a running
cell its id, so that elsewhere (nbclient, papermill) the text of the cell finds it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

Output = dict[str, Any]


def digest(source: str) -> str:
    """Return a short hash of a cell's text that blanks at line ends and empty lines around it do not change.

    Args:
        source: the cell with its `%%needs` line.
    """
    text = "\n".join(line.rstrip() for line in source.strip().splitlines())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_of(directory: Path, number: str) -> Path:
    """Return the file with the recordings of one module."""
    return directory / f"{number}.json"


def load(directory: Path, number: str) -> dict[str, dict[str, Any]]:
    """Return the recordings of one module: cell id to `source` (a digest) and `outputs`; empty if there are none.

    Args:
        directory: `notebooks/recorded`.
        number: module number.
    """
    path = file_of(directory, number)
    if not path.exists():
        return {}
    cells: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return cells


def render(cells: dict[str, dict[str, Any]]) -> str:
    """Return the text of a file of recordings.

    Args:
        cells: cell id to `source` and `outputs`, in the notebook's order.
    """
    return json.dumps({"cells": cells}, indent=1, ensure_ascii=False) + "\n"


def find(directory: Path, number: str | None, cell_id: str | None, source: str) -> list[Output] | None:
    """Return what a full cluster printed for a cell, None if nothing is recorded.

    Args:
        directory: `notebooks/recorded`.
        number: module number, if the caller knows it.
        cell_id: the cell's id, if the front end told it.
        source: digest of the cell's text.
    """
    numbers = sorted(path.stem for path in directory.glob("*.json"))
    numbers.sort(key=lambda candidate: candidate != number)  # the caller's own module first
    recordings = [load(directory, candidate) for candidate in numbers]
    by_id = [cells[cell_id] for cells in recordings if cell_id is not None and cell_id in cells]
    by_text = [cell for cells in recordings for cell in cells.values() if cell["source"] == source]
    found = [*by_id, *by_text]
    return list(found[0]["outputs"]) if found else None
