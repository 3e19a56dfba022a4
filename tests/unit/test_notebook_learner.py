"""Learner copies: without answers, and never lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from k8s101.errors import Problem
from k8s101.notebook.document import Tree, cells, read, render, write_atomically
from k8s101.notebook.learner import Result, make_copies, make_copy, used
from k8s101.notebook.names import names
from tests.unit.notebook_fixtures import cell_named, load, make_tree, path_of, save


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return make_tree(tmp_path)


@pytest.fixture
def target(tree: Tree) -> Path:
    make_copies(tree)
    return tree.work / "06-deployments.ipynb"


def edit(target: Path, cell: str = "own", **changes: object) -> None:
    nb = read(target)
    cell_named(nb, cell).update(changes)
    target.write_text(render(nb))


def author_changes(tree: Tree) -> None:
    nb = load(tree)
    cell_named(nb, "seen-1").source = "You saw it well."
    save(tree, nb)


def test_a_copy_holds_no_answer(tree: Tree, target: Path) -> None:
    copied = {cell.id: cell for cell in cells(read(target))}
    stored = {cell.id: cell for cell in cells(load(tree))}
    assert list(copied) == list(stored)
    assert not any(cell.outputs or cell.count for cell in copied.values())
    solution = copied["06-solution"]
    assert solution.is_markdown
    assert solution.source == (
        "<details>\n<summary>Solution</summary>\n\n```bash\n%%bash\nkubectl apply -f change.yaml\n```\n\n</details>"
    )
    assert copied["06-step-1"].raw.metadata.presenter == stored["06-step-1"].raw.metadata.presenter
    assert solution.raw.metadata.seconds == 1


def test_code_of_a_copy_is_the_committed_code(tree: Tree, target: Path) -> None:
    stored = {cell.id: cell.source for cell in cells(load(tree)) if cell.is_code and "solution" not in cell.tags}
    assert {cell.id: cell.source for cell in cells(read(target)) if cell.is_code} == stored


def test_fences_in_a_solution_do_not_end_it(tree: Tree) -> None:
    nb = load(tree)
    cell_named(nb, "solution").source = "text = '''\n```\nx\n```\n'''"
    save(tree, nb)
    make_copies(tree)
    folded = cell_named(read(tree.work / path_of(tree).name), "solution").source
    assert "\n````python\n" in folded and folded.endswith("\n````\n\n</details>")


def test_links_lead_to_the_same_files(tree: Tree) -> None:
    nb = load(tree)
    cell_named(nb, "seen-1").source = (
        "[next](00-start.ipynb#Start) [m](../manifests/06-deployments/hello.yaml) [list](lessons.yml) "
        '[web](https://example.org) [here](#Step-1) <img src="images/tree.svg" alt="tree">'
    )
    save(tree, nb)
    make_copies(tree)
    copied = read(tree.work / path_of(tree).name)
    assert cell_named(copied, "seen-1").source == (
        "[next](00-start.ipynb#Start) [m](../manifests/06-deployments/hello.yaml) [list](../notebooks/lessons.yml) "
        '[web](https://example.org) [here](#Step-1) <img src="../notebooks/images/tree.svg" alt="tree">'
    )
    assert "![a tree](../notebooks/images/tree.svg)" in cell_named(copied, "step-1").source


def test_untouched_copies_follow_the_source(tree: Tree, target: Path) -> None:
    assert make_copies(tree)[target] is Result.CURRENT
    author_changes(tree)
    assert make_copies(tree)[target] is Result.UPDATED
    assert cell_named(read(target), "seen-1").source == "You saw it well."
    assert make_copies(tree)[target] is Result.CURRENT


@pytest.mark.parametrize("change", [{"source": "replicas = 5"}, {"execution_count": 3}])
def test_used_copies_stay(tree: Tree, target: Path, change: dict[str, Any]) -> None:
    edit(target, **change)
    before = target.read_text()
    assert make_copies(tree)[target] is Result.KEPT
    author_changes(tree)
    assert make_copies(tree)[target] is Result.OUTDATED
    assert target.read_text() == before


def test_saving_without_a_change_is_no_use(target: Path) -> None:
    nb = json.loads(target.read_text())
    nb["metadata"]["language_info"] = {"name": "python", "version": "3.13.0"}
    nb["metadata"]["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
    target.write_text(json.dumps(nb))
    assert not used(target)


@pytest.mark.parametrize("content", ["", "not json", "[]", '{"cells": 3}'])
def test_what_cannot_be_read_is_the_learners(tree: Tree, target: Path, content: str) -> None:
    target.write_text(content)
    assert make_copies(tree)[target] in (Result.KEPT, Result.OUTDATED)
    assert target.read_text() == content


def test_fresh_keeps_each_old_copy(tree: Tree, target: Path) -> None:
    for number in (1, 2):
        edit(target, source=f"replicas = {number}")
        assert make_copies(tree, "06")[target] is Result.FRESH
        assert not used(target)
        old = read(tree.work / f"06-deployments.old-{number}.ipynb")
        assert cell_named(old, "own").source == f"replicas = {number}"


def test_fresh_touches_no_other_module(tree: Tree, target: Path) -> None:
    edit(target, source="replicas = 5")
    make_copies(tree, "0")
    assert cell_named(read(target), "own").source == "replicas = 5"


def test_fresh_of_an_unknown_module_is_said_before_anything_is_written(tree: Tree) -> None:
    with pytest.raises(Problem):
        make_copies(tree, "42")
    assert not tree.work.exists()


def test_an_unreadable_source_is_said(tree: Tree) -> None:
    write_atomically(path_of(tree), "not a notebook")
    with pytest.raises(Problem):
        make_copy(path_of(tree), tree)


def test_blanks_let_a_copy_run(tree: Tree, target: Path) -> None:
    for cell in cells(read(target)):
        if cell.is_code:
            names(cell.python)


def test_each_copy_has_the_lessons_files_beside_it(tree: Tree, target: Path) -> None:
    source = tree.manifests / "06-deployments"
    source.mkdir(parents=True, exist_ok=True)
    (source / "extra.yaml").write_text("as made\n")
    make_copies(tree)
    mine = tree.work / "06-deployments/extra.yaml"
    assert mine.read_text() == "as made\n"
    mine.write_text("mine\n")
    make_copies(tree)
    assert mine.read_text() == "mine\n"
    make_copies(tree, "06")
    assert mine.read_text() == "as made\n"
    assert (tree.work / "06-deployments.old-1/extra.yaml").read_text() == "mine\n"
