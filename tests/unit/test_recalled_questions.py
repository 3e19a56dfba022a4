"""A question that a later module recalls is stored there in the words in which it is asked now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from k8s101.cluster.values.settings import ROOT
from k8s101.lesson.quiz import bank
from k8s101.notebook.document import code_cells, output_texts, read

PAGES = sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))
RECALL = re.compile(r"\brecall\((.*?)\)", re.DOTALL)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_stored_recalls_are_in_the_questions_own_words(path: Path) -> None:
    for cell in code_cells(read(path)):
        if not (call := RECALL.search(cell.source)):
            continue
        stored = "".join(text for _, text in output_texts(cell))
        for slug, name in re.findall(r'"([a-z0-9-]+)/([a-z0-9-]+)"', call[1]):
            question = bank.question(slug, name)
            told = question.options[question.right] if isinstance(question.right, str) else None
            words = [question.text, *([told.text, told.feedback] if told else [])]
            assert [text for text in words if text not in stored] == [], f"make notebooks NB={path.stem[:2]}"
