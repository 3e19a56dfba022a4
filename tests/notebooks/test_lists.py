"""The lists beside the notebooks are complete, and the template keeps its own rules."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields

import pytest

from k8s101.cluster.backends.base import Capabilities
from k8s101.lesson.api import environment
from k8s101.lesson.modules.objects_and_the_api import KINDS
from k8s101.notebook import coverage, lessons
from k8s101.notebook.coverage import Row
from k8s101.notebook.document import Tree, cells, code_cells, read
from k8s101.notebook.learner import learner_copy
from k8s101.notebook.lint.registry import lint
from k8s101.notebook.normalise import normalised_text

TREE = Tree()
MODULES = 24
ROWS = coverage.load(TREE)
LISTED = lessons.load(TREE.notebooks / "lessons.yml")
TEMPLATE = TREE.paths(["template"])[0]


def test_every_statement_of_the_slides_and_every_step_of_the_demo_has_a_row() -> None:
    kinds = Counter(row.row.split(":")[0] for row in ROWS)
    assert kinds == {"slide": coverage.SLIDE_ROWS, "demo": coverage.DEMO_STEPS}
    assert {row.row for row in ROWS if row.row.startswith("demo:")} == {f"demo:{step}" for step in range(1, 32)}


def test_rows_are_unique() -> None:
    assert [tag for tag, count in Counter(row.row for row in ROWS).items() if count > 1] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.row)
def test_row_names_modules_that_are_listed(row: Row) -> None:
    assert set(row.modules) <= {lesson.number for lesson in LISTED.modules}
    assert len(set(row.modules)) == len(row.modules)


def test_every_module_of_the_slides_owes_something() -> None:
    # security, troubleshooting and scale go beyond the source
    owing = {row.modules[0] for row in ROWS}
    assert {lesson.number for lesson in LISTED.modules} - owing <= {"20", "22", "23"}


def test_all_modules_are_listed_without_gaps() -> None:
    assert [lesson.number for lesson in LISTED.modules] == [f"{number:02}" for number in range(MODULES)]
    assert len({lesson.slug for lesson in LISTED.modules}) == MODULES


@pytest.mark.parametrize("lesson", LISTED.modules, ids=lambda lesson: lesson.number)
def test_lesson_is_complete(lesson: lessons.Lesson) -> None:
    assert 20 <= lesson.minutes <= 60
    assert lesson.title[0].isupper() and not lesson.title.endswith(".")
    assert 5 <= len(lesson.summary.split()) <= 20 and not lesson.summary.endswith(".")
    if not lesson.planned:
        assert set(lesson.needs) <= {field.name for field in fields(Capabilities)}
        assert (TREE.notebooks / lesson.file).exists()


def test_no_notebook_is_missing_from_the_list() -> None:
    assert {path.name for path in TREE.paths()} <= {lesson.file for lesson in LISTED.landed}


MADE_BY_OTHERS = {
    "ReplicaSet": "Deployment",
    "Endpoints": "Service",
    "EndpointSlice": "Service",
    "PersistentVolume": "PersistentVolumeClaim",
}
"""Kinds that a controller makes for another one."""


def _homes() -> dict[str, lessons.Lesson | None]:
    """Return the lesson that module 02's table of kinds names for each kind."""
    found: dict[str, lessons.Lesson | None] = {}
    for cell in cells(read(TREE.paths(["02"])[0])):
        for names, number in re.findall(r"^\| ([A-Z][A-Za-z, ]+) \|.*\| (\d\d) \|$", cell.source, re.MULTILINE):
            found |= {kind: LISTED.find(number) for kind in names.split(", ")}
    return found


HOMES = _homes()


def test_module_02_says_of_each_kind_what_it_is_for() -> None:
    assert set(HOMES) == set(KINDS)


@pytest.mark.parametrize("kind", [kind for kind, lesson in HOMES.items() if lesson in LISTED.landed])
def test_the_module_that_the_table_of_kinds_names_makes_one(kind: str) -> None:
    lesson = HOMES[kind]
    assert lesson
    manifests = (TREE.manifests / lesson.file.removesuffix(".ipynb")).glob("*.yaml")
    written = [path.read_text() for path in (*manifests, TREE.notebooks / lesson.file)]
    made = {found for text in written for found in re.findall(r"\bkind: (\w+)", text)}
    made |= {name for name in KINDS for text in written if f"kubectl create {name.lower()} " in text}
    assert {kind, MADE_BY_OTHERS.get(kind)} & made


@pytest.mark.parametrize("lesson", LISTED.landed, ids=lambda lesson: lesson.number)
def test_the_list_names_the_programs_that_a_page_calls(lesson: lessons.Lesson) -> None:
    """So that they are built before its tests run."""
    shell = [cell.body for cell in code_cells(read(TREE.notebooks / lesson.file)) if cell.is_shell]
    called = re.compile(rf"^ *(?:for .* do )?({'|'.join(environment.TOOLS)}) ", re.MULTILINE)
    assert set(lesson.programs) == {name for script in shell for name in called.findall(script)}


def test_template_keeps_the_rules_and_the_form() -> None:
    assert [str(finding) for finding in lint(TEMPLATE, TREE)] == []
    assert normalised_text(TEMPLATE, TREE) == TEMPLATE.read_text()


@pytest.mark.parametrize("path", [TEMPLATE, *TREE.paths()], ids=lambda path: path.stem)
def test_no_solution_is_left_in_a_learners_copy(path: object) -> None:
    nb = read(path)  # type: ignore[arg-type]
    solutions = {cell.source for cell in code_cells(nb) if "solution" in cell.tags}
    copied = learner_copy(nb, "06")
    assert solutions
    assert not solutions & {cell.source for cell in code_cells(copied)}
    assert all(any(source in cell.source for cell in copied.cells) for source in solutions)
