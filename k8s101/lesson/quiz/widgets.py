"""The one control of the lessons: options to choose from, by mouse or by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets
from IPython.display import display

from k8s101.lesson.quiz.bank import Question


def choice(asked: Question, on_choose: Callable[[str], str | None]) -> ipywidgets.VBox:
    """Show a question with its options.

    Args:
        asked: the question.
        on_choose: called with the key of each option the learner chooses; the text it returns is shown below.

    Returns:
        The control: question, options and the line below them.
    """
    text = ipywidgets.HTML(f"<strong>{asked.text}</strong>")
    radio = ipywidgets.RadioButtons(
        options=[(option.text, key) for key, option in asked.options.items()], value=None,
        layout=ipywidgets.Layout(width="max-content"),
        tooltip=asked.text,
    )  # fmt: skip
    below = ipywidgets.Label("Choose before you run the next cell: Tab to reach the options, arrows to move.")

    def chosen(change: dict[str, Any]) -> None:
        if change["new"] is not None:
            below.value = (
                on_choose(change["new"]) or f"Noted: {asked.options[change['new']].text}. Now run the next cell."
            )

    radio.observe(chosen, names="value")
    box = ipywidgets.VBox([text, radio, below])
    display(box)
    return box
