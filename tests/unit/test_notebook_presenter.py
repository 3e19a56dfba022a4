"""A presenter's script and slides, made from what cells hold."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from k8s101.notebook import lessons, presenter
from k8s101.notebook.document import cells
from tests.unit.notebook_fixtures import cell_named, load, make_tree


@pytest.fixture
def nb(tmp_path: Path) -> NotebookNode:
    found = load(make_tree(tmp_path))
    cell_named(found, "ask-2").metadata.presenter = {"wrong": "three, most of the time"}
    cell_named(found, "more-2").metadata |= {"seconds": 12, "presenter": {"say": "Ask who has seen it.", "skip": True}}
    cell_named(found, "step-3").metadata.presenter = {"say": "Look at the ages.", "skip": True}
    return found


def test_a_script_says_what_to_say_what_goes_wrong_and_what_to_skip(nb: NotebookNode, tmp_path: Path) -> None:
    lesson = lessons.load(tmp_path / "notebooks/lessons.yml").find("06")
    text = presenter.script(nb, lesson)
    assert text.startswith("# Presenter's script: 06 Roll out\n\n30 minutes · ")
    assert "16 s less without what may be skipped" in text
    assert "\n## Step 2 · 16 s\n" in text
    assert "- `06-ask-2` ask (1 s): `predict('two')`\n  - the room usually answers: three, most of the time\n" in text
    assert (
        "- `06-more-2` run (12 s): `kubectl rollout status deployment/hello --timeout=60s …`\n"
        "  - say: Ask who has seen it.\n  - short of time: skip it\n" in text
    )
    assert "\n## Step 3 · 4 s · may be skipped\n\n- say: Look at the ages.\n" in text
    assert "word after word" not in text.lower()


def test_slides_begin_at_headings_and_bring_the_notes(nb: NotebookNode) -> None:
    before = nbformat.writes(nb)
    slides = presenter.slides(nb)
    assert nbformat.writes(nb) == before
    kinds = {cell.id: cell.raw.metadata.slideshow.slide_type for cell in cells(slides)}
    assert kinds["06-step-1"] == "slide" and kinds["06-list-1"] == "fragment" and kinds["06-solution"] == "skip"
    assert kinds["06-more-2-notes"] == "notes"
    nbformat.validate(slides)
