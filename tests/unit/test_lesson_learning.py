"""Predictions, recall, checks, hints and progress, with right and wrong answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from IPython.core.formatters import DisplayFormatter

from k8s101 import cli
from k8s101.errors import Problem
from k8s101.lesson.api import session
from k8s101.lesson.api.session import Api
from k8s101.lesson.quiz import checks, predict, progress, widgets
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Option, Question, question
from tests.unit.lesson_fixtures import lesson

ASKED = Question(
    "pods",
    "How many Pods?",
    {"two": Option("2", "one was overlooked"), "three": Option("3", "as many as wanted")},
    lambda before, api: "three",
)


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("K8S101_INTERACTIVE", raising=False)
    opened = lesson(tmp_path)
    session.make_current(opened)
    return opened


@pytest.fixture
def person(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setenv("K8S101_INTERACTIVE", "1")
    return api


@pytest.fixture
def prediction(api: Api, monkeypatch: pytest.MonkeyPatch) -> predict.Prediction:
    monkeypatch.setattr(Before, "of", classmethod(lambda cls, api: cls({}, {})))
    return predict.Prediction(api, ASKED)


def test_without_a_person_the_answer_is_one_stable_line(
    prediction: predict.Prediction, capsys: pytest.CaptureFixture[str]
) -> None:
    prediction.answer()
    assert capsys.readouterr().out == "prediction: 3 · as many as wanted\n"
    assert predict.one_line(ASKED) == "How many Pods?  (a) 2  (b) 3"


def test_a_right_answer_is_confirmed_and_noted(
    person: Api, prediction: predict.Prediction, capsys: pytest.CaptureFixture[str]
) -> None:
    prediction.choose("two")
    prediction.choose("three")
    prediction.answer()
    assert capsys.readouterr().out == "✓ right: 3 · as many as wanted\n"
    assert [(entry["what"], entry["outcome"]) for entry in progress.load()] == [("predict", "right")]


def test_a_wrong_answer_is_explained_by_its_misconception(
    person: Api, prediction: predict.Prediction, capsys: pytest.CaptureFixture[str]
) -> None:
    prediction.choose("two")
    prediction.answer()
    out = capsys.readouterr().out
    assert out == "✗ you said: 2 · one was overlooked\n  right: 3 · as many as wanted\n"
    assert [entry["outcome"] for entry in progress.load()] == ["wrong"]


@pytest.fixture
def lesson_with_question(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(Before, "of", classmethod(lambda cls, api: cls({}, {})))
    monkeypatch.setattr(predict, "question", lambda slug, name: ASKED)
    return api


def test_reveal_answers_what_predict_asked_and_says_the_same_again(
    lesson_with_question: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter(["three", "two"])
    changing = Question(ASKED.name, ASKED.text, ASKED.options, lambda before, api: next(answers))
    monkeypatch.setattr(predict, "question", lambda slug, name: changing)
    predict.predict("pods")
    predict.reveal("pods")
    predict.reveal("pods")
    assert capsys.readouterr().out.splitlines()[1:] == ["prediction: 3 · as many as wanted"] * 2


def test_reveal_needs_the_question_of_this_lesson(lesson_with_question: Api, tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught:
        predict.reveal("pods")
    assert caught.value.then.startswith('run the cell with predict("pods")')
    predict.predict("pods")
    session.make_current(lesson(tmp_path))  # opened anew: what was before is gone
    with pytest.raises(Problem, match="has not been asked"):
        predict.reveal("pods")


def test_a_prediction_shows_itself_only_once(prediction: predict.Prediction) -> None:
    shown, metadata = DisplayFormatter().format(prediction)
    assert (shown, metadata) == ({}, {})


def test_a_question_with_a_typo_gets_the_nearest_name() -> None:
    with pytest.raises(Problem) as caught:
        question("deployments", "lost-pods")
    assert caught.value.then == "did you mean 'lost-pod'?"


def test_an_option_that_is_none_is_refused(prediction: predict.Prediction) -> None:
    with pytest.raises(Problem, match="'four' is no option"):
        prediction.choose("four")


def test_an_answer_of_the_cluster_that_is_no_option_is_an_error(api: Api) -> None:
    odd = Question("odd", "?", {"yes": Option("yes", ""), "no": Option("no", "")}, lambda before, api: "maybe")
    with pytest.raises(Problem, match="'maybe', which is no option"):
        odd.answer(Before({}, {}), api)


def test_the_control_tells_the_choice(person: Api, prediction: predict.Prediction) -> None:
    box = widgets.choice(ASKED, prediction.choose)
    _, radio, below = box.children
    assert list(radio.options) == [("2", "two"), ("3", "three")]
    assert radio.value is None
    radio.value = "two"
    assert prediction.chosen == "two"
    assert below.value == "Noted: 2. Now run the next cell."


def test_recall_gives_feedback_at_once(person: Api) -> None:
    asked = question("objects-and-the-api", "selector")
    assert isinstance(asked.right, str)
    assert predict.feedback("objects-and-the-api", asked, asked.right).startswith("✓ right")
    wrong = next(option for option in asked.options if option != asked.right)
    assert predict.feedback("objects-and-the-api", asked, wrong).startswith("✗ you said")
    assert [entry["outcome"] for entry in progress.load()] == ["right", "wrong"]


def test_recall_without_a_person_prints_a_line_each(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    predict.recall("objects-and-the-api/selector", "health-checks/endpoints")
    assert len(capsys.readouterr().out.splitlines()) == 2
    with pytest.raises(Problem, match="has no question 'nothing'"):
        predict.recall("health-checks/nothing")


def task(*findings: Finding, missing: str | None = None) -> Exercise:
    def look(api: Api) -> Iterator[Finding]:
        yield from findings

    return Exercise("t", lambda api: missing, look, ("nudge", "look there", "almost all"))


def test_not_attempted_is_neutral(api: Api) -> None:
    outcome = checks.examine(api, task(missing="there is no Deployment web yet"))
    assert (outcome.word, outcome.passed) == ("not attempted", False)
    assert list(outcome.lines()) == ["○ not attempted: there is no Deployment web yet"]


def test_a_check_stops_at_the_first_trouble(api: Api) -> None:
    findings = (Finding(True, "5 Pods"), Finding(False, "worker-2 runs 3 of 5"), Finding(True, "never asked"))
    outcome = checks.examine(api, task(*findings))
    assert outcome.word == "failed"
    assert list(outcome.lines()) == ["✓ 5 Pods", "✗ not yet: worker-2 runs 3 of 5"]


def test_a_failed_check_is_an_error_only_where_nobody_watches(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks, "exercise", lambda slug, name: task(Finding(False, "no endpoints")))
    with pytest.raises(Problem, match="no endpoints"):
        checks.check("t")
    monkeypatch.setenv("K8S101_INTERACTIVE", "1")
    checks.check("t")
    assert 'help: hint("t")' in capsys.readouterr().out
    assert [entry["outcome"] for entry in progress.load()] == ["failed"]


def test_hints_come_in_three_steps(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks, "exercise", lambda slug, name: task())
    monkeypatch.setattr(checks, "_hints_given", {})
    for _ in range(4):
        checks.hint("t")
    assert capsys.readouterr().out.splitlines() == [
        "hint 1 of 3: nudge",
        "hint 2 of 3: look there",
        "hint 3 of 3: almost all",
        "hint 3 of 3: almost all",
    ]


def test_progress_of_a_run_that_nobody_watches_leaves_no_trace(api: Api) -> None:
    progress.record("deployments", "predict", "tree", "right")
    assert not progress.path().exists()
    assert progress.load() == []


def test_progress_is_kept_as_json(person: Api) -> None:
    for name, outcome in (("tree", "wrong"), ("tree", "right"), ("paused", "wrong")):
        progress.record("deployments", "predict", name, outcome)
    entries = json.loads(progress.path().read_text())["entries"]
    assert [entry["name"] for entry in entries] == ["tree", "tree", "paused"]


def test_progress_is_handed_in_as_json(person: Api) -> None:
    def handed_in() -> dict[str, object]:
        result = CliRunner().invoke(cli.main, ["progress"])
        assert result.exit_code == 0, result.output
        return json.loads(result.output)  # type: ignore[no-any-return]

    assert handed_in() == {"version": 1, "entries": []}
    progress.record("deployments", "check", "spread", "passed")
    assert handed_in() == json.loads(progress.path().read_text())
    progress.path().write_text("{")
    assert CliRunner().invoke(cli.main, ["progress"]).exit_code == 1


def test_a_damaged_file_of_progress_is_told(person: Api) -> None:
    progress.path().parent.mkdir(parents=True)
    progress.path().write_text("{")
    with pytest.raises(Problem, match="damaged"):
        progress.load()
