"""The committed form: whatever tools and people leave in a notebook, the same content gives the same file."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from k8s101.errors import Problem
from k8s101.notebook.document import Tree, make_cell, number_of, read, render, write_atomically
from k8s101.notebook.normalise import normalise, normalise_file, normalised_text
from tests.unit.notebook_fixtures import cell_named, display, load, make_tree, path_of, save, stream


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return make_tree(tmp_path)


def notebook(*cells: NotebookNode) -> NotebookNode:
    nb: NotebookNode = nbformat.v4.new_notebook()
    nb.cells = list(cells)
    return nb


def ids(nb: NotebookNode) -> list[str]:
    return [cell.id for cell in nb.cells]


def executed(source: str, *outputs: NotebookNode, count: int = 7) -> NotebookNode:
    cell = make_cell("code", source, "x")
    cell.update(outputs=list(outputs), execution_count=count)
    return cell


def test_idempotent_and_stable(tree: Tree) -> None:
    once = normalise(load(tree), "06")
    assert render(normalise(once, "06")) == render(once)
    nbformat.validate(once)


def test_traces_of_tools_disappear(tree: Tree) -> None:
    clean = path_of(tree).read_text()
    nb = load(tree)
    nb.metadata.update(
        kernelspec={"name": "mine", "display_name": "Mine", "language": "python"},
        language_info={"name": "python", "version": "3.12.1"},
        widgets={"state": {}},
        papermill={"duration": 3},
    )
    for number, cell in enumerate(nb.cells):
        cell.metadata.update(
            execution={"iopub.execute_input": "2026"}, papermill={"status": "completed"}, collapsed=True
        )
        if cell.cell_type == "code":
            cell.execution_count = 100 + number
            cell.source += "\n"
    cell_named(nb, "look-1").metadata.tags.append("papermill-error-cell-tag")
    save(tree, nb)
    assert normalise_file(path_of(tree), tree)
    assert path_of(tree).read_text() == clean
    assert not normalise_file(path_of(tree), tree)


def test_line_ends_and_trailing_newline(tree: Tree) -> None:
    nb = notebook(executed("print(1)\r\nprint(2)\r\n", stream("1\r\n2\r\n")))
    result = normalise(nb, "06")
    assert result.cells[0].source == "print(1)\nprint(2)"
    assert result.cells[0].outputs[0].text == "1\n2\n"
    assert render(result).endswith("}\n") and not render(result).endswith("\n\n")


def test_streams_are_merged_in_order() -> None:
    picture = display(text_plain="tree")
    nb = notebook(
        executed("x", stream("a"), stream("b\n"), stream("e", "stderr"), stream("c\n"), picture, stream("d\n"))
    )
    merged = normalise(nb, "06").cells[0].outputs
    texts = [output.get("text", "picture") for output in merged]
    assert texts == ["ab\n", "e", "c\n", "picture", "d\n"]


def test_overwritten_progress_keeps_its_last_state() -> None:
    nb = notebook(executed("x", stream("10 %\r50 %"), stream("\r100 %\nready\n")))
    assert normalise(nb, "06").cells[0].outputs[0].text == "100 %\nready\n"


def test_counts_follow_the_order_and_unrun_cells_keep_none() -> None:
    result = nbformat.v4.new_output("execute_result", {"text/plain": "3"}, execution_count=9)
    unrun = make_cell("code", "y", "y")
    nb = normalise(notebook(executed("x", count=5), unrun, executed("3", result, count=9)), "06")
    assert [cell.execution_count for cell in nb.cells] == [1, None, 3]
    assert nb.cells[2].outputs[0].execution_count == 3


def test_widget_views_leave_only_their_text() -> None:
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
    nb = notebook(
        executed(
            "x",
            nbformat.v4.new_output("display_data", {**view, "text/plain": "slider"}),
            nbformat.v4.new_output("display_data", view),
        )
    )
    assert [dict(output.data) for output in normalise(nb, "06").cells[0].outputs] == [{"text/plain": "slider"}]


def test_unknown_tags_stay_for_the_linter_to_name() -> None:
    nb = notebook(make_cell("code", "x", "x"))
    nb.cells[0].metadata.tags = ["run", "predicct", "run"]
    assert normalise(nb, "06").cells[0].metadata.tags == ["run", "predicct"]


def test_solutions_are_collapsed() -> None:
    nb = notebook(make_cell("code", "x", "x", ["solution"]), make_cell("code", "y", "y", ["run"]))
    hidden = [cell.metadata.get("jupyter") for cell in normalise(nb, "06").cells]
    assert hidden == [{"source_hidden": True}, None]


@pytest.mark.parametrize(
    ("given", "source", "wanted"),
    [
        ("06-scale-up", "x", "06-scale-up"),
        ("scale-up", "x", "06-scale-up"),
        ("template-scale-up", "x", "06-scale-up"),
        ("02-scale-up", "x", "06-scale-up"),
        ("3f0c6a52", "apply('hello.yaml')", "06-apply-hello-yaml"),
        ("3f0c6a52-8b1e-4c0e-9d57-0a7c1b2d3e4f", "## Scale it up now, please", "06-scale-it-up-now"),
        ("Scale_Up", "%%needs containers\nshow('pods')", "06-show-pods"),
        ("3f0c6a52", "", "06-code"),
    ],
)
def test_ids(given: str, source: str, wanted: str) -> None:
    cell = make_cell("code", source, "x")
    cell.id = given
    assert ids(normalise(notebook(cell), "06")) == [wanted]


def test_inserting_a_cell_changes_no_other_id(tree: Tree) -> None:
    nb = load(tree)
    before = ids(nb)
    nb.cells.insert(5, nbformat.v4.new_code_cell("print('new')"))
    after = ids(normalise(nb, "06"))
    assert after[5] == "06-print-new"
    assert [name for name in after if name != "06-print-new"] == before


def test_equal_ids_are_told_apart() -> None:
    nb = notebook(*(make_cell("code", "x", "06-x") for _ in range(3)))
    assert ids(normalise(nb, "06")) == ["06-x", "06-x-2", "06-x-3"]


def test_title_is_rewritten_and_inserted(tree: Tree) -> None:
    nb = load(tree)
    nb.cells[0].source = "# My own title"
    save(tree, nb)
    fixed = json.loads(normalised_text(path_of(tree), tree))["cells"]
    assert "".join(fixed[0]["source"]).startswith("# Roll out\n\nModule 06 · 30 minutes · needs containers\n")
    assert "← [00 Start](00-start.ipynb)" in "".join(fixed[0]["source"])
    del nb.cells[0]
    save(tree, nb)
    again = json.loads(normalised_text(path_of(tree), tree))["cells"]
    assert [cell["id"] for cell in again] == [cell["id"] for cell in fixed]


def test_input_is_not_changed(tree: Tree) -> None:
    nb = load(tree)
    before = copy.deepcopy(nb)
    normalise(nb, "07", "# Other")
    assert nb == before


def test_write_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.ipynb"
    write_atomically(target, "old\n")
    target.chmod(0o640)

    def refuse(self: Path, other: Path) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(OSError, match="no space"):
            write_atomically(target, "new\n")
    assert [path.name for path in tmp_path.iterdir()] == ["a.ipynb"]
    assert target.read_text() == "old\n"
    write_atomically(target, "new\n")
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("new\n", 0o640)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"nbformat": 4', '{"cells": 3, "nbformat": 4}'])
def test_what_is_no_notebook_is_said(tmp_path: Path, content: str) -> None:
    path = tmp_path / "06-x.ipynb"
    path.write_text(content)
    with pytest.raises(Problem) as caught:
        render(normalise(read(path), "06"))
    assert str(path) in caught.value.where


@pytest.mark.parametrize("number", ["08", "x", "600", ""])
def test_unknown_numbers_are_said_with_the_known_ones(tree: Tree, number: str) -> None:
    with pytest.raises(Problem) as caught:
        tree.paths([number])
    assert caught.value.then == "give one of: 00 06"


def test_numbers_find_notebooks(tree: Tree) -> None:
    assert [number_of(path) for path in tree.paths(["6", "00"])] == ["06", "00"]
    assert [number_of(path) for path in tree.paths()] == ["00", "06"]
