"""What every lesson asks and checks, without a cluster: the rules that its module of Python follows."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator

import pytest

from k8s101.errors import Problem
from k8s101.lesson.modules import written
from k8s101.lesson.quiz.bank import Finding, Option, Question, among, module
from k8s101.lesson.quiz.checking import expect

SLUGS = [*written(), "template"]
ALL = [(slug, asked) for slug in SLUGS for asked in module(slug).QUESTIONS]  # type: ignore[union-attr]


def answers(expression: ast.expr) -> Iterator[str]:
    """Yield what an expression that an answer function returns can be.

    Raises:
        ValueError: that cannot be told from the text.
    """
    match expression:
        case ast.Constant(value=str(key)):
            yield key
        case ast.IfExp(body=one, orelse=other):
            yield from answers(one)
            yield from answers(other)
        case ast.Call(func=ast.Name(id="among"), args=[_, ast.Dict(values=values)]):
            for value in values:
                yield from answers(value)
        case ast.Call(func=ast.Attribute(value=ast.Dict(values=values), attr="get"), args=[_, default]):
            for value in [*values, default]:
                yield from answers(value)
        case _:
            raise ValueError(f"line {expression.lineno}: write the keys out, or use among(found, {{…}})")


def possible(asked: Question) -> set[str]:
    """Return every key that a question's answer function can return."""
    assert not isinstance(asked.right, str)
    function = ast.parse(textwrap.dedent(inspect.getsource(asked.right))).body[0]
    assert isinstance(function, ast.FunctionDef), "an answer function has a name"
    names = {
        node.targets[0].id: node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    found: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            found |= set(answers(_spelt_out(node.value, names)))
    return found


def _spelt_out(value: ast.expr, names: dict[str, ast.expr]) -> ast.expr:
    """Return a call with the table that it is given by name in its place."""
    if isinstance(value, ast.Call) and value.args and isinstance(value.args[-1], ast.Name):
        value.args[-1] = names.get(value.args[-1].id, value.args[-1])
    return value


@pytest.mark.parametrize(("slug", "asked"), ALL, ids=[f"{slug}/{asked.name}" for slug, asked in ALL])
def test_every_answer_that_the_cluster_may_give_is_an_option(slug: str, asked: Question) -> None:
    assert len(asked.options) >= 3
    assert all(option.text and option.feedback for option in asked.options.values())
    assert len({option.text for option in asked.options.values()}) == len(asked.options)
    assert all(len(key) <= 20 and key == key.lower() and " " not in key for key in asked.options)
    if isinstance(asked.right, str):
        assert asked.right in asked.options
        return
    keys = possible(asked)
    assert keys <= asked.options.keys(), f"no option: {keys - asked.options.keys()}"
    assert len(keys) > 1, "one answer only: then the cluster is not asked"


@pytest.mark.parametrize("slug", SLUGS)
def test_names_are_unique_and_hints_come_in_three_steps(slug: str) -> None:
    home = module(slug)
    assert home is not None
    assert len({entry.name for entry in home.QUESTIONS}) == len(home.QUESTIONS)
    assert len({entry.name for entry in home.EXERCISES}) == len(home.EXERCISES)
    for task in home.EXERCISES:
        assert len(task.hints) == 3
        assert all(task.hints)


@pytest.mark.parametrize("slug", SLUGS)
def test_checks_do_not_repeat_what_is_shared(slug: str) -> None:
    tree = ast.parse(inspect.getsource(module(slug)))  # type: ignore[arg-type]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
            assert isinstance(node.args[0], ast.Constant), f"line {node.lineno}: use expect(ok, good, bad)"
        if isinstance(node, ast.FunctionDef):
            assert node.name.strip("_") not in ("existing", "either", "begun"), (
                f"{node.name} stands in quiz/checking.py"
            )


def planted(before: object, api: object) -> str:
    table = {1: "one", 2: "two"}
    if before:
        return among(api, table)
    return "all of them" if api else {3: "three"}.get(4, "four")


def computed(before: object, api: object) -> str:
    return str(before)


def test_an_answer_that_is_no_option_would_be_found() -> None:
    options = {"one": Option("1", "wrong"), "two": Option("2", "right"), "three": Option("3", "wrong")}
    found = possible(Question("planted", "?", options, planted))
    assert found == {"one", "two", "three", "four", "all of them"}
    with pytest.raises(ValueError, match="write the keys out"):
        possible(Question("computed", "?", options, computed))


def test_something_that_no_option_stands_for_is_told() -> None:
    assert among(3, {3: "three"}) == "three"
    with pytest.raises(Problem, match="the cluster has 7, and no option stands for that"):
        among(7, {3: "three"})


def test_a_finding_says_what_is_the_case_and_looks_for_a_cause_only_if_need_be() -> None:
    assert expect([1], "there is one", "there is none") == Finding(True, "there is one")
    assert expect([], "there is one", lambda: "there is none") == Finding(False, "there is none")

    def never() -> str:
        raise AssertionError("nobody asked for the cause")

    assert expect(True, "good", never).ok
