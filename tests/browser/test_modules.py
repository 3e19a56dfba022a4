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
    """Return the solution of each exercise by the check that it passes, which stands in it or below it."""
    found: dict[str, str] = {}
    waiting = ""
    for cell in cells(read(path)):
        if cell.is_code and "solution" in cell.tags:
            waiting = cell.source
        if waiting and check_of(cell.source):
            found[check_of(cell.source)], waiting = waiting, ""
    return found


def check_of(source: str) -> str:
    """Return the call of `check` in a cell, or nothing."""
    line = next((line for line in source.splitlines() if line.startswith("check(")), "")
    return line.split("  #")[0]


def solve(page: Page, index: int, solution: str) -> None:
    """Write a solution into the cell of a check and run both until the check passes, as a slow cluster may ask for.

    Args:
        page: the notebook.
        index: number of the cell, counted from 0.
        solution: what is written.
    """
    check = source_of(page.cells()[index])

    def run(source: str) -> str:
        page.replace(index, source)
        page.step()
        return printed(page.cells()[index])

    def solved() -> bool:
        answer = run(solution)
        if not check_of(solution):
            answer = run(check)
        return "✓" in answer and "✗" not in answer

    page.wait(f"solved: {check_of(check)}", solved, SOLVED_SECONDS)


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
        if "= predict(" in source or source.startswith("predict("):
            page.wait("the options are there", partial(page.options, index), 30)
            option = page.options(index)[next(turn)]
            page.choose(index, option)
            said.append(option)
        if solution := known.pop(check_of(source), ""):
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
    joined = " ".join(text.split())  # long lines are broken
    return f"✓ right: {option} ·" in joined or f"✗ you said: {option} ·" in joined
