"""Ask before a cell runs, and let the cluster tell afterwards who was right."""

from __future__ import annotations

from k8s101.errors import Problem
from k8s101.lesson.api.session import Api, current, interactive
from k8s101.lesson.quiz import progress
from k8s101.lesson.quiz.bank import Before, Question, question
from k8s101.lesson.quiz.saying import say


class Prediction:
    """A question that waits for the cluster's answer.

    Args:
        api: the lesson.
        asked: the question.
    """

    def __init__(self, api: Api, asked: Question) -> None:
        self.question = asked
        self.chosen: str | None = None
        self._api = api
        self._before = Before.of(api)
        self._right: str | None = None

    def belongs_to(self, api: Api) -> bool:
        """Tell whether it was asked since this lesson was opened."""
        return self._api is api

    def _ipython_display_(self) -> None:
        """Show nothing: what there is to see was shown when the question was asked."""

    def choose(self, key: str) -> None:
        """Commit to an option; until the answer is out it may be changed.

        Raises:
            Problem: there is no such option.
        """
        if key not in self.question.options:
            offered = " / ".join(self.question.options)
            raise Problem(f"{key!r} is no option", where="your prediction", then=f"choose one of: {offered}")
        self.chosen = key

    def answer(self) -> None:
        """Print the option that the cluster has proved right, and why; a second time says the same.

        Raises:
            Problem: the cluster did something that is no option.
        """
        if self._right is None:
            self._right = self.question.answer(self._before, self._api)
        right = self._right
        say(verdict(self.question, right, self.chosen))
        if self.chosen is not None:
            outcome = "right" if self.chosen == right else "wrong"
            progress.record(self._api.slug, "predict", self.question.name, outcome)


_asked: dict[str, Prediction] = {}
"""By name, what was asked last."""


def predict(name: str) -> Prediction:
    """Ask a question of this lesson; `reveal(name)`, after the run, tells the answer.

    Interactively this shows the options to choose from, else it prints one line.

    Args:
        name: the question's name.

    Raises:
        Problem: the lesson has no such question.
    """
    api = current()
    asked = Prediction(api, question(api.slug, name))
    if interactive():
        from k8s101.lesson.quiz.widgets import choice

        choice(asked.question, asked.choose)
    else:
        print(one_line(asked.question))
    _asked[name] = asked
    return asked


def reveal(name: str) -> None:
    """Print the answer to a question that `predict` asked, as the cluster has given it, and why it is so.

    Args:
        name: the question's name.

    Raises:
        Problem: the lesson has no such question, or it was not asked.
    """
    api = current()
    asked = question(api.slug, name)
    prediction = _asked.get(name)
    if prediction is None or not prediction.belongs_to(api):
        raise Problem(
            f"the question {asked.name!r} has not been asked yet, and its answer depends on what was before",
            where="this notebook",
            then=f'run the cell with predict("{name}"), then the cells below it',
        )
    prediction.answer()


def recall(*names: str) -> None:
    """Ask questions on earlier lessons; the answer comes at once.

    Args:
        names: `lesson/question`, for example `objects/selector`.

    Raises:
        Problem: a lesson has no such question.
    """
    for slug, name in (entry.split("/", 1) for entry in names):
        asked = question(slug, name)
        if not isinstance(asked.right, str):
            raise Problem(
                f"question {name!r} needs a running lesson", where=f"lesson {slug}", then="recall another one"
            )
        if interactive():
            _ask_now(slug, asked)
        else:
            right = asked.options[asked.right]
            say(f"{asked.text} → {right.text} · {right.feedback}")


def _ask_now(slug: str, asked: Question) -> None:
    from k8s101.lesson.quiz.widgets import choice

    choice(asked, lambda key: feedback(slug, asked, key))


def feedback(slug: str, asked: Question, key: str) -> str:
    """Note the answer to a recalled question and say whether it is right.

    Args:
        slug: the lesson it belongs to.
        asked: the question.
        key: the option that the learner chose.
    """
    right = str(asked.right)
    progress.record(slug, "recall", asked.name, "right" if key == right else "wrong")
    return verdict(asked, right, key)


def one_line(asked: Question) -> str:
    """Return a question and its options as one line."""
    letters = "abcdefgh"
    options = "  ".join(
        f"({letter}) {option.text}" for letter, option in zip(letters, asked.options.values(), strict=False)
    )
    return f"{asked.text}  {options}"


def verdict(asked: Question, right: str, chosen: str | None) -> str:
    """Say which option is right and why, and to a wrong choice what is behind it.

    Args:
        asked: the question.
        right: key of the right option.
        chosen: key of the option that the learner chose, None for nothing.
    """
    answer = f"{asked.options[right].text} · {asked.options[right].feedback}"
    if chosen is None:
        return f"prediction: {answer}"
    if chosen == right:
        return f"✓ right: {answer}"
    said = asked.options[chosen]
    return f"✗ you said: {said.text} · {said.feedback}\n  right: {answer}"
