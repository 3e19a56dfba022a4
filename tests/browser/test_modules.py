"""Every written module as a learner meets it: step by step, predictions by keyboard, exercises solved."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import cycle
from pathlib import Path

import pytest

from k8s101.cluster.facade import cluster as clusters
from k8s101.cluster.values.settings import ROOT
from k8s101.notebook import learner, lessons
from k8s101.notebook.document import Tree, cells, read
from tests.browser.page import Page, printed, source_of

SOLVED_SECONDS = 120
PICTURES = ROOT / "artifacts" / "browser"
WRITTEN = [lesson.file for lesson in lessons.load(ROOT / "notebooks" / "lessons.yml").landed]


def solutions(path: Path) -> dict[str, str]:
    """Return the solution of each exercise: the check it passes, and its source."""
    found = [cell.source for cell in cells(read(path)) if cell.is_code and "solution" in cell.tags]
    return {check_of(source): source for source in found}


def check_of(source: str) -> str:
    """Return the line of a cell that calls `check`, or nothing."""
    return next((line for line in source.splitlines() if line.startswith("check(")), "")


def solve(page: Page, index: int, solution: str) -> None:
    """Write a solution into a cell and run it until its check passes, as a slow cluster may ask for.

    Args:
        page: the notebook.
        index: number of the cell, counted from 0.
        solution: what is written.
    """

    def solved() -> bool:
        page.replace(index, solution)
        page.step()
        answer = printed(page.cells()[index])
        return "✓" in answer and "✗" not in answer

    page.wait(f"solved: {check_of(solution)}", solved, SOLVED_SECONDS)


@pytest.mark.parametrize("name", WRITTEN)
def test_module(name: str, tree: Tree, open_page: Callable[..., Page]) -> None:
    cluster = clusters.find()
    if cluster is None or not cluster.running():
        pytest.skip("no cluster is running; k8s101 up")
    learner.make_copy(tree.notebooks / name, tree)
    page = open_page(tree.work / name)
    stem = Path(name).stem
    page.screenshot(PICTURES / f"{stem}-first.png")
    known, turn, said = solutions(tree.notebooks / name), cycle((0, -1)), []
    for index, cell in enumerate(page.cells()):
        source = source_of(cell)
        page.step()
        if cell["cell_type"] != "code":
            continue
        if "= predict(" in source:
            page.wait("the options are there", partial(page.options, index), 30)
            option = page.options(index)[next(turn)]
            page.choose(index, option)
            said.append(option)
        if solution := known.get(check_of(source)):
            assert "○ not attempted" in printed(page.cells()[index])
            solve(page, index, solution)
        assert page.errors() == []
    page.screenshot(PICTURES / f"{stem}.png", whole=True)
    everything = "\n".join(printed(cell) for cell in page.code_cells())
    assert [option for option in said if not verdict(option, everything)] == []
    assert all(cell["execution_count"] for cell in page.code_cells())
    assert page.unloaded_pictures() == []


def verdict(option: str, text: str) -> bool:
    """Tell whether the lesson has come back to a prediction."""
    return f"✓ right: {option} ·" in text or f"✗ you said: {option} ·" in text
