"""The template notebook on the real cluster: as it is, as a learner's copy, and with a learner who answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from k8s101.lesson.cells import needs
from k8s101.notebook import execute, runs
from k8s101.notebook.document import Tree, code_cells, make_cell, output_texts, read
from k8s101.notebook.environment import running_backend

pytestmark = pytest.mark.cluster

TREE = Tree()
TEMPLATE = TREE.paths(["template"])[0]
SAID = {"tree": "one", "lost": "new"}
"""What the learner of a test answers: wrong the first time, right the second."""


def printed(nb: object) -> str:
    return "".join(text for cell in code_cells(nb) for kind, text in output_texts(cell) if kind == "stdout")  # type: ignore[arg-type]


@pytest.mark.parametrize("copy", [False, True], ids=["committed", "learner's copy"])
def test_the_template_runs(copy: bool) -> None:
    result = runs.end_to_end(TEMPLATE, TREE, running_backend(), needs.cluster_capabilities(), copy=copy)
    assert result.passed, result
    assert result.cells == result.real


def test_a_right_and_a_wrong_prediction_are_told_and_kept(tmp_path: Path) -> None:
    nb = read(TEMPLATE)
    person = f'import os\nos.environ |= {{"K8S101_INTERACTIVE": "1", "XDG_STATE_HOME": {str(tmp_path)!r}}}'
    nb.cells.insert(0, make_cell("code", person, "template-person", ["run"]))
    for cell in nb.cells:
        for name, option in SAID.items():
            cell.source = cell.source.replace(f'predict("{name}")', f'_ = predict("{name}").choose({option!r})')
    execute.run(nb, TEMPLATE, TREE, tmp_path / "failed")
    text = printed(nb)
    assert "✗ you said: 1 · A Deployment runs nothing itself.\n  right: 4 · " in text
    assert "✓ right: a new Pod takes its place · " in text
    assert "○ not attempted" in text and "✓ it has 3 ready Pods" in text and "✓ shop is ready" in text
    noted = json.loads((tmp_path / "k8s101/progress.json").read_text())["entries"]
    assert [(entry["name"], entry["outcome"]) for entry in noted if entry["what"] == "predict"] == [
        ("tree", "wrong"),
        ("lost", "right"),
    ]
    passed = {entry["name"] for entry in noted if (entry["what"], entry["outcome"]) == ("check", "passed")}
    assert passed == {"change", "generate", "repair"}
