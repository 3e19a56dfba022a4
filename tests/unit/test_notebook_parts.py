"""The small parts: names of a cell, prose, lists of modules, coverage, text, tags."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from k8s101.errors import Problem
from k8s101.notebook import coverage, lessons, tags
from k8s101.notebook.document import Tree, write_atomically
from k8s101.notebook.names import names
from k8s101.notebook.prose import parse
from k8s101.notebook.text import as_text
from tests.unit.notebook_fixtures import COVERAGE, LESSONS, cell_named, load, make_tree, save


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return make_tree(tmp_path)


@pytest.mark.parametrize(
    ("source", "defined", "used"),
    [
        ("a = b", "a", "b"),
        ("a = a + 1", "a", "a"),
        ("a += 1", "a", "a"),
        ("a = 1\nprint(a)", "a", "print"),
        ("for pod in pods:\n    print(pod)", "pod", "pods print"),
        ("[pod for pod in pods]", "", "pods"),
        ("def f(x):\n    return x + y", "f", "y"),
        ("f = lambda x: x + y", "f", "y"),
        ("with start() as loop:\n    loop.read()", "loop", "start"),
        ("import os.path as p\np.join(a)", "p", "a"),
        ("from k8s101 import show\nshow(a)", "show", "a"),
        ("class A:\n    b = c", "A", "c"),
        ("if (n := f()):\n    n", "n", "f"),
        ("try:\n    g()\nexcept E as error:\n    error", "error", "g E"),
        ("f'{a} {b!r}'", "", "a b"),
        ("a: int = b", "a", "int b"),
        ("del a", "a", ""),
    ],
)
def test_names(source: str, defined: str, used: str) -> None:
    found_defined, found_used = names(source)
    assert found_defined == set(defined.split())
    assert found_used - {"int"} == set(used.split()) - {"int"}


def test_names_refuse_what_is_not_python() -> None:
    with pytest.raises(SyntaxError):
        names("a b")


def test_prose() -> None:
    prose = parse(
        "# One\n\nTwo *words* and `code`, [a link](x.md).\n\n![tree](t.svg)\n\n```\n# not three\n```\n\n"
        '- four\n- five\n\n<details><summary>six</summary>\n\nseven <a href="y.md">eight</a></details>\n'
    )
    assert prose.headings == [(1, "One")]
    assert prose.links == ["x.md", "y.md"]
    assert prose.images == [("t.svg", "tree")]
    assert prose.items == 2
    assert prose.words == 12


def test_tables_count_as_words() -> None:
    assert parse("| a | b |\n|---|---|\n| c | d |\n").words == 4


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("minutes: 30", "minutes: half an hour"), "minutes"),
        (("minutes: 30", "minuten: 30"), "minuten"),
        (('number: "06"', "number: 6"), "number"),
        (('number: "06"', 'number: "00"'), "not unique"),
        (("slug: deployments", "slug: My Slug"), "NN-slug"),
        (('repository: ""', "repository: https://example.org/x"), "repository"),
        (("modules:", "lessons:"), "modules"),
        (("modules:", "modules: ["), "cannot be read"),
    ],
)
def test_faults_in_the_list_of_modules_are_said(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    path = tmp_path / "lessons.yml"
    path.write_text(LESSONS.replace(*change))
    with pytest.raises(Problem) as caught:
        lessons.load(path)
    assert complaint in str(caught.value) and caught.value.where == str(path)


def test_title_bar_links_only_to_written_modules_and_to_binder_if_public(tree: Tree) -> None:
    path = tree.notebooks / "lessons.yml"
    listed = lessons.load(path)
    start, deployments = listed.landed
    assert lessons.title_bar(start, listed).endswith("[06 Deployments](06-deployments.ipynb) →")
    assert "07" not in lessons.title_bar(deployments, listed)
    assert "binder" not in lessons.title_bar(deployments, listed).lower()
    path.write_text(LESSONS.replace('repository: ""', "repository: someone/course"))
    listed = lessons.load(path)
    assert (
        "https://mybinder.org/v2/gh/someone/course/HEAD?urlpath=lab/tree/work/06-deployments.ipynb"
        in lessons.title_bar(deployments, listed)
    )


def test_table_of_modules(tree: Tree) -> None:
    rows = lessons.table(lessons.load(tree.notebooks / "lessons.yml")).splitlines()
    assert rows[3] == "| [06 Deployments](notebooks/06-deployments.ipynb) | roll out | 30 | containers |"
    assert rows[4].startswith("| 07 DaemonSets (planned) |")


def test_coverage_is_filled_from_tags_and_then_quiet(tree: Tree) -> None:
    path = tree.notebooks / "coverage.yml"
    write_atomically(path, coverage.filled(tree))
    assert coverage.faults(tree) == []
    stored = {row["row"]: row["cells"] for row in yaml.safe_load(path.read_text())["rows"]}
    assert stored == {
        "slide:deployment": ["06-broken"],
        "slide:rate": ["06-check-again"],
        "slide:greek": ["06-goals"],
        "slide:agents": [],
        "demo:7": ["06-broken"],
    }
    assert path.read_text().startswith("# kept\n")
    assert coverage.filled(tree) == path.read_text()


def test_a_proof_of_several_lines_is_kept_as_it_is(tree: Tree) -> None:
    path = tree.notebooks / "coverage.yml"
    lines = "hello 1.0.0: from one\nhello 1.0.0: from another"
    write_atomically(path, COVERAGE.replace("shows: 06-broken", f"shows: {json.dumps(lines)}"))
    write_atomically(path, coverage.filled(tree))
    assert lines in [row.shows for row in coverage.load(tree)]


@pytest.mark.parametrize(
    ("cell", "change", "complaint"),
    [
        ("broken", {"metadata": {"tags": ["run", "demo:7"]}}, "slide:deployment: module 06 has no executed cell"),
        ("broken", {"execution_count": None}, "demo:7: module 06 has no executed cell"),
        ("check-again", {"metadata": {"tags": ["check", "slide:rate"]}}, "slide:rate: nobody corrects it"),
        ("goals", {"metadata": {"tags": ["goals"]}}, "slide:greek: module 06 has no executed cell"),
        ("recall", {"metadata": {"tags": ["run"]}}, "slide:greek: module 06 has no executed cell"),
    ],
)
def test_uncovered_rows_are_named(tree: Tree, cell: str, change: dict[str, object], complaint: str) -> None:
    nb = load(tree)
    cell_named(nb, cell).update(change)
    save(tree, nb)
    write_atomically(tree.notebooks / "coverage.yml", coverage.filled(tree))
    assert any(line.startswith(complaint) for line in coverage.faults(tree)), coverage.faults(tree)


@pytest.mark.parametrize(
    ("row", "cell", "change", "complaint"),
    [
        ("shows: 06-broken", "shows: three replicas", {}, "no cell with its tag shows 'three replicas'"),
        ("shows: 06-broken, ", "", {}, "nothing proves it"),
        ("shows: 06-broken", "asserts: true", {"source": "print(1)"}, "no cell with its tag asserts anything"),
        ("asserts: true", "asserts: true", {"source": "%%bash\necho test it"}, "no cell with its tag asserts anything"),
        ("asserts: true", "asserts: true", {"source": "assert"}, "no cell with its tag asserts anything"),
    ],
)
def test_a_row_that_nothing_proves_is_named(
    tree: Tree, row: str, cell: str, change: dict[str, str], complaint: str
) -> None:
    nb = load(tree)
    cell_named(nb, "broken").update(change)
    save(tree, nb)
    path = tree.notebooks / "coverage.yml"
    write_atomically(path, COVERAGE.replace(row, cell))
    write_atomically(path, coverage.filled(tree))
    assert any(complaint in line for line in coverage.faults(tree)), coverage.faults(tree)


@pytest.mark.parametrize("source", ["%%bash\ntest -n x", "%%bash\n[[ a = a ]]", "for a in [1]:\n    assert a"])
def test_an_assertion_in_a_cell_is_a_proof(tree: Tree, source: str) -> None:
    nb = load(tree)
    cell_named(nb, "broken").source = source
    save(tree, nb)
    write_atomically(tree.notebooks / "coverage.yml", coverage.filled(tree))
    assert coverage.faults(tree) == []


def test_open_rows_wait_only_while_a_module_is_missing(tree: Tree) -> None:
    path = tree.notebooks / "coverage.yml"
    opened = COVERAGE.replace("proof: it owns Pods", "proof: it owns Pods, open: true")
    opened = opened.replace("proof: three are ready", "proof: three are ready, open: true")
    write_atomically(path, opened)
    write_atomically(path, coverage.filled(tree))
    assert [line.split(",")[0] for line in coverage.faults(tree)] == ["slide:deployment: open"]


def test_stored_cells_out_of_date_are_named(tree: Tree) -> None:
    assert "demo:7: stored cells are out of date" in "\n".join(coverage.faults(tree))


@pytest.mark.parametrize(
    "change", [("demo:7", "demo:0"), ("demo:7", "step:7"), ("text: what it is, ", ""), ("rows:", "lines:")]
)
def test_faults_in_coverage_are_said(tree: Tree, change: tuple[str, str]) -> None:
    write_atomically(tree.notebooks / "coverage.yml", COVERAGE.replace(*change))
    with pytest.raises(Problem):
        coverage.load(tree)


def test_text_shows_cells_and_outputs(tree: Tree) -> None:
    text = as_text(load(tree))
    assert "<!-- 06-make-1: run -->\n```python\n%%needs containers\nmade_1 = api.core" in text
    assert "```text\n06-make-1\n```" in text
    assert "<!-- 06-more-1: run -->\n```bash\n%%bash\nkubectl rollout status" in text
    assert "## Step 1" in text


def test_vocabulary_is_consistent() -> None:
    everything = [*tags.PARTS, *tags.ROLES, *tags.EXTRAS]
    assert len(everything) == len(set(everything))
    assert all(tags.known(tag) for tag in everything)
    assert tags.known("slide:two-words") and tags.known("demo:31") and tags.known("corrected:two-words")
    assert not any(tags.known(tag) for tag in ("slide:", "slide:Big", "page:x", "raises-exception", "Step"))
    assert tags.ROLES.keys() >= tags.UNCOUNTED
