"""What ruff says of the Python on a page, with the settings of pyproject.toml."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import nbformat

from k8s101.cluster.values.settings import ROOT
from k8s101.notebook.document import Cell
from k8s101.notebook.lint.module import Hit, Module, Rule


def ruff_clean(module: Module) -> Iterator[Hit]:
    """Python that ruff accepts; it leaves out cells with magics by itself, so it gets them without."""
    cells = [cell for cell in module.code if cell.python.strip()]
    for found in _ruff(cells):
        cell = cells[found["cell"] - 1]
        yield cell, f"line {found['location']['row']}: {found['code']} {found['message']}", "correct it"


def _ruff(cells: list[Cell]) -> list[dict[str, Any]]:
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.python) for cell in cells])
    page.metadata["language_info"] = {"name": "python"}
    options = ("--output-format=json", "--stdin-filename=notebooks/page.ipynb", "--exit-zero", "--no-cache")
    command = (sys.executable, "-m", "ruff", "check", "--quiet", *options, "-")
    answer = subprocess.run(command, cwd=ROOT, input=nbformat.writes(page), text=True, capture_output=True, check=True)
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    return found


RULES: tuple[Rule, ...] = (ruff_clean,)
