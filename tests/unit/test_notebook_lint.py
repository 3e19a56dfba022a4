"""Each rule of the linter finds the fault planted for it, and the module without faults passes all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from nbformat import NotebookNode

from k8s101.lesson.quiz import bank
from k8s101.notebook.document import Tree, make_cell, read, render, write_atomically
from k8s101.notebook.lint.registry import lint, rules
from tests.unit.notebook_fixtures import QUIZ, cell_named, display, load, make_tree, path_of, save, stream

Damage = Callable[[NotebookNode, Tree], None]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    quiz = SimpleNamespace(QUESTIONS=QUIZ.QUESTIONS, EXERCISES=QUIZ.EXERCISES)
    monkeypatch.setattr(bank, "module", lambda slug: quiz)
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
        cell.source = cell.source.removeprefix("%%needs containers\n").replace("%%bash --needs containers", "%%bash")


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
    cell_named(nb, "make-2").execution_count = None


def cleared(name: str, key: str) -> Damage:
    """Remove something from a cell's metadata."""
    return lambda nb, tree: cell_named(nb, name).metadata.pop(key)


def note(name: str, value: object) -> Damage:
    return lambda nb, tree: cell_named(nb, name).metadata.update(presenter=value)


def lesson_takes(minutes: int) -> Damage:
    def damage(nb: NotebookNode, tree: Tree) -> None:
        path = tree.notebooks / "lessons.yml"
        path.write_text(path.read_text().replace("minutes: 30", f"minutes: {minutes}"))

    return damage


def no_pictures(nb: NotebookNode, tree: Tree) -> None:
    for cell in nb.cells:
        cell.source = cell.source.replace("draw(", "print(").replace("![a tree](images/tree.svg)", "none")


def recalled_before(nb: NotebookNode, tree: Tree) -> None:
    start = tree.notebooks / "00-start.ipynb"
    earlier = read(start)
    earlier.cells.append(make_cell("code", "recall('a/b', 'start/two')", "00-recall", ["recall"]))
    write_atomically(start, render(earlier))


def manifest(text: str) -> Damage:
    def damage(nb: NotebookNode, tree: Tree) -> None:
        write_atomically(tree.manifests / "06-deployments/hello.yaml", f"{text}\n")

    return damage


def asks(text: str) -> Damage:
    """Give the first question another text."""

    def damage(nb: NotebookNode, tree: Tree) -> None:
        first, *others = QUIZ.QUESTIONS
        bank.module("").QUESTIONS = [replace(first, text=text), *others]  # type: ignore[union-attr]

    return damage


def hints(text: str) -> Damage:
    def damage(nb: NotebookNode, tree: Tree) -> None:
        first, *others = QUIZ.EXERCISES
        bank.module("").EXERCISES = [replace(first, hints=(text, "b", "c")), *others]  # type: ignore[union-attr]

    return damage


def bash(name: str, script: str) -> Damage:
    return code(name, f"%%bash --needs containers\n{script}")


PLANTED: dict[str, list[Damage]] = {
    "known_tags": [
        tags("look-1", "run", "runs"),
        tags("look-1", "run", "raises-exception"),
        tags("look-1", "run", "slide:Big"),
    ],
    "tag_kinds": [
        tags("seen-1", "run"),
        tags("look-1", "run", "step"),
        tags("seen-1", "nbval-ignore-output"),
        tags("clean-up", "clean-up", "own-cluster"),
    ],
    "one_role": [tags("look-1"), tags("look-1", "run", "draw")],
    "first_cell": [drop("title"), code("title", "Roll out")],
    "part_order": [move("break", "clean"), move("clean", "task"), move("goals", "title"), move("own-cluster", "task")],
    "parts_present": [drop("own-cluster"), drop("end"), insert("end", "markdown", "## Clean\n", "clean-up")],
    "breaks_something": [tags("break", "step")],
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
        move("more-4", "prepare"),
        move("hint", "end"),
        move("reveal-4", "clean"),
    ],
    "steps_run": [both(drop("list-3"), drop("more-3")), both(tags("broken", "draw"), tags("more-4", "draw"))],
    "recall_present": [drop("recall")],
    "objectives": [code("goals", "- one\n- two"), code("goals", "\n".join("- more" for _ in range(6)))],
    "last_cell": [
        insert("end", "markdown", "x", "key-points"),
        code("end", "## Key points\n\n**Next:** 07."),
        add_code("end", "".join(f"[{n}](https://example.org/{n}) " for n in range(5))),
    ],
    "cell_count": [
        drop(
            *(f"{name}-{n}" for n in range(1, 5) for name in ("seen", "more", "ask", "reveal")),
            "check",
            "hint",
            "own",
            "own-2",
        ),
        insert("break", "markdown", "more", times=40),
    ],
    "word_count": [
        both(*(code(f"seen-{n}", "You saw it.") for n in range(1, 5))),
        add_code("seen-1", "word " * 2800),
        add_code("seen-1", "<p>" + "word " * 2800 + "</p>"),
    ],
    "step_count": [
        both(drop("step-1"), drop("step-2")),
        insert("break", "markdown", "## Again", "step", times=4),
    ],
    "minutes": [lesson_takes(70), lesson_takes(5)],
    "predictions_alone": [
        code("ask-1", "answer = predict('one')"),
        add_code("ask-1", "print('beside')"),
        code("ask-1", "print(predict('one'))"),
    ],
    "predictions_revealed": [
        drop("reveal-1"),
        drop("ask-1"),
        move("reveal-1", "list-1"),
        move("ask-1", "reveal-1"),
    ],
    "debriefs": [drop("seen-1"), drop("seen-4"), move("seen-2", "reveal-2")],
    "shell_share": [both(*(code(f"more-{n}", f"api.core.list_node({n})") for n in range(1, 3)))],
    "python_cells": [code("look-1", "%%needs containers\nprint(made_1)"), drop("look-1")],
    "concept_picture": [no_pictures],
    "exercise_count": [
        drop(*(f"{name}-2" for name in ("task", "own", "check", "hint", "solution", "check-again"))),
        insert("own-cluster", "markdown", "### Another", "exercise"),
    ],
    "exercises_complete": [
        both(drop("check-2"), drop("check-again-2")),
        drop("hint-3"),
        drop("solution"),
        drop("check-again-2"),
        move("solution-2", "check-2"),
    ],
    "exercises_checked_by_name": [code("hint", "hint('repair')"), code("check-2", "check('change')")],
    "own_cluster": [
        code("own-cluster", "## Elsewhere\n\n```\nkubectl get pods\n```"),
        code("own-cluster", "## Elsewhere\n\n| a | b |\n|---|---|\n| c | d |"),
    ],
    "bash_syntax": [bash("more-1", "if true; then echo"), bash("more-1", "echo 'open")],
    "bash_options": [code("more-1", "%%bash --out x\necho 1"), code("more-1", "%%bash -x\necho 1")],
    "waits_end": [
        bash("more-1", "kubectl rollout status deployment/hello"),
        bash("more-1", "kubectl wait pod/hello --for=delete"),
        bash("more-1", "for n in 1 2; do kubectl wait pod/hello-$n --for=condition=Ready; done"),
        bash("more-1", "name=$(kubectl wait pod/hello --for=delete)"),
    ],
    "watches_end": [bash("more-1", "kubectl get pods -w"), bash("more-1", "kubectl logs -f deployment/hello")],
    "pipes_read_all": [
        bash("more-1", "kubectl get pods | head -1"),
        bash("more-1", "kubectl get pods \\\n  | grep -q hello"),
        bash("more-1", "kubectl get pods | grep -m1 hello"),
    ],
    "no_terminal": [
        bash("more-1", "kubectl edit deployment/hello"),
        bash("more-1", "kubectl exec -it hello -- sh"),
        bash("more-1", "kubectl run box --image=x --stdin --tty"),
    ],
    "shown_before_applied": [
        bash("list-1", "kubectl apply -f hello.yaml\ncat hello.yaml"),
        bash("more-1", "kubectl create -f other.yaml"),
        bash("more-1", "kubectl apply -f hello.yaml -f other.yaml"),
        bash("more-1", "kubectl create deployment a --image=b -o yaml > a.yaml\nkubectl apply -f a.yaml"),
        code("own", "print('nothing written')"),
        bash("more-1", "cat a.yaml > b.yaml\nkubectl apply -f b.yaml"),
        bash("more-1", "sed -i s/1/2/ b.yaml\nkubectl apply -f b.yaml"),
    ],
    "files_exist": [bash("more-1", "cat gone.yaml"), bash("more-1", "kubectl delete --filename=gone.yaml")],
    "presenter_notes": [
        note("seen-1", {}),
        note("seen-1", "say this"),
        note("seen-1", {"tell": "x"}),
        note("seen-1", {"say": " "}),
        note("seen-1", {"wrong": "x" * 401}),
        note("seen-1", {"say": "x", "skip": False}),
    ],
    "presenter_in_steps": [cleared("step-2", "presenter")],
    "seconds_measured": [
        cleared("look-1", "seconds"),
        lambda nb, tree: cell_named(nb, "seen-1").metadata.update(seconds=1),
        lambda nb, tree: cell_named(nb, "look-1").metadata.update(seconds=1.5),
    ],
    "recall_count": [code("recall", "recall('start/one')"), code("recall", "recall('a/b', 'a/c', 'a/d', 'a/e')")],
    "recalled_once": [recalled_before, code("recall", "recall('start/one', 'start/one')")],
    "questions_exist": [code("ask-1", "predict('unheard-of')"), code("hint", "hint('unheard-of')")],
    "page_style": [
        add_code("seen-1", "There shall be six."),
        add_code("seen-1", "\n\nIt *simply* works."),
        add_code("seen-1", "We look at it."),
        add_code("seen-1", "\n\n- the node bears a label"),
    ],
    "question_style": [asks("What is easy?"), hints("It is your wish.")],
    "manifest_style": [manifest("kind: Pod  # it runs in peace")],
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
    "known_magics": [
        add_code("look-1", "!kubectl get pods"),
        add_code("look-1", "x = !ls"),
        code("look-1", "%%sh\nls"),
        code("look-1", "%%time\n1"),
        add_code("look-1", "%%bash"),
        add_code("look-1", "%timeit 1"),
        add_code("look-1", "print("),
        add_code("look-1", "connect?"),
    ],
    "not_empty": [code("look-1", ""), code("look-1", "%%needs containers\n"), code("more-1", "%%bash\n")],
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
        bash("more-1", "sleep 5"),
        bash("more-1", "echo; sleep 5"),
    ],
    "no_final_semicolon": [add_code("look-1", "3;")],
    "ignored_outputs": [
        tags("look-1", "run", "nbval-ignore-output"),
        both(
            *(
                both(add_code(name, "assert True"), tags(name, "run", "nbval-ignore-output"))
                for name in ("look-1", "make-1", "make-2")
            )
        ),
    ],
    "cell_length": [
        add_code("look-1", "\n".join(f"a{n} = {n}" for n in range(12))),
        bash("more-1", "\n".join(f"echo {n}" for n in range(12))),
    ],
    "ruff_clean": [
        add_code("look-1", "import os"),
        add_code("look-1", "print(never_defined)"),
        code("look-1", "%%needs containers\nprint(never_defined)"),
    ],
    "paths_exist": [
        add_code("look-1", "print('gone.yaml')"),
        add_code("look-1", "open('../manifests/06-deployments/gone.txt')"),
    ],
    "needs_after_prepare": [
        code("prepare", "%%needs containers\nx = 1"),
        code("recall", "%%needs containers\n1"),
    ],
    "needs_first_line": [
        code("look-1", "# look\n%%needs containers\nprint(1)"),
        code("look-1", "%%needs\nprint(1)"),
        code("more-1", "%%bash --needs\necho 1"),
    ],
    "needs_carried_on": [
        code("look-1", "print(made_1)"),
        code("look-1", "made_1 = made_1 + 1"),
        code("look-1", "[made_1 for _ in range(3)]"),
        both(code("make-1", "%%needs containers, node_faults\nmade_1 = 1")),
    ],
    "needs_unique": [code("make-2", "%%needs containers\nprint(made_1, api)")],
    "needs_recorded": [
        forget_recordings,
        add_code("look-1", "print('more')"),
        drop("look-1"),
    ],
    "needs_of_module": [need_no_containers],
    "needs_for_names": [add_code("look-1", "node = 'worker-1'"), bash("more-1", "kubectl get node worker-1")],
    "executed_in_order": [uncounted, move("make-2", "list-2")],
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
        add_code("look-1", "print('../manifests/06-deployments/hello.yaml')"),
        bash("more-1", "until kubectl get pod hello; do sleep 0.5; done"),
        bash("more-1", "timeout 5 kubectl get pods --watch || true\nkubectl exec hello -- sh -c 'echo -it'"),
        bash("more-1", "kubectl get pods | grep hello | sed -n 1p  # it's the first\nkubectl apply -f - <<X\na: 'b\nX"),
        bash("more-1", "kubectl create deployment a --image=b -o yaml > a.yaml\ncat a.yaml\nkubectl apply -f a.yaml"),
        add_code("own", "\n".join("a: b" for _ in range(20))),
        add_code("seen-1", "Write `just` or “we”, not more."),
        note("seen-1", {"skip": True}),
        bash("list-1", "cat *.yaml\nkubectl apply -f ./hello.yaml\nkubectl delete -f hello.yaml --timeout=60s"),
        manifest("name: just  # plain words"),
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
    PLANTED["needs_for_names"][0](nb, tree)
    save(tree, nb)
    warnings = [finding for finding in lint(path_of(tree), tree) if finding.rule == "needs_for_names"]
    assert [finding.warning for finding in warnings] == [True]
    assert "06 cell 06-look-1: warning: names a node" in str(warnings[0])
