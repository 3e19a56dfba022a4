"""Each rule of the linter finds the fault planted for it, and the module without faults passes all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from nbformat import NotebookNode

from k8s101.notebook.document import Tree, make_cell
from k8s101.notebook.lint.registry import lint, rules
from tests.unit.notebook_fixtures import cell_named, display, load, make_tree, path_of, save, stream

Damage = Callable[[NotebookNode, Tree], None]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return make_tree(tmp_path)


def code(name: str, source: str) -> Damage:
    """Give a cell another source."""
    return lambda nb, tree: cell_named(nb, name).update(source=source)


def add_code(name: str, source: str) -> Damage:
    def damage(nb: NotebookNode, tree: Tree) -> None:
        cell_named(nb, name).source += f"\n{source}"

    return damage


def tags(name: str, *new: str) -> Damage:
    def damage(nb: NotebookNode, tree: Tree) -> None:
        cell_named(nb, name).metadata.tags = list(new)

    return damage


def drop(*names: str) -> Damage:
    def damage(nb: NotebookNode, tree: Tree) -> None:
        for name in names:
            nb.cells.remove(cell_named(nb, name))

    return damage


def move(name: str, before: str) -> Damage:
    def damage(nb: NotebookNode, tree: Tree) -> None:
        cell = cell_named(nb, name)
        nb.cells.remove(cell)
        nb.cells.insert(nb.cells.index(cell_named(nb, before)), cell)

    return damage


def need_no_containers(nb: NotebookNode, tree: Tree) -> None:
    for cell in nb.cells:
        cell.source = cell.source.removeprefix("%%needs containers\n")


def insert(before: str, kind: str, source: str, *new: str, times: int = 1) -> Damage:
    def damage(nb: NotebookNode, tree: Tree) -> None:
        for number in range(times):
            at = nb.cells.index(cell_named(nb, before))
            nb.cells.insert(at, make_cell(kind, source, f"06-new-{number}", new))

    return damage


def outputs(name: str, *new: NotebookNode) -> Damage:
    return lambda nb, tree: cell_named(nb, name).update(outputs=list(new))


def both(*damages: Damage) -> Damage:
    def damage(nb: NotebookNode, tree: Tree) -> None:
        for one in damages:
            one(nb, tree)

    return damage


def checkout_in_output(nb: NotebookNode, tree: Tree) -> None:
    cell_named(nb, "look-1").outputs = [stream(f"see {tree.root}/x\n")]


def forget_recordings(nb: NotebookNode, tree: Tree) -> None:
    shutil.rmtree(tree.recorded)


def uncounted(nb: NotebookNode, tree: Tree) -> None:
    cell_named(nb, "look-2").execution_count = None


PLANTED: dict[str, list[Damage]] = {
    "known_tags": [
        tags("look-1", "run", "runs"),
        tags("look-1", "run", "raises-exception"),
        tags("look-1", "run", "slide:Big"),
    ],
    "tag_kinds": [tags("seen-1", "run"), tags("look-1", "run", "step"), tags("seen-1", "nbval-ignore-output")],
    "one_role": [tags("look-1"), tags("look-1", "run", "draw")],
    "first_cell": [drop("title"), code("title", "Roll out")],
    "part_order": [move("break", "step-2"), move("clean", "task"), move("goals", "title")],
    "parts_present": [drop("break"), drop("end"), insert("task", "markdown", "## Break\n", "break-it")],
    "step_count": [
        both(drop("step-1"), drop("step-2")),
        insert("break", "markdown", "## Again", "step", times=2),
    ],
    "single_code_cells": [drop("prepare"), insert("step-1", "code", "x = 1", "prepare"), drop("clean-up")],
    "part_headings": [
        code("step-1", "Step 1"),
        code("clean", "### Clean up"),
        code("task", "Make four."),
        drop("clean"),
    ],
    "role_places": [
        move("recall", "look-1"),
        move("check", "look-1"),
        move("look-4", "prepare"),
        move("hint", "end"),
    ],
    "steps_run": [both(drop("make-1"), drop("look-1")), tags("broken", "draw")],
    "steps_predict": [drop("ask-1"), drop("ask-break")],
    "recall_present": [drop("recall")],
    "exercises_complete": [
        both(drop("check"), drop("check-again")),
        drop("hint"),
        drop("solution"),
        insert("clean", "markdown", "### Another", "exercise"),
    ],
    "objectives": [code("goals", "- one\n- two"), code("goals", "\n".join("- more" for _ in range(6)))],
    "last_cell": [
        insert("end", "markdown", "x", "key-points"),
        code("end", "## Key points\n\n**Next:** 07."),
        add_code("end", "".join(f"[{n}](https://example.org/{n}) " for n in range(5))),
    ],
    "cell_count": [drop(*(f"seen-{n}" for n in range(1, 5)), *(f"look-{n}" for n in range(1, 5)))]
    + [insert("break", "markdown", "more", times=6)],
    "code_cell_count": [
        drop(*(f"look-{n}" for n in range(1, 5))),
        insert("break", "code", "x = 1", "run", times=7),
    ],
    "word_count": [add_code("seen-1", "word " * 1500), add_code("seen-1", "<p>" + "word " * 1500 + "</p>")],
    "one_h1": [add_code("seen-1", "\n# Another")],
    "heading_levels": [add_code("seen-1", "\n#### Deep")],
    "alt_text": [add_code("seen-1", "![](images/tree.svg)"), add_code("seen-1", '<img src="images/tree.svg">')],
    "links_exist": [
        add_code("seen-1", "[x](../manifests/06-deployments/gone.yaml)"),
        add_code("seen-1", "![tree](images/gone.svg)"),
        add_code("seen-1", "[x](#Nowhere)"),
        add_code("seen-1", '<a href="gone.ipynb">x</a>'),
    ],
    "links_secure": [add_code("seen-1", "[x](http://example.org/)")],
    "python_only": [
        add_code("look-1", "!kubectl get pods"),
        add_code("look-1", "x = !ls"),
        code("look-1", "%%bash\nls"),
        add_code("look-1", "%timeit 1"),
        add_code("look-1", "print("),
        add_code("look-1", "connect?"),
    ],
    "not_empty": [code("look-1", ""), code("look-1", "%%needs containers\n")],
    "forbidden_names": [
        add_code("look-1", "import subprocess"),
        add_code("look-1", "from subprocess import run"),
        add_code("look-1", "import os\nos.system('ls')"),
        add_code("look-1", "import time\ntime.sleep(3)"),
        add_code("look-1", "from time import sleep"),
        add_code("look-1", "from IPython.display import clear_output"),
        add_code("look-1", "raise SystemExit"),
        add_code("look-1", "exit()"),
        add_code("look-1", "get_ipython().run_line_magic('time', '')"),
    ],
    "no_updating_displays": [add_code("look-1", "display('x', display_id='one')")],
    "no_sleep_in_commands": [
        add_code("look-1", "sh('sleep 5')"),
        add_code("look-1", "kubectl('exec hello -- sh -c \"sleep 5\"')"),
    ],
    "no_final_semicolon": [add_code("look-1", "3;")],
    "ignored_outputs": [
        tags("look-1", "run", "nbval-ignore-output"),
        both(
            *(
                both(add_code(f"look-{n}", "assert True"), tags(f"look-{n}", "run", "nbval-ignore-output"))
                for n in range(1, 4)
            )
        ),
    ],
    "cell_length": [add_code("look-1", "\n".join(f"a{n} = {n}" for n in range(12)))],
    "easy_length": [add_code("look-1", "\n".join(f"a{n} = {n}" for n in range(6)))],
    "paths_exist": [
        add_code("look-1", "apply('gone.yaml')"),
        add_code("look-1", "open('../manifests/06-deployments/gone.txt')"),
    ],
    "needs_after_prepare": [
        code("prepare", "%%needs containers\nimport json"),
        code("recall", "%%needs containers\n1"),
    ],
    "needs_first_line": [code("look-1", "# look\n%%needs containers\nprint(1)"), code("look-1", "%%needs\nprint(1)")],
    "needs_carried_on": [
        code("look-1", "print(made_1)"),
        code("look-1", "made_1 = made_1 + 1"),
        code("look-1", "[made_1 for _ in range(3)]"),
        both(code("make-1", "%%needs containers, node_faults\nmade_1 = 1")),
    ],
    "needs_unique": [code("look-2", "%%needs containers\nprint(made_1)")],
    "needs_recorded": [
        forget_recordings,
        add_code("look-1", "print('more')"),
        drop("look-1"),
    ],
    "needs_of_module": [need_no_containers],
    "needs_for_names": [add_code("look-1", "node = 'worker-1'")],
    "executed_in_order": [uncounted, move("look-2", "make-2")],
    "clean_streams": [
        outputs("look-1", stream("careful\n", "stderr")),
        outputs("look-1", NotebookNode(output_type="error", ename="KeyError", evalue="'x'", traceback=[])),
    ],
    "output_kinds": [
        outputs("look-1", display(**{"image_svg+xml": "<svg/>", "text_plain": "tree"})),
        outputs("look-1", display(text_html="<p>tree</p>")),
        outputs("look-1", display(application_javascript="1", text_plain="x")),
    ],
    "output_pictures": [
        outputs("look-1", display(text_html="<img src='data:,'>", text_plain="tree")),
        outputs("look-1", display(text_html="<img src='data:,' alt=' '>", text_plain="tree")),
    ],
    "no_machine_paths": [checkout_in_output],
    "not_a_recording": [outputs("look-1", stream("Not run: this cluster lacks containers. Recorded …"))],
    "file_size": [outputs("look-1", stream("x" * 200_000))],
    "covered_rows": [
        tags("look-1", "run", "slide:unheard-of"),
        tags("look-1", "run", "demo:8"),
        tags("look-1", "run", "corrected:unheard-of"),
    ],
}


def test_a_module_without_faults_passes(tree: Tree) -> None:
    assert [str(finding) for finding in lint(path_of(tree), tree)] == []


def test_every_rule_has_a_planted_fault() -> None:
    assert set(PLANTED) == set(rules())


@pytest.mark.parametrize(
    ("rule", "damage"),
    [(rule, damage) for rule, damages in PLANTED.items() for damage in damages],
    ids=[f"{rule}-{number}" for rule, damages in PLANTED.items() for number in range(len(damages))],
)
def test_planted_fault_is_found(tree: Tree, rule: str, damage: Damage) -> None:
    nb = load(tree)
    damage(nb, tree)
    save(tree, nb)
    assert rule in {finding.rule for finding in lint(path_of(tree), tree)}


@pytest.mark.parametrize(
    "harmless",
    [
        add_code("look-1", "text = 'we sleep well; the subprocess ends'"),
        add_code("look-1", "for made_9 in [1]:\n    print(made_9)"),
        add_code("look-1", "ok = 1 != 2"),
        add_code("look-1", "rest = 7 \\\n    % 2"),
        add_code("look-1", "show('hello.yaml')"),
        add_code("seen-1", "`![](gone.svg)`"),
        add_code("seen-1", "[there](#Step-2) and [outside](https://example.org/)"),
        add_code("seen-1", "```\n# no heading\n```"),
        both(add_code("look-1", "assert made_1"), tags("look-1", "run", "nbval-ignore-output")),
        outputs("look-1", display(text_html="<img src='data:,' alt='a tree'>", text_plain="tree")),
        tags("look-1", "run", "corrected:7", "demo:7"),
    ],
)
def test_near_miss_is_left_alone(tree: Tree, harmless: Damage) -> None:
    nb = load(tree)
    harmless(nb, tree)
    save(tree, nb)
    found = [finding for finding in lint(path_of(tree), tree) if finding.rule != "needs_recorded"]
    assert [str(finding) for finding in found] == []


def test_a_finding_reads_as_one_line_in_three_parts(tree: Tree) -> None:
    nb = load(tree)
    tags("look-1", "run", "runs")(nb, tree)
    save(tree, nb)
    assert [str(finding) for finding in lint(path_of(tree), tree)] == [
        "06 cell 06-look-1: unknown tag runs; choose one of k8s101/notebook/tags.py"
    ]


def test_warnings_are_marked(tree: Tree) -> None:
    nb = load(tree)
    PLANTED["easy_length"][0](nb, tree)
    save(tree, nb)
    warnings = [finding for finding in lint(path_of(tree), tree) if finding.rule == "easy_length"]
    assert [finding.warning for finding in warnings] == [True]
    assert "06 cell 06-look-1: warning: 8 lines of code" in str(warnings[0])
