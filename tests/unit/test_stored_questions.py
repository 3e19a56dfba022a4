"""What a page's outputs hold of questions and hints is in the words in which they are asked and given now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from k8s101.cluster.values.settings import ROOT
from k8s101.lesson.quiz import bank
from k8s101.notebook.document import code_cells, output_texts, read

PAGES = sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))
RECALL = re.compile(r"\brecall\((.*?)\)", re.DOTALL)
CALLED = re.compile(r'^(predict|reveal|hint)\("([a-z0-9-]+)"\)', re.MULTILINE)


def words(slug: str, call: str, name: str) -> list[str]:
    """Return what a call prints that does not depend on the cluster, the hint when it is asked for the first time."""
    if call == "hint":
        return [bank.exercise(slug, name).hints[0]]
    asked = bank.question(slug, name)
    if call == "predict":
        return [asked.text, *(option.text for option in asked.options.values())]
    told = asked.options[asked.right] if isinstance(asked.right, str) else None
    return [told.text, told.feedback] if told else []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_stored_questions_and_hints_are_in_their_own_words(path: Path) -> None:
    given: set[str] = set()
    for cell in code_cells(read(path)):
        stored = "".join(text for _, text in output_texts(cell))
        for call, name in CALLED.findall(cell.source):
            if call == "hint" and name in given:
                continue
            given |= {name} if call == "hint" else set()
            found = [text for text in words(path.stem[3:], call, name) if text not in stored]
            assert found == [], f"make notebooks NB={path.stem[:2]}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_stored_recalls_are_in_the_questions_own_words(path: Path) -> None:
    for cell in code_cells(read(path)):
        if not (call := RECALL.search(cell.source)):
            continue
        stored = "".join(text for _, text in output_texts(cell))
        for slug, name in re.findall(r'"([a-z0-9-]+)/([a-z0-9-]+)"', call[1]):
            question = bank.question(slug, name)
            told = question.options[question.right] if isinstance(question.right, str) else None
            asked = [question.text, *([told.text, told.feedback] if told else [])]
            assert [text for text in asked if text not in stored] == [], f"make notebooks NB={path.stem[:2]}"
