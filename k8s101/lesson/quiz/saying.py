"""How questions, checks and hints print their sentences."""

from __future__ import annotations

import textwrap

from k8s101.lesson.api.session import interactive

COLUMNS = 96
"""What an output shows beside JupyterLab's file browser on a screen of 1280 pixels."""


def say(sentences: str) -> None:
    """Print sentences; for a person in lines of a readable length, since JupyterLab does not break those of outputs.

    Args:
        sentences: the sentences, each on a line of its own.
    """
    for line in sentences.splitlines():
        print(textwrap.fill(line, COLUMNS, subsequent_indent="  ") if interactive() else line)
