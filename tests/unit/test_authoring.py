"""What AUTHORING.md tells authors is what the linter, the template and its tests do."""

from __future__ import annotations

import re

import pytest

from k8s101.cluster.values.settings import ROOT
from k8s101.notebook import tags
from k8s101.notebook.lint import limits
from k8s101.notebook.lint.style import WORDS, avoided

GUIDE = (ROOT / "notebooks/AUTHORING.md").read_text(encoding="utf-8")
EXAMPLES = [ROOT / "k8s101/lesson/modules/template.py", ROOT / "tests/notebooks/test_checks_template.py"]


def table(heading: str) -> dict[str, str]:
    """Return the first table below a heading: its first column with the second."""
    below = GUIDE.split(f"{heading}\n", 1)[1]
    rows = re.search(r"^\|.*\n\|[-|]+\n((?:\|.*\n)+)", below, re.MULTILINE)
    assert rows, heading
    cells = [line.strip("| \n").split(" | ") for line in rows.group(1).splitlines()]
    return {row[0]: row[1] for row in cells}


def span(pair: tuple[int, int]) -> str:
    return f"{pair[0]:,} to {pair[1]:,}"


def test_the_limits_are_those_of_the_linter() -> None:
    assert table("### Limits") == {
        "cells": span(limits.CELLS),
        "words of Markdown, without the title bar": span(limits.WORDS),
        "minutes in `lessons.yml`": span(limits.MINUTES),
        "objectives": span(limits.OBJECTIVES),
        "recalled questions": span(limits.RECALLED),
        "steps": span(limits.STEPS),
        "exercises": str(limits.EXERCISES),
        "lines of a code cell (`%%writefile` excepted)": str(limits.LINES),
        "links under further reading": str(limits.LINKS),
        "share of `%%bash` among the steps' acting cells, at least": str(limits.SHELL_SHARE),
        "acting cells with the official Python client, at least": str(limits.PYTHON_CELLS),
        "cells with ignored output, each with an assertion": str(limits.IGNORED_CELLS),
        "letters of a presenter's note": str(limits.NOTE_LETTERS),
    }


def test_every_limit_is_told() -> None:
    told = {name for name in vars(limits) if name.isupper()}
    used = set(re.findall(r"limits\.([A-Z_]+)", (ROOT / "tests/unit/test_authoring.py").read_text(encoding="utf-8")))
    assert told == used


def test_the_frame_is_that_of_the_vocabulary() -> None:
    named = [name.strip("`") for name in table("## The frame")]
    assert [name for name in named if name in tags.PARTS] == list(tags.PARTS)
    assert set(named) - set(tags.PARTS) == {"recall", "break-it"}
    roles = GUIDE.split("exactly one tag that says what it does:", 1)[1].split(".\n", 1)[0]
    assert set(re.findall(r"`([a-z-]+)`", roles)) == tags.CODE_TAGS | {"run"}


@pytest.mark.parametrize("block", re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL))
def test_examples_are_the_templates(block: str) -> None:
    texts = [path.read_text(encoding="utf-8") for path in EXAMPLES]
    assert any(" ".join(block.split()) in " ".join(text.split()) for text in texts)


def test_each_word_to_avoid_is_found() -> None:
    for words in table("## How it sounds"):
        for word in re.sub(r"\(.*?\)", "", words).split(","):
            assert list(avoided(f"One {word.strip()} here.")), word


@pytest.mark.parametrize(
    "text", ["A justified request", "The bearer token", "Weather", "the user’s", "easygoing", "promising", "well known"]
)
def test_words_that_only_contain_one_are_left_alone(text: str) -> None:
    found = [word for word, _ in avoided(text)]
    assert found == (["promising"] if text == "promising" else [])
    assert len(WORDS) > 20
